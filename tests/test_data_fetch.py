"""A data set is found, fetched and verified in the order of its sources; nothing unverified is ever read or kept."""

from __future__ import annotations

import copy
import functools
import hashlib
import http.server
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import odyssey_kit as ok
from odyssey_kit.data import cache_folder, read_manifest, status, verify
from odyssey_kit.data import manifest as manifest_module
from odyssey_kit.data._sources import _bytes_in, new_file
from odyssey_kit.data.notes import write_notes
from odyssey_kit.errors import DataError, MissingDataError, UsageError

NOTES = write_notes({"train": [[[60], [62]], [[60], [64], [67]]], "valid": [[[60], [61]]], "test": [[[70], [71]]]})
TEMPLATE = json.loads((manifest_module.manifest_folder() / "jsb-chorales.json").read_text(encoding="utf-8"))
NAME = "jsb-chorales-quarter.json"


def small_manifest(folder: Path, *, urls: tuple[str, ...] = (), data: bytes = NOTES) -> None:
    """Write the manifest of a jsb-chorales of four made-up pieces."""
    manifest = copy.deepcopy(TEMPLATE)
    manifest["distribution"][0].update(sha256=hashlib.sha256(data).hexdigest(), contentSize=f"{len(data)} B")
    manifest["ody:splits"] = {
        "train": {"sequences": 2, "frames": 5},
        "valid": {"sequences": 1, "frames": 2},
        "test": {"sequences": 1, "frames": 2},
    }
    manifest["distribution"][0]["ody:sources"] = [
        {"kind": "folder", "paths": [NAME, f"jsb/{NAME}"]},
        {"kind": "cache"},
        *([{"kind": "web", "urls": list(urls)}] if urls else []),
    ]
    folder.mkdir(exist_ok=True)
    (folder / "jsb-chorales.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give each test a home of its own: made-up manifests, an empty cache, no data folder, proxies out of the way."""
    small_manifest(tmp_path / "manifests")
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path / "manifests")
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)
    return tmp_path


@pytest.fixture
def server(place):
    """Run a web server on this machine; what lies in the folder `www` is served, and requests are counted."""
    root = place / "www"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            running.requests_seen.append(self.path)
            super().do_GET()

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    running.requests_seen = []
    running.address = f"http://127.0.0.1:{running.server_address[1]}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def cached() -> Path:
    return cache_folder() / "jsb-chorales" / f"jsb-chorales-quarter-{hashlib.sha256(NOTES).hexdigest()[:8]}.json"


@pytest.mark.parametrize("where", [NAME, f"jsb/{NAME}"])
@pytest.mark.parametrize("how", ["data_dir", "environment"])
def test_a_folder_of_the_users_is_read_flat_or_by_subfolder(place, monkeypatch, where, how):
    folder = place / "mine"
    (folder / where).parent.mkdir(parents=True)
    (folder / where).write_bytes(NOTES)
    if how == "environment":
        monkeypatch.setenv("ODYSSEY_DATA", str(folder))
    data_dir = folder if how == "data_dir" else None
    assert ok.fetch_dataset("jsb-chorales", data_dir=data_dir) == [folder / where]
    assert len(ok.load_dataset("jsb-chorales", data_dir=data_dir).train) == 2
    assert not cache_folder().exists()


def test_data_dir_comes_before_the_environment_and_both_before_the_cache(place, monkeypatch):
    for folder in (place / "given", place / "environment", cached().parent):
        folder.mkdir(parents=True)
    cached().write_bytes(NOTES)
    assert ok.fetch_dataset("jsb-chorales") == [cached()]
    (place / "environment" / NAME).write_bytes(NOTES)
    monkeypatch.setenv("ODYSSEY_DATA", str(place / "environment"))
    assert ok.fetch_dataset("jsb-chorales") == [place / "environment" / NAME]
    assert ok.fetch_dataset("jsb-chorales", data_dir=place / "given") == [place / "environment" / NAME]
    (place / "given" / NAME).write_bytes(NOTES)
    assert ok.fetch_dataset("jsb-chorales", data_dir=place / "given") == [place / "given" / NAME]


def test_a_data_dir_that_is_no_folder_is_a_mistake_of_use(place):
    with pytest.raises(UsageError, match="is not a folder"):
        ok.load_dataset("jsb-chorales", data_dir=place / "nowhere")


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (NOTES[:-10], "truncated"),
        (NOTES + b" ", "another file"),
        (b"", "truncated"),
        (NOTES.replace(b"67", b"68"), "got sha256"),
    ],
    ids=["cut", "longer", "empty", "one note changed"],
)
def test_a_damaged_file_of_the_users_is_named_and_neither_replaced_nor_passed_over(place, server, damaged, reason):
    small_manifest(place / "manifests", urls=(f"{server.address}/{NAME}",))
    (place / "www" / NAME).write_bytes(NOTES)
    file = place / "mine" / NAME
    file.parent.mkdir()
    file.write_bytes(damaged)
    for action in (ok.load_dataset, ok.fetch_dataset, verify):
        with pytest.raises(DataError, match=reason) as caught:
            action("jsb-chorales", data_dir=file.parent)
        message = str(caught.value)
        assert str(file) in message
        assert "expected" in message
        assert "remove it and run `odyssey data fetch jsb-chorales`" in message
        assert "\n" not in message
        assert caught.value.exit_code == 3
    assert file.read_bytes() == damaged
    assert server.requests_seen == []


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(NOTES) - 1), flip=st.integers(0, 255))
def test_every_truncation_and_every_flipped_bit_is_refused(place, position, flip):
    data = bytearray(NOTES)
    if flip:
        data[position] ^= flip
    else:
        data = data[:position]
    file = place / "mine" / NAME
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"truncated|got sha256") as caught:
        ok.load_dataset("jsb-chorales", data_dir=file.parent)
    assert str(file) in str(caught.value)


def test_a_missing_data_set_says_what_was_tried_and_what_to_do(place, monkeypatch, server):
    monkeypatch.setenv("ODYSSEY_DATA", str(place / "mine"))
    small_manifest(place / "manifests", urls=(f"{server.address}/absent.json", "http://127.0.0.1:9/refused.json"))
    with pytest.raises(MissingDataError) as caught:
        ok.load_dataset("jsb-chorales")
    message = str(caught.value)
    assert caught.value.exit_code == 3
    for part in (
        f"{place / 'mine' / NAME} (no such file)",
        f"{cached()} (no such file)",
        "absent.json (answers 404)",
        "refused.json (no connection)",
        "run `odyssey data fetch jsb-chorales`",
        "ODYSSEY_DATA",
    ):
        assert part in message
    assert "\n" not in message
    assert files_in(place / "cache") == []


def test_the_first_address_with_the_right_bytes_is_kept(place, server, capsys):
    addresses = tuple(f"{server.address}/{name}" for name in ("wrong.json", "endless.json", "short.json", "right.json"))
    small_manifest(place / "manifests", urls=addresses)
    (place / "www" / "wrong.json").write_bytes(NOTES.replace(b"60", b"61"))
    (place / "www" / "endless.json").write_bytes(NOTES * 50)
    (place / "www" / "short.json").write_bytes(NOTES[:-1])
    (place / "www" / "right.json").write_bytes(NOTES)
    assert ok.fetch_dataset("jsb-chorales", progress=False) == [cached()]
    assert len(server.requests_seen) == 4
    assert cached().read_bytes() == NOTES
    assert files_in(place / "cache") == [cached().name]
    assert capsys.readouterr().err == ""
    # Here now, so the web is not asked again.
    ok.load_dataset("jsb-chorales")
    assert len(server.requests_seen) == 4


def test_wrong_bytes_from_the_web_are_reported_and_not_kept(place, server):
    small_manifest(place / "manifests", urls=(f"{server.address}/wrong.json",))
    (place / "www" / "wrong.json").write_bytes(NOTES.replace(b"60", b"61"))
    with pytest.raises(MissingDataError, match=r"wrong\.json \(got sha256"):
        ok.fetch_dataset("jsb-chorales", progress=False)
    assert files_in(place / "cache") == []


def test_a_download_shows_a_bar(place, server, capsys):
    small_manifest(place / "manifests", urls=(f"{server.address}/{NAME}",))
    (place / "www" / NAME).write_bytes(NOTES)
    ok.load_dataset("jsb-chorales")
    assert NAME in capsys.readouterr().err


def test_a_damaged_file_in_the_cache_is_an_error_until_it_is_fetched_again(place, server):
    small_manifest(place / "manifests", urls=(f"{server.address}/{NAME}",))
    (place / "www" / NAME).write_bytes(NOTES)
    cached().parent.mkdir(parents=True)
    cached().write_bytes(NOTES[:20])
    with pytest.raises(DataError, match="run `odyssey data fetch jsb-chorales` to replace it"):
        ok.load_dataset("jsb-chorales")
    ok.fetch_dataset("jsb-chorales", progress=False)
    assert cached().read_bytes() == NOTES


def test_an_interrupted_fetch_leaves_nothing_behind(tmp_path):
    target = tmp_path / "new" / "file"
    digest = hashlib.sha256(NOTES).hexdigest()
    with pytest.raises(KeyboardInterrupt), new_file(target, sha256=digest, size=len(NOTES)) as stream:
        stream.write(NOTES[:10])
        raise KeyboardInterrupt
    assert files_in(target.parent) == []
    target.write_bytes(b"as it was")
    with pytest.raises(DataError, match="got 10 bytes"), new_file(target, sha256=digest, size=len(NOTES)) as stream:
        stream.write(NOTES[:10])
    assert target.read_bytes() == b"as it was"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal that cannot be caught")
def test_a_killed_fetch_leaves_no_half_file_and_the_next_one_cleans_up(place, server):
    script = (
        "import os, signal, sys; from pathlib import Path; from odyssey_kit.data._sources import new_file\n"
        "with new_file(Path(sys.argv[1]), sha256='0' * 64, size=100) as stream:\n"
        "    stream.write(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(cached())], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not cached().exists()
    assert [name.endswith(".part") for name in files_in(place / "cache")] == [True]
    small_manifest(place / "manifests", urls=(f"{server.address}/{NAME}",))
    (place / "www" / NAME).write_bytes(NOTES)
    ok.fetch_dataset("jsb-chorales", progress=False)
    assert files_in(place / "cache") == [cached().name]


def test_processes_that_fetch_at_once_all_get_the_file_and_only_one_downloads_it(place, server):
    small_manifest(place / "manifests", urls=(f"{server.address}/{NAME}",))
    (place / "www" / NAME).write_bytes(NOTES)
    script = (
        "import sys; from pathlib import Path; import odyssey_kit as ok; from odyssey_kit.data import manifest\n"
        "manifest.manifest_folder = lambda: Path(sys.argv[1])\n"
        "print(len(ok.load_dataset('jsb-chorales').train))"
    )
    command = [sys.executable, "-c", script, str(place / "manifests")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [process.communicate(timeout=120)[0].strip() for process in running] == [b"2"] * 4
    assert len(server.requests_seen) == 1
    assert files_in(place / "cache") == [cached().name]


def test_a_cache_that_is_a_file_is_named(place, monkeypatch):
    (place / "file").write_bytes(b"")
    monkeypatch.setenv("ODYSSEY_CACHE", str(place / "file"))
    with pytest.raises(DataError, match=r"cannot be written to .* set ODYSSEY_CACHE to a folder that can"):
        ok.fetch_dataset("jsb-chorales")


def test_a_right_file_with_wrong_counts_is_refused(place):
    other = write_notes({"train": [[[60], [62]]], "valid": [[[60], [61]]], "test": [[[70], [71]]]})
    small_manifest(place / "manifests", data=other)
    (place / "mine").mkdir()
    (place / "mine" / NAME).write_bytes(other)
    with pytest.raises(DataError, match=r"split train has .* expected"):
        ok.load_dataset("jsb-chorales", data_dir=place / "mine")


def test_status_and_list_tell_without_raising_and_verify_raises(place):
    assert status("jsb-chorales")["state"].tolist() == ["not here"]
    assert ok.list_datasets()["here"].tolist() == [False]
    with pytest.raises(MissingDataError, match="run `odyssey data fetch jsb-chorales`"):
        verify("jsb-chorales")
    folder = place / "mine"
    folder.mkdir()
    (folder / NAME).write_bytes(NOTES[:5])
    row = status("jsb-chorales", data_dir=folder).iloc[0]
    assert (row["state"], row["path"], row["role"]) == ("damaged", str(folder / NAME), "source")
    assert "truncated" in row["detail"]
    (folder / NAME).write_bytes(NOTES)
    assert verify("jsb-chorales", data_dir=folder)["state"].tolist() == ["verified"]
    listed = ok.list_datasets(data_dir=folder)
    assert listed.loc["jsb-chorales"].to_dict() == {
        "task": "next-step",
        "what": "papers' own data",
        "licence": read_manifest("jsb-chorales").licence,
        "here": True,
        "size": len(NOTES),
    }


def package_manifest(place: Path, monkeypatch, *, damaged: bool = False) -> Path:
    """Make jsb-chorales come from a package that pip finds in a folder; return the folder."""
    shelf = place / "shelf"
    shelf.mkdir()
    wheel = shelf / "made_up_notes-1.0-py3-none-any.whl"
    about = "Metadata-Version: 2.1\nName: made-up-notes\nVersion: 1.0\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("notes.json", NOTES)
        archive.writestr("made_up_notes-1.0.dist-info/METADATA", about)
        archive.writestr("made_up_notes-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("made_up_notes-1.0.dist-info/RECORD", "")
    path = place / "manifests" / "jsb-chorales.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    data = wheel.read_bytes()
    digest = "0" * 64 if damaged else hashlib.sha256(data).hexdigest()
    manifest["distribution"][0].update(name=wheel.name, sha256=digest, contentSize=f"{len(data)} B")
    manifest["distribution"][0]["ody:sources"] = [
        {"kind": "cache"},
        {"kind": "package", "requirement": "made-up-notes==1.0"},
    ]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def test_a_package_comes_through_the_users_own_pip(place, monkeypatch, capfd):
    shelf = package_manifest(place, monkeypatch)
    (path,) = ok.fetch_dataset("jsb-chorales", progress=False)
    assert path == cache_folder() / "jsb-chorales" / "made_up_notes-1.0-py3-none-any.whl"
    assert path.read_bytes() == (shelf / path.name).read_bytes()
    assert files_in(place / "cache") == [path.name]
    assert capfd.readouterr() == ("", "")


def test_a_package_with_other_bytes_is_not_kept(place, monkeypatch):
    package_manifest(place, monkeypatch, damaged=True)
    with pytest.raises(MissingDataError, match=r"package made-up-notes==1\.0 \(got sha256"):
        ok.fetch_dataset("jsb-chorales", progress=False)
    assert files_in(place / "cache") == []


def test_when_pip_fails_its_own_last_words_are_passed_on(place, monkeypatch, capfd):
    (package_manifest(place, monkeypatch) / "made_up_notes-1.0-py3-none-any.whl").unlink()
    with pytest.raises(MissingDataError, match=r"pip failed with exit code 1: ERROR: No matching distribution"):
        ok.fetch_dataset("jsb-chorales", progress=False)
    assert capfd.readouterr() == ("", "")


def test_without_pip_the_message_says_how_to_get_it(place, monkeypatch):
    package_manifest(place, monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match=r"package made-up-notes==1\.0 \(pip is not installed; .* -m ensurepip"):
        ok.fetch_dataset("jsb-chorales", progress=False)


def test_folders_that_vanish_while_they_are_looked_at_do_no_harm(tmp_path):
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            (folder / "deeper").mkdir()
            (folder / "deeper" / "file").write_bytes(b"x")
            shutil.rmtree(folder)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert all(_bytes_in(tmp_path) >= 0 for _ in range(500))
    finally:
        stop.set()
        thread.join()

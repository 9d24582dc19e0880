"""Printed lines: UW3 from a user's own copy, in both its forms, and its stand-in; lines lie straight and 48 high."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from licensed import hdf5, png, print_of, uw3

import odyssey_kit as ok
from odyssey_kit.data.archives import open_zip
from odyssey_kit.data.corpora.archiscribe_lines import decoded_text, read_line
from odyssey_kit.data.corpora.uw3 import carve
from odyssey_kit.data.hdf5_lines import HDF5Reader
from odyssey_kit.data.line_images import HEIGHT, ink_of, normalised, read_png
from odyssey_kit.errors import DataError, MissingDataError

REAL_DATA = os.environ.get("ODYSSEY_DATA", "")
SAMPLE = Path(REAL_DATA) / "uw3-sample"
needs_sample = pytest.mark.skipif(
    not (REAL_DATA and SAMPLE.is_dir()), reason="no uw3-sample in ODYSSEY_DATA: UW3 not tested on real lines"
)
needs_h5py = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("h5py") is None, reason="the extra [hdf5] is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)


# ---- straightening --------------------------------------------------------------------------


def middle(ink: np.ndarray) -> np.ndarray:
    """Return the row of the ink's centre in each column that has ink."""
    weight = ink.sum(axis=0)
    rows = np.arange(len(ink)) @ ink
    return rows[weight > 1] / weight[weight > 1]


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(-0.06, 0.06), height=st.integers(36, 60))
def test_a_slanted_line_is_laid_straight(slope, height):
    # Of a line's length: at both ends, as far as the line is high, the smoothing has less to go by.
    slanted = ink_of(print_of(480, height, slope=slope))
    straight = normalised(slanted)
    assert straight.shape[0] == HEIGHT
    assert 0.0 <= straight.min() <= straight.max() == 1.0
    centres = middle(straight)
    assert abs(np.polyfit(np.arange(len(centres)), centres, 1)[0]) < 0.005 + 0.2 * abs(slope)
    assert np.median(centres) == pytest.approx(HEIGHT / 2, abs=3)


def test_size_does_not_matter():
    small, large = (normalised(ink_of(print_of(width, height))) for width, height in ((200, 40), (200, 80)))
    assert small.shape == large.shape, "the margin of paper is cut off"


def test_a_line_without_ink_stays_paper():
    assert normalised(np.zeros((40, 100))).max() == 0.0


@pytest.mark.parametrize("mode", ["L", "RGBA", "1", "P"])
def test_images_are_read_in_every_mode_that_the_corpora_have(mode):
    grey = print_of(64)
    np.testing.assert_array_equal(read_png(png(grey, mode), "x.png"), grey)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a readable PNG image"),
        (b"GIF89a" + b"\0" * 50, "not a readable PNG image"),
        (png(print_of(64))[:-30], "not a readable PNG image"),
        (png(np.zeros((1_001, 4))), "expected a line of at most 1000 rows"),
        (png(np.zeros((2, 50_001))), "50001 x 2 pixels"),
    ],
)
def test_what_is_no_image_of_a_line_is_refused(data, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_png(data, "some.bin.png")
    assert str(caught.value).startswith("some.bin.png: ")


@pytest.mark.parametrize("data", [b"", b" \n", b"one\ntwo\n", b"\xff\xfe", b"a\x00b"])
def test_a_transcript_is_one_line_of_utf_8(data):
    with pytest.raises(DataError, match=r"^x\.gt\.txt: "):
        decoded_text(data, "x.gt.txt")
    assert decoded_text("daß ſie\r\n".encode(), "x") == "daß ſie"


# ---- UW3 ------------------------------------------------------------------------------------


def test_uw3_is_read_from_its_folder(tmp_path):
    data = ok.load_dataset("uw3", data_dir=uw3(tmp_path))
    assert (data.task, data.input_size, data.stand_in_for) == ("transcription", 48, None)
    assert [len(split) for split in data.splits.values()] == [7, 1, 4]
    texts = [data.text(data.test.targets_of(index)) for index in range(4)]
    assert texts == [f"line number {number}" for number in (8, 9, 10, 11)]
    assert data.output_size == len(set("line number 01234567891011")) + 1
    assert (data.train.inputs.min(), data.train.inputs.max()) == (0.0, 1.0)


def test_what_is_not_given_is_carved_by_a_fixed_rule():
    names = [f"{number:06d}" for number in range(500)]
    parts = carve(names)
    assert parts["test"] == names[450:], "clstm's rule: sorted backwards, the first tenth"
    assert parts["valid"] == names[400:450]
    assert carve(list(reversed(names))) == parts
    given = carve(["uw3-dew-test.h5:000001", "uw3-dew.h5:000001", "uw3-dew.h5:000002", "contest:1"])
    assert given["test"] == ["uw3-dew-test.h5:000001"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.with_name("010000.gt.txt").unlink(), "has no transcript beside it"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "not a readable PNG image"),
        (lambda path: path.with_name("010000.gt.txt").write_bytes(b"\xff"), "not UTF-8"),
    ],
)
def test_a_damaged_uw3_is_refused_with_file_and_reason(tmp_path, spoil, reason):
    folder = uw3(tmp_path)
    spoil(folder / "uw3" / "train" / "010000.bin.png")
    with pytest.raises(DataError, match=reason) as caught:
        ok.load_dataset("uw3", data_dir=folder)
    assert str(tmp_path) in str(caught.value)


def test_without_a_folder_the_message_says_what_it_looks_like(tmp_path):
    with pytest.raises(MissingDataError, match=r"uw3/train/010001\.bin\.png.*uw3-dew\.h5"):
        ok.load_dataset("uw3", data_dir=tmp_path)


@needs_h5py
def test_clstms_hdf5_is_taken_as_it_is_and_calamaris_is_straightened(tmp_path):
    ready = [normalised(ink_of(print_of(90 + 10 * number))).T.astype(np.float32) for number in range(4)]
    raw = [print_of(90 + 10 * number).astype(np.uint8) for number in range(4)]
    texts = ["one", "two", "three", "two\n"]
    for name, images, blank in (("clstm", ready, True), ("calamari", raw, False)):
        (tmp_path / name / "uw3").mkdir(parents=True)
        hdf5(tmp_path / name / "uw3" / "lines.h5", images, texts, blank=blank)
        data = ok.load_dataset("uw3", data_dir=tmp_path / name)
        (inputs, labels) = data.test[0]
        assert data.text(labels) == "two"
        np.testing.assert_allclose(inputs, ready[3], atol=0.003)


@needs_h5py
def test_a_compressed_hdf5_file_is_unpacked(tmp_path):
    folder = tmp_path / "uw3"
    folder.mkdir()
    plain = hdf5(tmp_path / "lines.h5", [print_of(90).astype(np.uint8)] * 3, ["a", "b", "c"])
    (folder / "uw3-dew.h5.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert len(ok.load_dataset("uw3", data_dir=tmp_path).train) == 1


@needs_h5py
@pytest.mark.parametrize(
    ("images", "texts", "change", "reason"),
    [
        ([np.zeros((10, 40), np.float32)], ["a"], {}, "10 x 40 reals, expected a sequence of columns of 48"),
        ([np.full((10, 48), np.nan, np.float32)], ["a"], {}, "reals, expected"),
        ([np.zeros((10, 40), np.int32) + 300], ["a"], {}, "grey levels from 300 to 300"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"images_dims": np.array([[10, 41]])}, "400 numbers and the dim"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"images_dims": np.array([[-10, -40]])}, "dimensions -10 x -40"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"images_dims": np.array([10, 40])}, "have shapes"),
        ([np.zeros((10, 40), np.uint8)], ["ab"], {"codec": np.array([97])}, "beyond the codec's 1"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"codec": np.array([0xD800])}, "no characters"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"codec": None}, "lacks codec"),
        ([np.zeros((10, 40), np.uint8)], ["a"], {"images": np.zeros(1)}, "expected|numbers"),
    ],
)
def test_an_hdf5_file_of_another_layout_is_refused(tmp_path, images, texts, change, reason):
    import h5py

    path = hdf5(tmp_path / "lines.h5", images, texts)
    with h5py.File(path, "a") as file:
        for name, value in change.items():
            del file[name]
            if value is not None:
                file[name] = value
    with HDF5Reader() as reader, pytest.raises(DataError, match=reason) as caught:
        reader.read(path, "lines.h5")
    assert str(caught.value).startswith("lines.h5: ")


@needs_h5py
def test_without_h5py_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ok.UsageError, match=r"pip install -c constraints\.txt h5py"):
        HDF5Reader()


@needs_sample
def test_seventy_real_lines_of_uw3_are_read(tmp_path):
    with zipfile.ZipFile(SAMPLE / "uw3_70lines.zip") as archive:
        archive.extractall(tmp_path / "uw3")
    data = ok.load_dataset("uw3", data_dir=tmp_path)
    assert [len(split) for split in data.splits.values()] == [43, 7, 20]
    assert len(data.test.targets) == 1_138
    assert len(data.train.targets) + len(data.valid.targets) == 2_183
    index = data.train.names.index("uw3_50lines/train/010001")
    assert data.text(data.train.targets_of(index)) == "Efficient Algorithms for Finding Maximum Matching in Graphs"
    # Every line stands upright in its 48 rows: ink in the middle, less at the edges.
    profile = data.train.inputs.mean(axis=0)
    assert profile[16:32].mean() > 4 * max(profile[:4].mean(), profile[-4:].mean())


@needs_sample
@needs_h5py
def test_fifty_real_lines_of_uw3_are_read_from_hdf5():
    with HDF5Reader() as reader:
        lines = reader.read(SAMPLE / "uw3-50lines.h5", "uw3-50lines.h5")
    assert len(lines) == 50
    assert sorted({ink.shape[0] for ink, _ in lines})[0] == 32
    assert max(ink.shape[0] for ink, _ in lines) == 54
    assert "Efficient Algorithms for Finding Maximum Matching in Graphs" in [text for _, text in lines]


# ---- the stand-in ---------------------------------------------------------------------------


def line_zip(image: bytes, text: bytes = b"Zeile\n") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("train/work_1.bin.png", image)
        archive.writestr("train/work_1.gt.txt", text)
    return stream.getvalue()


def test_a_line_of_the_archive_is_read_or_refused():
    ink, text = read_line(open_zip(line_zip(png(print_of(60, 48), "1")), "x.zip"), "train/work_1", "x.zip")
    assert ink.shape == (48, 60)
    assert text == "Zeile"
    with pytest.raises(DataError, match=r"x\.zip: train/work_1\.bin\.png has 40 rows, expected 48"):
        read_line(open_zip(line_zip(png(print_of(60, 40))), "x.zip"), "train/work_1", "x.zip")
    with pytest.raises(DataError, match=r"member train/work_2\.bin\.png cannot be read"):
        read_line(open_zip(line_zip(b""), "x.zip"), "train/work_2", "x.zip")


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    if not REAL_DATA:
        pytest.skip("ODYSSEY_DATA is not set: archiscribe-lines not tested on their file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODYSSEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = ok.load_dataset("archiscribe-lines", data_dir=REAL_DATA)
        assert data.valid.inputs.size
    return data


def test_archiscribe_lines_have_their_known_counts(german):
    assert [len(split) for split in german.splits.values()] == [3_418, 339, 498]
    assert len(german.train.targets) == 174_710
    assert sum(len(split.targets) for split in german.splits.values()) == 223_585
    assert german.output_size == 168 + 1
    works = [{name.split("/")[0] for name in split.names} for split in german.splits.values()]
    assert len(set().union(*works)) == sum(map(len, works)) == 112, "no work is in two splits"
    widths = np.concatenate([split.lengths for split in german.splits.values()])
    assert abs(float(np.median(german.train.lengths)) - 890) < 1
    assert widths.min() > 48
    assert (german.input_size, german.stand_in_for) == (48, "uw3")


def test_archiscribe_lines_are_ink_and_paper(german):
    assert set(np.unique(german.valid.inputs)) == {0.0, 1.0}
    assert 0.05 < german.valid.inputs.mean() < 0.3, "ink is 1, and there is less of it than paper"
    assert "ſ" in german.symbols

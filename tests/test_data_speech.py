"""Speech with phones: TIMIT from a licensee's folder, and its stand-in, whose labels are a machine's and say so."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
from licensed import TEST_SPEAKERS, TRAIN_SPEAKERS, VALID_SPEAKERS, riff, sphere, timit, tone

import odyssey_kit as ok
from odyssey_kit.data.audio import read_sound
from odyssey_kit.data.corpora.spoken_digits import PHONES
from odyssey_kit.data.corpora.timit import CORE_TEST_SPEAKERS, FOLDED, FOLDING, parse_phones
from odyssey_kit.data.corpora.timit import PHONES as TIMIT_PHONES
from odyssey_kit.data.corpora.timit import VALID_SPEAKERS as DEVELOPMENT
from odyssey_kit.errors import DataError, MissingDataError

REAL_DATA = os.environ.get("ODYSSEY_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)
    return tmp_path / "cache"


def load_timit(folder, **options):
    """Load a small TIMIT, whose counts are told to differ from the real one's."""
    told = pytest.warns(UserWarning, match="as in the papers")
    with told if not options else contextlib.nullcontext():
        return ok.load_dataset("timit", data_dir=folder, **options)


# ---- the tables -----------------------------------------------------------------------------


def test_the_tables_of_timit_have_their_published_sizes():
    assert len(TIMIT_PHONES) == len(set(TIMIT_PHONES)) == 61
    assert len(FOLDED) == 39
    assert set(FOLDING) <= set(TIMIT_PHONES)
    assert len(CORE_TEST_SPEAKERS) == 24
    assert len(DEVELOPMENT) == 50
    assert not CORE_TEST_SPEAKERS & DEVELOPMENT
    women = [name for name in CORE_TEST_SPEAKERS if name.startswith("f")]
    assert len(women) == 8, "two men and one woman of each of eight regions"


# ---- a licensee's folder --------------------------------------------------------------------


@pytest.mark.parametrize("upper", [True, False], ids=["as on the disc", "in small letters"])
def test_timit_is_read_from_its_folder(tmp_path, upper):
    data = load_timit(timit(tmp_path, upper=upper))
    assert (data.task, data.input_size, data.output_size) == ("frame-wise", 39, 61)
    assert data.stand_in_for is None
    names = {split: {name.split("/")[0] for name in part.names} for split, part in data.splits.items()}
    assert names == {"train": set(TRAIN_SPEAKERS), "valid": set(VALID_SPEAKERS), "test": set(TEST_SPEAKERS)}
    assert [len(split) for split in data.splits.values()] == [4, 2, 2], "SA sentences and other speakers are left out"
    # 4,000 samples: 1 + (4000 - 400) // 160 frames; the phones' borders in samples decide their labels.
    assert data.train.lengths[0] == 23
    words = data.text(data.train.targets_of(0)).split()
    assert [word.split("×")[0] for word in words] == ["h#", "iy", "kcl"]
    assert data.train.inputs.mean(axis=0, dtype=float) == pytest.approx(np.zeros(39), abs=1e-5)
    assert data.train.inputs.std(axis=0, dtype=float) == pytest.approx(np.ones(39), abs=1e-4)


def test_sphere_and_riff_hold_the_same_sound(tmp_path):
    one = load_timit(timit(tmp_path / "sphere", sound=sphere))
    other = load_timit(timit(tmp_path / "riff", sound=riff))
    np.testing.assert_array_equal(one.train.inputs, other.train.inputs)
    assert one.sha256 != other.sha256


def test_converted_copies_beside_the_originals_do_not_count_twice(tmp_path):
    folder = timit(tmp_path)
    for path in list(folder.rglob("*.WAV")):
        path.with_name(path.name + ".wav").write_bytes(riff(read_sound(path.read_bytes(), "x")[0]))
    assert [len(split) for split in load_timit(folder).splits.values()] == [4, 2, 2]


def test_phones_are_folded_where_that_is_asked_for(tmp_path):
    folded = load_timit(timit(tmp_path), folded=True)
    assert (folded.name, folded.output_size) == ("timit[folded]", 39)
    assert {word.split("×")[0] for word in folded.text(folded.train.targets_of(0)).split()} == {"sil", "iy"}


def test_without_a_folder_the_message_says_where_to_apply_and_what_it_looks_like(tmp_path):
    for action in (ok.load_dataset, ok.fetch_dataset):
        with pytest.raises(MissingDataError) as caught:
            action("timit", data_dir=tmp_path)
        message = str(caught.value)
        for part in (
            "catalog.ldc.upenn.edu",
            "timit/TRAIN/DR1/FCJF0/SX37.WAV",
            str(tmp_path / "timit"),
            "ODYSSEY_DATA",
        ):
            assert part in message


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:2_000]),
            r"of 4,000 samples are there; the file is truncated",
        ),
        (lambda path: path.write_bytes(b"no sound at all"), "expected a RIFF or NIST SPHERE sound file"),
        (lambda path: path.write_bytes(sphere(tone(4_000), rate=8_000)), "8,000 samples a second, expected 16,000"),
        (lambda path: path.write_bytes(sphere(tone(4_000), coding="pcm,embedded-shorten-v2.00")), "sph2pipe"),
        (lambda path: path.write_bytes(sphere(tone(300))), "at least the 400 of a frame"),
        (lambda path: path.with_suffix(".PHN").unlink(), r"has no file train/dr1/fcjf0/si1027\.phn"),
        (lambda path: path.with_suffix(".PHN").write_bytes(b"0 9 xx\n"), "one of 61 phones"),
        (lambda path: path.with_suffix(".PHN").write_bytes(b"0 900 h#\n"), "has no phone at frame"),
    ],
    ids=["truncated", "no sound", "rate", "shorten", "too short", "no phones", "unknown phone", "phones end early"],
)
def test_a_damaged_timit_is_refused_with_file_and_reason(tmp_path, spoil, reason):
    folder = timit(tmp_path)
    spoil(sorted(folder.rglob("FCJF0/SI*.WAV"))[0])
    with pytest.raises(DataError, match=reason) as caught:
        ok.load_dataset("timit", data_dir=folder)
    assert str(tmp_path) in str(caught.value)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = timit(tmp_path / "mine")
    sound = sorted(folder.rglob("FCJF0/SI*.WAV"))[0]
    (tmp_path / "secret.wav").write_bytes(sound.read_bytes())
    sound.unlink()
    sound.symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DataError, match="leads out of the folder"):
        ok.load_dataset("timit", data_dir=folder)


def test_features_are_computed_once_and_again_when_a_file_changes(tmp_path, cache, monkeypatch):
    folder = timit(tmp_path)
    first = load_timit(folder)
    assert len(list((cache / "timit").glob("prepared-*.npz"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr("odyssey_kit.data.corpora.timit.read_sound", None)  # reading again would fail
        again = load_timit(folder)
    np.testing.assert_array_equal(first.test.inputs, again.test.inputs)
    sound = sorted(folder.rglob("FCJF0/SX*.WAV"))[0]
    sound.write_bytes(sphere(tone(5_000, seed=9)))
    sound.with_suffix(".PHN").write_bytes(b"0 5000 ae\n")
    assert load_timit(folder).train.frames != first.train.frames


# ---- sounds and phones ----------------------------------------------------------------------


def test_both_byte_orders_of_sphere_are_read():
    samples = tone(1_000)
    for order in ("01", "10"):
        got, rate = read_sound(sphere(samples, order=order), "x")
        np.testing.assert_array_equal(got, samples)
        assert rate == 16_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected a RIFF or NIST SPHERE sound file"),
        (b"RIFF\x00\x00", "not a readable wav file"),
        (riff(tone(100))[:-10], "truncated"),
        (riff(tone(100), channels=2), "2 channels of 16 bits, expected one of 16"),
        (b"NIST_1A\n   99\n", "no size that fits"),
        (b"NIST_1A\n   32\n" + b" " * 100, "has no end"),
        (sphere(tone(9), order="00"), "sample_byte_format"),
        (sphere(np.zeros(0, np.int16)), "0 samples"),
        (riff(tone(100), rate=1), "at 1 a second"),
    ],
)
def test_what_is_no_sound_is_refused(data, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_sound(data, "some.wav")
    assert str(caught.value).startswith("some.wav: ")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has no phones"),
        (b"0 10\n", "line 1 is '0 10'"),
        (b"0 10 h#\n5 20 iy\n", "before the line above ends"),
        (b"10 0 h#\n", "goes from 10 to 0"),
        (b"0 10 H#\n", "one of 61 phones"),
        (b"0 99999999999999 h#\n", "expected 'start end phone'"),
    ],
)
def test_lines_that_are_no_phones_are_refused(data, reason):
    with pytest.raises(DataError, match=reason):
        parse_phones(data, "x.phn")


# ---- the stand-in ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    if not REAL_DATA:
        pytest.skip("ODYSSEY_DATA is not set: spoken-digits not tested on their files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODYSSEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = ok.load_dataset("spoken-digits", data_dir=REAL_DATA)
        assert data.train.inputs.size
        data.valid.inputs, data.test.inputs  # noqa: B018 - read while the cache is there
    return data


def test_spoken_digits_have_their_known_counts(digits):
    assert [len(split) for split in digits.splits.values()] == [1_937, 500, 500]
    assert sum(len(split) for split in digits.splits.values()) == 2_937
    speakers = {name: {title.split("/")[0] for title in split.names} for name, split in digits.splits.items()}
    assert speakers == {"train": {"george", "jackson", "lucas", "nicolas"}, "valid": {"theo"}, "test": {"yweweler"}}
    assert digits.output_size == len(PHONES) == 20
    assert (digits.input_size, digits.task, digits.stand_in_for) == (39, "frame-wise", "timit")
    assert [split.frames for split in digits.splits.values()] == [87_914, 18_440, 16_712]


def test_the_silence_that_was_added_is_gone(digits):
    labels = np.concatenate([split.targets for split in digits.splits.values()])
    share = np.mean(labels == PHONES.index("SIL"))
    # 53.5 % of the padded frames are silence; 40 of them a recording are padding, the rest is the recordings' own.
    assert 0.1 < share < 0.25
    assert set(np.unique(labels)) == set(range(20))


def test_features_are_scaled_by_train_alone(digits):
    assert digits.train.inputs.mean(axis=0, dtype=float) == pytest.approx(np.zeros(39), abs=1e-5)
    assert digits.train.inputs.std(axis=0, dtype=float) == pytest.approx(np.ones(39), abs=1e-4)
    assert np.abs(digits.test.inputs.mean(axis=0, dtype=float)).max() > 0.1, "another voice has other statistics"


def test_the_zero_of_george_says_zero(digits):
    index = digits.train.names.index("george/0_george_0")
    runs = [word.split("×")[0] for word in digits.text(digits.train.targets_of(index)).split()]
    assert [run for run in runs if run != "SIL"] == ["Z", "IY", "R", "OW"]
    assert "machine" in ok.describe_dataset("spoken-digits", look=False).manifest.description

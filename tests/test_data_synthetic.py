"""Synthetic corpora are the same everywhere, have the forms of the real ones, and can be learnt."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

import odyssey_kit as ok
from odyssey_kit.data import TASKS
from odyssey_kit.data.corpora import synthetic_speech
from odyssey_kit.data.corpora.glyphs import DIGITS, LETTERS, WORDS, raster, written
from odyssey_kit.data.corpora.synthetic import SYNTHETIC

each_corpus = pytest.mark.parametrize("name", sorted(SYNTHETIC))


def test_there_is_one_for_every_form_of_task():
    assert {ok.load_dataset(name).task for name in SYNTHETIC} == set(TASKS)


@each_corpus
def test_it_is_the_same_every_time_and_says_what_it_is(name):
    one, other = ok.load_dataset(name), ok.load_dataset(name)
    for split in one.splits:
        np.testing.assert_array_equal(one.splits[split].inputs, other.splits[split].inputs)
        np.testing.assert_array_equal(one.splits[split].targets, other.splits[split].targets)
    assert one.stand_in_for is not None
    assert f"stand-in for {one.stand_in_for}" in repr(one)
    assert "not comparable" in one.card()
    assert one.sha256 == "generated from seed 2017"
    assert ok.fetch_dataset(name) == []


@each_corpus
def test_its_inputs_are_of_the_order_of_one(name):
    inputs = ok.load_dataset(name).train.inputs
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() < 30
    assert 0.05 < np.sqrt(np.mean(inputs**2)) < 3


@each_corpus
def test_no_split_repeats_another(name):
    data = ok.load_dataset(name)
    seen = [{inputs.tobytes() for inputs, _ in split} for split in data.splits.values()]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


@pytest.mark.parametrize("name", ["synthetic-strokes", "synthetic-lines"])
def test_every_line_can_be_aligned(name):
    data = ok.load_dataset(name)
    for split in data.splits.values():
        for index in range(len(split)):
            labels = split.targets_of(index)
            assert len(labels) + np.sum(labels[1:] == labels[:-1]) <= split.lengths[index]
            assert set(data.text(labels).split()) <= set(WORDS)


def test_strokes_lift_the_pen_once_a_stroke():
    text = "ant"
    strokes = written(text, np.random.default_rng(0))
    assert len(strokes) == sum(len(LETTERS[letter]) for letter in text)


def test_ink_follows_the_pen():
    ink = raster([np.array([[2.0, 2.0], [8.0, 8.0]])], (10, 10), thickness=1.5)
    assert np.trace(np.fliplr(ink)[2:8, 2:8]) > 5
    assert ink[:2, :2].max() == ink[-2:, -2:].max() == 0.0


def test_digits_are_told_apart_by_a_simple_classifier():
    data = ok.load_dataset("synthetic-digits")
    (train, test) = (split.inputs.reshape(len(split), -1) for split in (data.train, data.test))
    model = LogisticRegression(max_iter=300).fit(train, data.train.targets)
    assert model.score(test, data.test.targets) > 0.8
    assert set(data.train.targets) <= set(range(1, 11))
    assert len(DIGITS) == 10


def test_phones_are_told_apart_frame_by_frame():
    data = ok.load_dataset("synthetic-speech")
    model = LinearDiscriminantAnalysis().fit(data.train.inputs, data.train.targets)
    assert model.score(data.test.inputs, data.test.targets) > 0.75
    assert data.symbols[0] == "sil"


def test_formants_are_where_they_were_put():
    rng = np.random.default_rng(1)
    vowel = synthetic_speech._sound("iy", 4_000, 100.0, 1.0, rng)
    spectrum = np.abs(np.fft.rfft(vowel * np.hanning(4_000))) ** 2
    hertz = np.fft.rfftfreq(4_000, 1 / synthetic_speech.RATE)
    low, high = synthetic_speech.FORMANTS["iy"][:2]
    near = [spectrum[np.abs(hertz - formant) < 150].sum() for formant in (low, high)]
    between = spectrum[np.abs(hertz - 1_200) < 150].sum()
    assert min(near) > 20 * between


def test_music_is_better_foretold_by_its_own_past_than_by_its_mean():
    data = ok.load_dataset("synthetic-music")
    inputs, targets = data.train.inputs, data.train.targets
    weights, *_ = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], targets, rcond=None)
    test = np.c_[data.test.inputs, np.ones(len(data.test.inputs))]
    error = np.mean((test @ weights - data.test.targets) ** 2)
    assert error < 0.7 * np.mean((targets.mean(axis=0) - data.test.targets) ** 2)

"""Synthetic corpora: one for each form of task, made by a recipe from a seed, small enough to train on in seconds.

For tests, documentation and first steps. Each has the shape of one of the papers' corpora and the difficulty
of none, so no number on them says anything about those. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from odyssey_kit.data.alphabet import BLANK
from odyssey_kit.data.corpora import synthetic_speech as speech
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.corpora.glyphs import DIGITS, LETTERS, WORDS, polyline, raster, written
from odyssey_kit.data.corpora.mnist import SYMBOLS as DIGIT_SYMBOLS
from odyssey_kit.data.corpora.speech import speech_splits
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import lazy_splits
from odyssey_kit.data.sequences import Split
from odyssey_kit.data.strokes import pen_features

__all__ = ["SEED", "SYNTHETIC", "digits", "lines", "music", "streams", "strokes"]

SEED = 2017
RECIPE = f"generated from seed {SEED}"
SIZES = {"train": 120, "valid": 40, "test": 40}
SYMBOLS = (BLANK, " ", *sorted(LETTERS))
KEYS, ROWS, SIDE = 24, 24, 14

Sequence = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Iterator[Sequence]]


def music(rng: np.random.Generator, count: int) -> Iterator[Sequence]:
    """Yield pieces on 24 keys: broken chords over a bass, the harmony a walk among four chords; next-step pairs."""
    chords = np.array([[0, 4, 7], [5, 9, 12], [7, 11, 14], [9, 12, 16]])
    walk = np.array([[0.1, 0.4, 0.3, 0.2], [0.4, 0.1, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.3, 0.0]])
    patterns = ((0, 1, 2, 1), (0, 2, 1, 2), (2, 1, 0, 1))
    for _ in range(count):
        pattern = patterns[0]
        steps = 4 * int(rng.integers(6, 11)) + 1
        roll, chord = np.zeros((steps, KEYS), dtype=np.float32), 0
        for step in range(steps):
            if step % 4 == 0:
                chord = int(rng.choice(4, p=walk[chord])) if step else 0
                pattern = patterns[int(rng.integers(len(patterns)))]
            tones = chords[chord]
            roll[step, tones[0] % 12] = 1
            roll[step, 7 + tones[pattern[step % 4]]] = 1
        yield roll[:-1], roll[1:]


def strokes(rng: np.random.Generator, count: int) -> Iterator[Sequence]:
    """Yield words written by a pen that is sampled at even distances, and their letters."""
    for text in _texts(rng, count, words=2):
        points = [polyline(stroke, 0.2) for stroke in written(text, rng)]
        ends = np.cumsum([len(stroke) for stroke in points]) - 1
        lifted = np.zeros(ends[-1] + 1, dtype=bool)
        lifted[ends] = True
        frames = pen_features(np.concatenate(points), 0.05 * np.arange(len(lifted)), lifted, halve=False)
        frames[:, :2] /= 0.25  # a movement is of the order of 1
        yield frames, _classes(text)


def lines(rng: np.random.Generator, count: int) -> Iterator[Sequence]:
    """Yield lines of words as they look when printed unevenly, 24 rows high, and their letters."""
    for text in _texts(rng, count, words=3):
        size = rng.uniform(8.0, 10.0)
        shapes = [size * stroke + (4.0, 5.0 + rng.uniform(-1, 1)) for stroke in written(text, rng, wobble=0.015)]
        width = int(np.ceil(max(stroke[:, 0].max() for stroke in shapes))) + 4
        ink = raster(shapes, (ROWS, width), thickness=rng.uniform(1.2, 2.2))
        noisy = np.clip(ink + 0.08 * rng.standard_normal(ink.shape), 0.0, 1.0)
        yield noisy.T.astype(np.float32), _classes(text)


def digits(rng: np.random.Generator, count: int) -> Iterator[Sequence]:
    """Yield digits, 14 by 14 pixels read column by column, and the class of each."""
    for _ in range(count):
        digit = int(rng.integers(10))
        turn = rng.uniform(-0.25, 0.25)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        size, place = rng.uniform(8.5, 10.5), rng.uniform(6.4, 7.6, size=2)
        shapes = [
            size * (np.array(points) - 0.5 + 0.03 * rng.standard_normal((len(points), 2))) @ rotation + place
            for points in DIGITS[str(digit)]
        ]
        ink = raster(shapes, (SIDE, SIDE), thickness=rng.uniform(1.0, 1.8))
        yield ink.T.astype(np.float32), np.array([digit or 10])


def _texts(rng: np.random.Generator, count: int, words: int) -> Iterator[str]:
    for _ in range(count):
        yield " ".join(rng.choice(WORDS, size=int(rng.integers(1, words + 1))))


def _classes(text: str) -> np.ndarray:
    return np.array([SYMBOLS.index(character) for character in text])


def streams(name: str) -> Iterator[tuple[str, int, np.random.Generator]]:
    """Yield each split's name and size, and a stream of random numbers of its own."""
    seeds = np.random.SeedSequence([SEED, *name.encode()]).spawn(len(SIZES))
    for (split, count), stream in zip(SIZES.items(), seeds, strict=True):
        yield split, count, np.random.Generator(np.random.PCG64(stream))


def load(draw: Draw, symbols: tuple[str, ...], opened: Opened, options: frozenset[str]) -> SequenceDataset:
    """Return a generated data set."""
    splits = {split: Split.from_list(draw(rng, count)) for split, count, rng in streams(opened.manifest.name)}
    return described(opened.manifest, splits, sha256=RECIPE, symbols=symbols, options=options)


def load_speech(opened: Opened, options: frozenset[str]) -> SequenceDataset:
    """Return synthetic speech, with the features and the scaling of real speech."""
    words = {split: speech.utterances(rng, count, split) for split, count, rng in streams(opened.manifest.name)}
    arrays = speech_splits(words, speech.RECIPE, source=RECIPE, progress=False)
    return described(opened.manifest, lazy_splits(arrays), sha256=RECIPE, symbols=speech.PHONES, options=options)


SYNTHETIC = {
    "synthetic-digits": partial(load, digits, DIGIT_SYMBOLS),
    "synthetic-lines": partial(load, lines, SYMBOLS),
    "synthetic-music": partial(load, music, ()),
    "synthetic-speech": load_speech,
    "synthetic-strokes": partial(load, strokes, SYMBOLS),
}

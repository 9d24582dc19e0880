"""Synthetic speech: vowels with three formants, two hisses and silence, with the times of their phones.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import numpy as np

from odyssey_kit.data.corpora.speech import Utterance
from odyssey_kit.data.mfcc import MFCC

__all__ = ["PHONES", "RATE", "RECIPE", "spoken", "utterances"]

RATE = 8_000
RECIPE = MFCC(sample_rate=RATE, fft_size=256)
# Formants in Hz, after Peterson and Barney (1952), of the vowels in heed, head, had, who'd and hod.
FORMANTS = {"iy": (270, 2290, 3010), "eh": (530, 1840, 2480), "ae": (660, 1720, 2410), "uw": (300, 870, 2240),
            "aa": (730, 1090, 2440)}  # fmt: skip
HISSES = {"s": (3_500,), "sh": (2_300,)}
PHONES = ("sil", *FORMANTS, *HISSES)


def spoken(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Return samples of one made-up word in a made-up voice, and its phones as (first sample, end, class)."""
    pitch, tract = rng.uniform(90, 220), rng.uniform(0.9, 1.15)
    vowels, hisses = list(FORMANTS), list(HISSES)
    names = ["sil"]
    for _ in range(int(rng.integers(2, 4))):
        names += [hisses[int(rng.integers(len(hisses)))]] if rng.random() < 0.6 else []
        names += [vowels[int(rng.integers(len(vowels)))]]
    pieces, segments, now = [], [], 0
    for name in [*names, "sil"]:
        samples = int(rng.integers(400, 1_000))
        pieces.append(_sound(name, samples, pitch, tract, rng))
        segments.append((now, now + samples, PHONES.index(name)))
        now += samples
    sound = np.concatenate(pieces) + 0.003 * rng.standard_normal(now)
    return sound, segments


def utterances(rng: np.random.Generator, count: int, name: str) -> list[Utterance]:
    """Return made-up words with their phones."""
    return [Utterance(f"{name}/{index}", *spoken(rng)) for index in range(count)]


def _sound(name: str, samples: int, pitch: float, tract: float, rng: np.random.Generator) -> np.ndarray:
    from scipy.signal import lfilter

    if name == "sil":
        return np.zeros(samples)
    if name in HISSES:
        source, formants, bandwidth = rng.standard_normal(samples), HISSES[name], 600.0
    else:
        phase = np.cumsum(np.full(samples, pitch / RATE) * (1 + 0.01 * rng.standard_normal(samples)))
        source, formants, bandwidth = np.diff(np.floor(phase), prepend=0.0), FORMANTS[name], 90.0
    for formant in formants:  # one after the other, as in the vocal tract
        frequency = min(formant * tract, 0.47 * RATE)
        radius = np.exp(-np.pi * bandwidth / RATE)
        source = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2], source)
    fade = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 80)
    return fade * source / max(float(np.abs(source).max()), 1e-9)

"""What corpora of speech with phones share: from samples and segments to standardised features and labels.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.mfcc import MFCC, label_frames, standardise
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.errors import DataError

__all__ = ["Utterance", "speech_splits"]


@dataclass(frozen=True)
class Utterance:
    """One recording: its name, its samples and its phones as (first sample, end, class)."""

    name: str
    samples: np.ndarray
    segments: Sequence[tuple[int, int, int]]


def speech_splits(
    utterances: Mapping[str, Sequence[Utterance]], recipe: MFCC, *, source: str, what: str = "", progress: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of the three splits, features standardised by the statistics of train.

    Raises
    ------
    DataError
        If a recording is shorter than a frame, or its phones leave a frame without one.
    """
    from tqdm.auto import tqdm

    arrays: dict[str, dict[str, np.ndarray]] = {}
    total = sum(map(len, utterances.values()))
    with tqdm(total=total, desc=f"features of {what}", unit="recording", leave=False, disable=not progress) as bar:
        for split in SPLITS:
            features, labels = [], []
            for utterance in utterances[split]:
                features.append(_features(utterance, recipe, source))
                labels.append(_labels(utterance, len(features[-1]), recipe, source))
                bar.update()
            arrays[split] = {
                "inputs": np.concatenate(features),
                "targets": np.concatenate(labels),
                "offsets": offsets_of([len(label) for label in labels]),
                "names": np.array([utterance.name for utterance in utterances[split]]),
            }
    scaled = standardise(arrays["train"]["inputs"], (arrays[split]["inputs"] for split in ("valid", "test")))
    for split, inputs in zip(SPLITS, scaled, strict=True):
        arrays[split]["inputs"] = inputs
    return arrays


def _features(utterance: Utterance, recipe: MFCC, source: str) -> np.ndarray:
    if recipe.frames(len(utterance.samples)) == 0:
        raise DataError(
            f"{source}: {utterance.name} has {len(utterance.samples)} samples, expected at least the "
            f"{recipe.window_samples} of a frame"
        )
    return recipe(utterance.samples)


def _labels(utterance: Utterance, frames: int, recipe: MFCC, source: str) -> np.ndarray:
    labels = label_frames(utterance.segments, frames=frames, window=recipe.window_samples, hop=recipe.hop_samples)
    # Phones may end a little before the recording does: its last frames go on with the last phone.
    last = max((end for _, end, _ in utterance.segments), default=0)
    beyond = recipe.hop_samples * np.arange(frames) >= last
    if len(utterance.segments) and beyond.sum() <= 3:
        labels[beyond] = utterance.segments[-1][2]
    if np.any(labels < 0):
        raise DataError(
            f"{source}: {utterance.name} has no phone at frame {int(np.argmax(labels < 0))} of {frames}; "
            f"its phones reach from sample {utterance.segments[0][0] if utterance.segments else 0} to {last}"
        )
    return labels

"""A data set of sequences: its three splits, what is to be told of them, and where it comes from.

May import `errors` and `data.sequences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from odyssey_kit.data.sequences import Split, number
from odyssey_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASKS", "SequenceDataset"]

# What is to be told of a sequence. The blank, or epsilon, of the last two is class 0.
TASKS: Mapping[str, str] = {
    "next-step": "the next frame, real values",
    "frame-wise": "a class for every frame",
    "classification": "one class for a whole sequence; class 0 is for the other steps",
    "transcription": "a string of classes for a whole sequence; class 0 is the blank",
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SequenceDataset:
    """A data set of sequences with its three splits, and where it comes from.

    Parameters
    ----------
    name : str
        As in `list_datasets`, with its options: ``"mnist[binary]"``.
    task : str
        "next-step": the targets of a piece are its own frames, one step later. "frame-wise": a label a frame.
        "classification": one label a sequence. "transcription": a string of labels a sequence. In the last two the
        labels begin at 1, because class 0 is the blank.
    train, valid, test : Split
        All of the same widths.
    input_size, output_size : int
        Values a frame; taken from splits and symbols when left at 0.
    symbols : tuple of str
        What each class means, class 0 first; empty for next-step data.
    frame : str
        What a frame is, in words.
    stand_in_for : str or None
        The papers' data set that this one takes the place of; None for the papers' own data.
    sha256 : str
        Hash of the verified files that the numbers were read from; goes into every trial's record.
    licence, citation : str
        Terms of the data, and what to cite.

    Raises
    ------
    UsageError
        If the splits do not fit each other, the task or the sizes given.
    """

    name: str
    task: str
    train: Split
    valid: Split
    test: Split
    input_size: int = 0
    output_size: int = 0
    symbols: tuple[str, ...] = ()
    frame: str = ""
    stand_in_for: str | None = None
    sha256: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UsageError(f"data set {self.name!r}: task is {self.task!r}, expected one of {', '.join(TASKS)}")
        if self.input_size == 0:
            object.__setattr__(self, "input_size", self.train.input_size)
        if self.output_size == 0:
            sizes = [len(self.symbols)] if self.symbols else [split.output_size for split in self.splits.values()]
            object.__setattr__(self, "output_size", max(sizes) if self.train.has_labels else self.train.output_size)
        for name, split in self.splits.items():
            self._check_split(name, split)
        if self.symbols and len(self.symbols) != self.output_size:
            raise UsageError(
                f"data set {self.name!r}: {len(self.symbols)} symbols for output_size={self.output_size} classes"
            )

    def _check_split(self, name: str, split: Split) -> None:
        if split.input_size != self.input_size:
            raise UsageError(
                f"data set {self.name!r}: inputs of {name} are {split.input_size} wide, "
                f"expected input_size={self.input_size}"
            )
        if split.has_labels != (self.task != "next-step"):
            got = "labels" if split.has_labels else "real frames"
            raise UsageError(f"data set {self.name!r}: targets of {name} are {got}, task {self.task!r} has others")
        if split.has_labels:
            if split.output_size > self.output_size:
                raise UsageError(
                    f"data set {self.name!r}: {name} has the label {split.output_size - 1}, expected 0 to "
                    f"{self.output_size - 1}"
                )
            least = 1 if self.task in ("classification", "transcription") else 0
            if len(split.targets) and split.targets.min() < least:
                raise UsageError(f"data set {self.name!r}: {name} has the label 0, which is the blank's")
        elif split.output_size != self.output_size:
            raise UsageError(
                f"data set {self.name!r}: targets of {name} are {split.output_size} wide, "
                f"expected output_size={self.output_size}"
            )
        wrong = {
            "frame-wise": lambda: split.label_offsets is not None,
            "classification": lambda: bool(np.any(split.target_lengths != 1)),
        }
        if self.task in wrong and wrong[self.task]():
            raise UsageError(f"data set {self.name!r}: {name} has {TASKS[self.task]} only in part")

    @property
    def splits(self) -> Mapping[str, Split]:
        """The three splits by name, in the order train, valid, test."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def what(self) -> str:
        """Say whether these are the papers' own data or a stand-in, and for what."""
        return f"stand-in for {self.stand_in_for}" if self.stand_in_for else "papers' own data"

    def text(self, labels: Any) -> str:
        """Return labels as what they mean: characters joined, or words with how often they stand in a row.

        Examples
        --------
        >>> split = Split.from_list([(np.zeros((4, 1)), [1, 2, 2])])
        >>> made_up = SequenceDataset(
        ...     name="x", task="transcription", train=split, valid=split, test=split, symbols=("", "a", "b")
        ... )
        >>> made_up.text([1, 2, 2])
        'abb'
        """
        symbols = self.symbols or tuple(map(str, range(self.output_size)))
        words = [symbols[label] for label in labels]
        if self.task != "frame-wise":
            return "".join(words)
        runs = [(word, len(list(run))) for word, run in groupby(words)]
        return " ".join(word if count == 1 else f"{word}×{count}" for word, count in runs)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sequence.

        Returns
        -------
        pandas.DataFrame
            Columns split, index (within the split) and frames (to be predicted: for next-step data one
            fewer than the piece has); where sequences have names, name; where they have labels, labels (how many)
            and target (what they say).
        """
        import pandas as pd

        rows = []
        for name, split in self.splits.items():
            for index, frames in enumerate(split.lengths):
                row: dict[str, Any] = {"split": name, "index": index, "frames": int(frames)}
                if split.names:
                    row["name"] = split.names[index]
                if split.has_labels:
                    labels = split.targets_of(index)
                    row |= {"labels": len(labels), "target": self.text(labels)}
                rows.append(row)
        return pd.DataFrame(rows)

    def card(self) -> str:
        """Return a page of text: what the data are, their splits, a first example, licence and citation."""
        lines = [f"{self.name}: {self.what.upper() if self.stand_in_for else self.what}"]
        lines += [
            f"task: {self.task}" if self.task == "next-step" else f"task: {self.task} ({TASKS[self.task]})",
            f"a frame: {number(self.input_size, 'input')}, {number(self.output_size, self._outputs)}"
            + (f" ({self.frame})" if self.frame else ""),
        ]
        for name, split in self.splits.items():
            low, middle, high = np.percentile(split.lengths, [0, 50, 100])
            lines.append(
                f"{name}: {number(len(split), 'sequence')}, {number(split.frames, 'frame')} to "
                f"{'predict' if self.task == 'next-step' else 'read'}"
                + (f", {number(len(split.targets), 'label')}" if self.task == "transcription" else "")
                + f"; shortest {low:.0f}, median {middle:.0f}, longest {high:.0f}"
            )
        lines += self._labels_and_example()
        lines += [f"sha256: {self.sha256}", f"licence: {self.licence}", f"cite: {self.citation}"]
        if self.stand_in_for:
            lines.append(f"Numbers on {self.name} are not comparable with published ones on {self.stand_in_for}.")
        return "\n".join(lines)

    def _labels_and_example(self) -> list[str]:
        if not self.train.has_labels:
            inputs, _ = self.train[0]
            on = ", ".join(map(str, np.flatnonzero(inputs[0]))) or "none"
            return [f"first example: {number(len(inputs), 'frame')}; inputs that are not 0 in the first: {on}"]
        counts = np.bincount(self.train.targets, minlength=self.output_size)
        order = [label for label in np.argsort(-counts, kind="stable")[:5] if counts[label]]
        names = self.symbols or tuple(map(str, range(self.output_size)))
        common = ", ".join(f"{names[label]!r} {100 * counts[label] / counts.sum():.1f} %" for label in order)
        first = self.train.names[0] + ": " if self.train.names else ""
        shown = self.text(self.train.targets_of(0))
        return [
            f"classes: {self.output_size}; the most common in train: {common}",
            f"first example: {first}{shown if len(shown) <= 160 else shown[:157] + '...'}",
        ]

    @property
    def _outputs(self) -> str:
        return "output" if self.task == "next-step" else "class"

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(split)}" for name, split in self.splits.items())
        return (
            f"SequenceDataset({self.name!r}, {self.what}, {self.task}, {number(self.input_size, 'input')}, "
            f"{number(self.output_size, self._outputs)}, sequences: {counts})"
        )

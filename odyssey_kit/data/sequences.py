"""Sequences in memory: the splits of a data set, laid end to end, and the data set itself.

Arrays are plain numpy; whoever trains turns them into what it needs. May import `errors` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from odyssey_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SequenceDataset", "Split"]

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Sequences of different lengths, laid end to end.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (frames, features), float32
        All sequences' inputs, one after the other.
    targets : numpy.ndarray, shape (frames, outputs), float32
        What is to be predicted at each frame.
    offsets : numpy.ndarray, shape (sequences + 1,), int64
        Sequence i is frames ``offsets[i]:offsets[i + 1]``.

    Raises
    ------
    UsageError
        If shapes, types or offsets do not fit each other.

    Examples
    --------
    >>> split = Split.from_list([(np.zeros((3, 2)), np.ones((3, 1))), (np.zeros((5, 2)), np.ones((5, 1)))])
    >>> split
    Split(2 sequences, 8 frames, 2 inputs, 1 output)
    >>> split.lengths
    array([3, 5])
    """

    inputs: np.ndarray
    targets: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        for name in ("inputs", "targets"):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32:
                raise UsageError(
                    f"Split: {name} is {_describe(array)}, expected a float32 array of shape (frames, width)"
                )
        if len(self.inputs) != len(self.targets):
            raise UsageError(
                f"Split: {len(self.inputs)} frames of inputs and {len(self.targets)} of targets, expected as many"
            )
        offsets = self.offsets
        if not isinstance(offsets, np.ndarray) or offsets.ndim != 1 or offsets.dtype != np.int64 or len(offsets) < 1:
            raise UsageError(
                f"Split: offsets is {_describe(offsets)}, expected an int64 array of shape (sequences + 1,)"
            )
        if offsets[0] != 0 or offsets[-1] != len(self.inputs) or np.any(np.diff(offsets) < 1):
            raise UsageError(
                f"Split: offsets run from {offsets[0]} to {offsets[-1]}; expected a strict rise "
                f"from 0 to the {len(self.inputs)} frames (no sequence is empty)"
            )

    @classmethod
    def from_list(cls, sequences: Iterable[tuple[Any, Any]]) -> Split:
        """Lay pairs of (inputs, targets) end to end.

        Parameters
        ----------
        sequences : iterable of pairs of array-likes
            Shapes ``(time, features)`` and ``(time, outputs)``; widths are the same for all.

        Raises
        ------
        UsageError
            If there is no sequence, one is empty, or shapes do not fit.
        """
        pairs = [_checked_pair(index, pair) for index, pair in enumerate(sequences)]
        if not pairs:
            raise UsageError("Split.from_list: got no sequence, expected at least one pair of (inputs, targets)")
        widths = [(inputs.shape[1], targets.shape[1]) for inputs, targets in pairs]
        for index, width in enumerate(widths):
            if width != widths[0]:
                raise UsageError(
                    f"Split.from_list: sequence {index} has widths (inputs, targets) {width}, "
                    f"expected {widths[0]} as sequence 0"
                )
        lengths = [len(inputs) for inputs, _ in pairs]
        return cls(
            np.concatenate([inputs for inputs, _ in pairs]),
            np.concatenate([targets for _, targets in pairs]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each sequence, shape (sequences,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Pair:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        index = int(index) % len(self)
        frames = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.inputs[frames], self.targets[frames]

    def __iter__(self) -> Iterator[Pair]:
        return (self[index] for index in range(len(self)))

    def padded(self, indices: Sequence[int] | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sequences side by side, the shorter ones filled up with zeros.

        Parameters
        ----------
        indices : sequence of int, optional
            Which sequences; all of them by default.

        Returns
        -------
        inputs : numpy.ndarray, shape (time, batch, features)
        targets : numpy.ndarray, shape (time, batch, outputs)
        lengths : numpy.ndarray, shape (batch,)
            Frames that count; what lies beyond them is filling.

        Examples
        --------
        >>> split = Split.from_list([(np.ones((2, 1)), np.ones((2, 1))), (np.ones((3, 1)), np.ones((3, 1)))])
        >>> inputs, targets, lengths = split.padded()
        >>> inputs[:, :, 0]
        array([[1., 1.],
               [1., 1.],
               [0., 1.]], dtype=float32)
        """
        chosen = [self[index] for index in (range(len(self)) if indices is None else indices)]
        if not chosen:
            raise UsageError("Split.padded: got no indices, expected at least one")
        lengths = np.array([len(inputs) for inputs, _ in chosen], dtype=np.int64)
        shape = (int(lengths.max()), len(chosen))
        inputs = np.zeros((*shape, self.inputs.shape[1]), dtype=np.float32)
        targets = np.zeros((*shape, self.targets.shape[1]), dtype=np.float32)
        for column, (sequence_inputs, sequence_targets) in enumerate(chosen):
            inputs[: lengths[column], column] = sequence_inputs
            targets[: lengths[column], column] = sequence_targets
        return inputs, targets, lengths

    def __repr__(self) -> str:
        return (
            f"Split({_number(len(self), 'sequence')}, {_number(len(self.inputs), 'frame')}, "
            f"{_number(self.inputs.shape[1], 'input')}, {_number(self.targets.shape[1], 'output')})"
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SequenceDataset:
    """A data set of sequences with its three splits, and where it comes from.

    Parameters
    ----------
    name : str
        As in `list_datasets`.
    task : str
        "next-step": the targets of a piece are its own frames, one step later.
    train, valid, test : Split
        All of the same widths.
    input_size, output_size : int
        Values a frame; taken from the splits when left at 0.
    stand_in_for : str or None
        The papers' data set that this one takes the place of; None for the papers' own data.
    sha256 : str
        Hash of the verified file that the numbers were read from; goes into every trial's record.
    licence, citation : str
        Terms of the data, and what to cite.

    Raises
    ------
    UsageError
        If the splits do not fit each other or the sizes given.
    """

    name: str
    task: str
    train: Split
    valid: Split
    test: Split
    input_size: int = 0
    output_size: int = 0
    stand_in_for: str | None = None
    sha256: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        for field, array in (("input_size", "inputs"), ("output_size", "targets")):
            if getattr(self, field) == 0:
                object.__setattr__(self, field, getattr(self.train, array).shape[1])
            for name, split in self.splits.items():
                got = getattr(split, array).shape[1]
                if got != getattr(self, field):
                    raise UsageError(
                        f"data set {self.name!r}: {array} of {name} are {got} wide, "
                        f"expected {field}={getattr(self, field)}"
                    )

    @property
    def splits(self) -> Mapping[str, Split]:
        """The three splits by name, in the order train, valid, test."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def what(self) -> str:
        """Say whether these are the papers' own data or a stand-in, and for what."""
        return f"stand-in for {self.stand_in_for}" if self.stand_in_for else "papers' own data"

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sequence.

        Returns
        -------
        pandas.DataFrame
            Columns split, index (within the split) and frames (to be predicted: for next-step data one
            fewer than the piece has).
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {"split": name, "index": index, "frames": int(frames)}
                for name, split in self.splits.items()
                for index, frames in enumerate(split.lengths)
            ]
        )

    def card(self) -> str:
        """Return a page of text: what the data are, their splits, licence and citation."""
        lines = [f"{self.name}: {self.what.upper() if self.stand_in_for else self.what}", f"task: {self.task}"]
        lines.append(f"a frame: {_number(self.input_size, 'input')}, {_number(self.output_size, 'output')}")
        for name, split in self.splits.items():
            low, middle, high = np.percentile(split.lengths, [0, 50, 100])
            lines.append(
                f"{name}: {_number(len(split), 'sequence')}, {_number(len(split.inputs), 'frame')} to predict; "
                f"shortest {low:.0f}, median {middle:.0f}, longest {high:.0f}"
            )
        lines += [f"sha256: {self.sha256}", f"licence: {self.licence}", f"cite: {self.citation}"]
        if self.stand_in_for:
            lines.append(f"Numbers on {self.name} are not comparable with published ones on {self.stand_in_for}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(split)}" for name, split in self.splits.items())
        return (
            f"SequenceDataset({self.name!r}, {self.what}, {self.task}, {_number(self.input_size, 'input')}, "
            f"{_number(self.output_size, 'output')}, sequences: {counts})"
        )


def _checked_pair(index: int, pair: Any) -> Pair:
    try:
        inputs, targets = (np.ascontiguousarray(array, dtype=np.float32) for array in pair)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"Split.from_list: sequence {index} is not a pair (inputs, targets) of numeric arrays: {error}"
        ) from error
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets) or len(inputs) < 1:
        raise UsageError(
            f"Split.from_list: sequence {index} has inputs of shape {inputs.shape} and targets of shape "
            f"{targets.shape}, expected (time, features) and (time, outputs) of the same time, at least 1"
        )
    return inputs, targets


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

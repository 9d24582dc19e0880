"""A split of a data set in memory: sequences of different lengths, laid end to end, and what is to be told of each.

Arrays are plain numpy; whoever trains turns them into what it needs. May import `errors` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from odyssey_kit.errors import UsageError

__all__ = ["LazySplit", "Split"]

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Sequences of different lengths, laid end to end.

    Parameters
    ----------
    inputs : numpy.ndarray, shape (frames, features), float32
        All sequences' inputs, one after the other.
    targets : numpy.ndarray
        Real frames, shape (frames, outputs), float32; or labels, shape (labels,), int64.
    offsets : numpy.ndarray, shape (sequences + 1,), int64
        Sequence i is frames ``offsets[i]:offsets[i + 1]``.
    label_offsets : numpy.ndarray, shape (sequences + 1,), int64, optional
        Sequence i has the labels ``label_offsets[i]:label_offsets[i + 1]``: one, or a string of them. Without it
        labels are one a frame.
    names : tuple of str, optional
        What each sequence is called, as ``who/what``: a speaker, a writer or a work before the slash.

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
    label_offsets: np.ndarray | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_matrix(self.inputs, "inputs")
        _check_offsets(self.offsets, "offsets", self._frames(), "frames", least=1)
        if self.has_labels:
            expected = len(self.inputs) if self.label_offsets is None else None
            _check_labels(self.targets, expected)
        else:
            _check_matrix(self.targets, "targets")
            if self.label_offsets is not None:
                raise UsageError("Split: label_offsets go with int64 labels of shape (labels,), not with real targets")
            if len(self.targets) != self._frames():
                raise UsageError(
                    f"Split: {self._frames()} frames of inputs and {len(self.targets)} of targets, expected as many"
                )
        if self.label_offsets is not None:
            _check_offsets(self.label_offsets, "label_offsets", len(self.targets), "labels", least=0)
            if len(self.label_offsets) != len(self.offsets):
                raise UsageError(
                    f"Split: label_offsets are for {len(self.label_offsets) - 1} sequences, offsets for {len(self)}"
                )
        if self.names and len(self.names) != len(self):
            raise UsageError(f"Split: {len(self.names)} names for {len(self)} sequences")

    def _frames(self) -> int:
        return len(self.inputs)

    @classmethod
    def from_list(cls, sequences: Iterable[tuple[Any, Any]], *, names: Sequence[str] = ()) -> Split:
        """Lay pairs of (inputs, targets) end to end.

        Parameters
        ----------
        sequences : iterable of pairs of array-likes
            Inputs of shape ``(time, features)``; targets real, of shape ``(time, outputs)``, or whole-number labels of
            shape ``(labels,)``: one a frame where every sequence has as many labels as frames, else a string of them.
        names : sequence of str, optional
            What each sequence is called.

        Raises
        ------
        UsageError
            If there is no sequence, one is empty, or shapes do not fit.

        Examples
        --------
        >>> Split.from_list([(np.zeros((7, 2)), [3]), (np.zeros((5, 2)), [1, 2])])
        Split(2 sequences, 12 frames, 2 inputs, 3 labels)
        """
        pairs = [_checked_pair(index, pair) for index, pair in enumerate(sequences)]
        if not pairs:
            raise UsageError("Split.from_list: got no sequence, expected at least one pair of (inputs, targets)")
        widths = [(inputs.shape[1], *targets.shape[1:]) for inputs, targets in pairs]
        for index, width in enumerate(widths):
            if width != widths[0]:
                raise UsageError(
                    f"Split.from_list: sequence {index} has widths (inputs, targets) {width}, "
                    f"expected {widths[0]} as sequence 0"
                )
        labelled = pairs[0][1].ndim == 1
        a_frame = all(len(inputs) == len(targets) for inputs, targets in pairs)
        return cls(
            np.concatenate([inputs for inputs, _ in pairs]),
            np.concatenate([targets for _, targets in pairs]),
            offsets_of([len(inputs) for inputs, _ in pairs]),
            offsets_of([len(targets) for _, targets in pairs]) if labelled and not a_frame else None,
            tuple(names),
        )

    @property
    def has_labels(self) -> bool:
        """Whether targets are labels, not real frames."""
        return getattr(self.targets, "ndim", 2) == 1

    @property
    def input_size(self) -> int:
        """Values a frame."""
        return self.inputs.shape[1]

    @property
    def output_size(self) -> int:
        """Real values to predict a frame, or one more than the greatest label."""
        return int(self.targets.max(initial=-1)) + 1 if self.has_labels else self.targets.shape[1]

    @property
    def frames(self) -> int:
        """Frames in all."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each sequence, shape (sequences,)."""
        return np.diff(self.offsets)

    @property
    def target_lengths(self) -> np.ndarray:
        """Frames or labels to be told of each sequence, shape (sequences,)."""
        return self.lengths if self.label_offsets is None else np.diff(self.label_offsets)

    def targets_of(self, index: int) -> np.ndarray:
        """Return the targets of one sequence; its inputs are left unread."""
        bounds = self.offsets if self.label_offsets is None else self.label_offsets
        return self.targets[int(bounds[index]) : int(bounds[index + 1])]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Pair:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        index = int(index) % len(self)
        return self.inputs[int(self.offsets[index]) : int(self.offsets[index + 1])], self.targets_of(index)

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
        targets : numpy.ndarray, shape (time, batch, outputs), or (labels, batch) where targets are labels
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
        inputs, targets = (_side_by_side(arrays) for arrays in zip(*chosen, strict=True))
        return inputs, targets, np.array([len(inputs) for inputs, _ in chosen], dtype=np.int64)

    def __repr__(self) -> str:
        told = number(len(self.targets), "label") if self.has_labels else number(self.output_size, "output")
        return (
            f"Split({number(len(self), 'sequence')}, {number(self.frames, 'frame')}, "
            f"{number(self.input_size, 'input')}, {told})"
        )


class LazySplit(Split):
    """A split that knows everything about its sequences at once, and reads their inputs when they are first touched.

    Parameters
    ----------
    read : callable
        Returns the inputs, shape (frames, input_size), float32.
    input_size : int
        Values a frame.
    targets, offsets, label_offsets, names
        As for `Split`.

    Examples
    --------
    >>> split = LazySplit(lambda: np.ones((3, 2), np.float32), 2, np.array([1, 0, 1]), np.array([0, 3]))
    >>> split, split.inputs.sum()
    (Split(1 sequence, 3 frames, 2 inputs, 3 labels), np.float32(6.0))
    """

    def __init__(
        self,
        read: Callable[[], np.ndarray],
        input_size: int,
        targets: np.ndarray,
        offsets: np.ndarray,
        label_offsets: np.ndarray | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        known = {"targets": targets, "offsets": offsets, "label_offsets": label_offsets, "names": names}
        for name, value in {**known, "_read": read, "_input_size": input_size}.items():
            object.__setattr__(self, name, value)
        frames = int(offsets[-1])
        # The laws of a split hold for stand-ins of no size as they will for the inputs themselves.
        Split(np.broadcast_to(np.float32(0), (frames, input_size)), targets, offsets, label_offsets, names)

    @cached_property
    def inputs(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All sequences' inputs, read now."""
        array = self._read()  # type: ignore[attr-defined]
        _check_matrix(array, "inputs")
        if array.shape != (self.frames, self.input_size):
            raise UsageError(f"Split: read inputs of shape {array.shape}, expected {(self.frames, self.input_size)}")
        return array

    @property
    def input_size(self) -> int:
        """Values a frame."""
        return self._input_size  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:  # a copy in another process has the inputs, not the way to them
        return Split, (self.inputs, self.targets, self.offsets, self.label_offsets, self.names)


def offsets_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return where sequences of these lengths begin when they lie end to end, and where the last one ends.

    Examples
    --------
    >>> offsets_of([2, 3])
    array([0, 2, 5])
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def number(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> number(1, "frame"), number(2000, "frame"), number(82, "class")
    ('1 frame', '2,000 frames', '82 classes')
    """
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def _side_by_side(arrays: Sequence[np.ndarray]) -> np.ndarray:
    longest = max(map(len, arrays))
    together = np.zeros((longest, len(arrays), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for column, array in enumerate(arrays):
        together[: len(array), column] = array
    return together


def _checked_pair(index: int, pair: Any) -> Pair:
    try:
        inputs, targets = pair
        inputs, targets = np.ascontiguousarray(inputs, dtype=np.float32), np.asarray(targets)
        labelled = targets.ndim == 1 and targets.dtype.kind in "iu"
        targets = np.ascontiguousarray(targets, dtype=np.int64 if labelled else np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"Split.from_list: sequence {index} is not a pair (inputs, targets) of numeric arrays: {error}"
        ) from error
    fits = labelled or (targets.ndim == 2 and len(inputs) == len(targets))
    if inputs.ndim != 2 or not fits or len(inputs) < 1:
        raise UsageError(
            f"Split.from_list: sequence {index} has inputs of shape {inputs.shape} and targets of shape "
            f"{targets.shape}, expected (time, features) and (time, outputs) of the same time, at least 1, "
            "or whole-number labels (labels,)"
        )
    return inputs, targets


def _check_matrix(array: Any, name: str) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32:
        raise UsageError(f"Split: {name} is {_describe(array)}, expected a float32 array of shape (frames, width)")


def _check_labels(labels: Any, frames: int | None) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64:
        raise UsageError(f"Split: targets is {_describe(labels)}, expected labels as an int64 array of shape (labels,)")
    if frames is not None and len(labels) != frames:
        raise UsageError(f"Split: {frames} frames of inputs and {len(labels)} labels, expected as many")
    if len(labels) and labels.min() < 0:
        raise UsageError(f"Split: a label is {labels.min()}, expected 0 or more")


def _check_offsets(offsets: Any, name: str, total: int, what: str, *, least: int) -> None:
    if not isinstance(offsets, np.ndarray) or offsets.ndim != 1 or offsets.dtype != np.int64 or len(offsets) < 1:
        raise UsageError(f"Split: {name} is {_describe(offsets)}, expected an int64 array of shape (sequences + 1,)")
    if offsets[0] != 0 or offsets[-1] != total or np.any(np.diff(offsets) < least):
        rise = "a strict rise" if least else "a rise"
        empty = " (no sequence is empty)" if least else ""
        raise UsageError(
            f"Split: {name} run from {offsets[0]} to {offsets[-1]}; expected {rise} from 0 to the {total} {what}{empty}"
        )


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__

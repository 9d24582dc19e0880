"""What a compiled kernel cannot ask: whether sequences fit the network, and an order the sequences.

A kernel that is given another type or size reads and writes beside its arrays, so everything is
checked here first. May import `ctc`, `epoch`, `parameters` and `errors`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from odyssey_kit.engine.ctc import check_labels
from odyssey_kit.engine.epoch import LOSSES, Sequences
from odyssey_kit.engine.parameters import Layout
from odyssey_kit.errors import UsageError

__all__ = ["check_inputs", "check_order", "check_targets"]

_STRINGS = ("ctc", "clstm-ctc")


def check_inputs(inputs: np.ndarray, offsets: np.ndarray, layout: Layout, dtype: Any) -> None:
    """Raise UsageError unless the inputs are of that type, as wide as the layer, and cut into sequences."""
    expected = (int(offsets[-1]), layout.input_size)
    if inputs.dtype != dtype or inputs.shape != expected or not inputs.flags.c_contiguous:
        raise UsageError(
            f"inputs are {inputs.shape} of {inputs.dtype}, expected {expected} of {np.dtype(dtype)}, row by row; "
            f"`sequences(..., dtype={np.dtype(dtype).name!r})` makes them so"
        )
    lengths = np.diff(offsets)
    if offsets[0] != 0 or (lengths < 1).any():
        raise UsageError("offsets must rise from 0, because a sequence has at least one frame; leave out empty ones")


def check_targets(data: Sequences, layout: Layout, dtype: Any, loss: str) -> None:
    """Raise UsageError unless the targets are what the loss wants."""
    frames, classes = int(data.offsets[-1]), layout.output_size
    if loss == LOSSES[0]:
        if data.targets.shape != (frames, classes) or data.targets.dtype != dtype:
            raise UsageError(
                f"loss {loss!r} wants real targets (frames, outputs): got {data.targets.shape} of "
                f"{data.targets.dtype}, expected {(frames, classes)} of {np.dtype(dtype)}"
            )
    elif loss in _STRINGS:
        check_labels(data.labels, data.label_offsets, data.offsets if loss == "ctc" else None, classes)
    elif data.labels.shape != (frames,) or not ((data.labels >= 0) & (data.labels < classes)).all():
        found = f"from {data.labels.min()} to {data.labels.max()}" if data.labels.size else "none"
        raise UsageError(
            f"loss {loss!r} wants a label a frame: got {len(data.labels)} labels, {found}, for {frames} frames; "
            f"expected classes from 0 to {classes - 1}"
        )


def check_order(order: np.ndarray, count: int) -> np.ndarray:
    """Return an order as the kernels take it; raise UsageError if it names a sequence that is not there."""
    order = np.ascontiguousarray(order, np.int64)
    if order.ndim != 1 or not ((order >= 0) & (order < count)).all():
        raise UsageError(f"order names sequences that are not there; expected numbers from 0 to {count - 1}")
    return order

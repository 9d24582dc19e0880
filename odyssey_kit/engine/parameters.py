"""Where every weight of a network lies in one flat vector, and its named views.

Parameters, gradients and velocity are three vectors of this one layout, so that an update is one
pass over memory. The packed matrices are stored input-major (rows are sources), all gates side by
side, the way the kernels multiply; the papers' matrices are transposed views of their columns.
Every array and every row of W, R and Rg begins at a cache line, which makes the products a fifth faster;
the room between is zero, gets no gradient and stays zero. May import `variants` and `errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from odyssey_kit.variants import LSTMVariant

__all__ = ["Layout", "aligned_zeros"]

# A cache line of 64 bytes in single precision.
_LINE = 16


def _whole_lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


def aligned_zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return zeros whose memory begins at a cache line.

    Examples
    --------
    >>> aligned_zeros((3, 5), "float32").ctypes.data % 64
    0
    """
    size, number = int(np.prod(shape)), np.dtype(dtype)
    room = np.zeros(size + 64 // number.itemsize, number)
    start = -room.ctypes.data % 64 // number.itemsize
    return room[start : start + size].reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of one LSTM layer and the output layer on top of it.

    Parameters
    ----------
    variant : LSTMVariant
        The cell.
    input_size, hidden_size, output_size : int
        M, N and K. With ``output_size=0`` there is no output layer.
    bidirectional : bool
        A second set of the layer's arrays, named with ``_reverse`` at the end.

    Notes
    -----
    The order is W (M, G·N), R (N, G·N), b (G·N), p (P, N), Rg (3N, 3N), V (N, K), d (K), for G
    blocks in the order z, i, f, o, and P peephole vectors in the order i, f, o; Rg leads from the
    gates i, f, o at t-1 to those at t; V and d are the output layer, V (2N, K) over two directions.
    Blocks that the variant lacks take no room. The columns of W, R, b and Rg are filled up to whole cache lines.

    Examples
    --------
    >>> import numpy as np, odyssey_kit as ok
    >>> layout = Layout(variant=ok.variant("CIFG"), input_size=3, hidden_size=2, output_size=1)
    >>> layout.parameter_count, layout.size
    (43, 144)
    >>> weights = layout.weights(layout.spread(np.ones(43, dtype=np.float32)))
    >>> list(weights)
    ['W_z', 'W_i', 'W_o', 'R_z', 'R_i', 'R_o', 'b_z', 'b_i', 'b_o', 'p_i', 'p_o', 'W_output', 'b_output']
    >>> weights["W_i"].shape
    (2, 3)
    """

    variant: LSTMVariant
    input_size: int
    hidden_size: int
    output_size: int = 0
    bidirectional: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of each direction's arrays end in."""
        return ("", "_reverse")[: 1 + self.bidirectional]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the packed arrays, in storage order, filled up to whole cache lines."""
        n = self.hidden_size
        columns = _whole_lines(len(self.variant.blocks) * n)
        gates = 3 * n if self.variant.gate_recurrence else 0
        layer = {
            "W": (self.input_size, columns),
            "R": (n, columns),
            "b": (columns,),
            "p": (len(self.variant.peephole_gates), n),
            "Rg": (gates, _whole_lines(gates)),
        }
        layers = {name + suffix: shape for suffix in self.suffixes for name, shape in layer.items()}
        return {**layers, "V": (len(self.suffixes) * n, self.output_size), "d": (self.output_size,)}

    @cached_property
    def starts(self) -> dict[str, int]:
        """Position of each packed array's first element."""
        starts, position = {}, 0
        for name, shape in self.shapes.items():
            starts[name] = position
            position += _whole_lines(int(np.prod(shape)))
        return starts

    @cached_property
    def size(self) -> int:
        """Length of the flat vector, the room between arrays included."""
        return self.starts["d"] + _whole_lines(self.output_size)

    @cached_property
    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return self.variant.parameter_count(
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            output_size=self.output_size,
            bidirectional=self.bidirectional,
        )

    def spread(self, parameters: np.ndarray) -> np.ndarray:
        """Return a flat vector with its room filled from the bare parameters, in storage order."""
        vector = aligned_zeros(self.size, parameters.dtype)
        blocks, gates = len(self.variant.blocks) * self.hidden_size, 3 * self.hidden_size
        columns = {"W": blocks, "R": blocks, "b": blocks, "Rg": gates}
        position = 0
        for name, array in self.packed(vector).items():
            view = array[..., : columns.get(name.partition("_")[0])]
            view[...] = parameters[position : position + view.size].reshape(view.shape)
            position += view.size
        return vector

    def packed(self, vector: Any) -> dict[str, Any]:
        """Return the packed arrays as views of a flat vector, a numpy array or a torch tensor."""
        return {
            name: vector[self.starts[name] : self.starts[name] + int(np.prod(shape))].reshape(shape)
            for name, shape in self.shapes.items()
        }

    def weights(self, vector: Any) -> dict[str, Any]:
        """Return the papers' weights by name, (to, from), as views of a flat vector.

        See Also
        --------
        LSTMVariant.weight_shapes : the names and shapes of the layer's weights.
        """
        n, cell, packed = self.hidden_size, self.variant, self.packed(vector)
        blocks = {k: slice(j * n, (j + 1) * n) for j, k in enumerate(cell.blocks)}
        gates = {k: slice(j * n, (j + 1) * n) for j, k in enumerate(cell.gates)}
        named: dict[str, Any] = {}
        for end in self.suffixes:
            W, R, b, p, Rg = (packed[name + end] for name in ("W", "R", "b", "p", "Rg"))
            named |= {f"W_{k}{end}": W[:, s].T for k, s in blocks.items()}
            named |= {f"R_{k}{end}": R[:, s].T for k, s in blocks.items()}
            named |= {f"b_{k}{end}": b[s] for k, s in blocks.items()}
            named |= {f"p_{k}{end}": p[j] for j, k in enumerate(cell.peephole_gates)}
            if cell.gate_recurrence:
                named |= {f"R_{k}{m}{end}": Rg[gates[k], gates[m]].T for k in gates for m in gates}
        if self.output_size:
            named |= {"W_output": packed["V"].T, "b_output": packed["d"]}
        return named

    def layers(self, vector: Any) -> tuple[tuple[Any, ...], ...]:
        """Return (W, R, b, p, Rg) of each direction, as views of a flat vector."""
        packed = self.packed(vector)
        return tuple(tuple(packed[name + end] for name in ("W", "R", "b", "p", "Rg")) for end in self.suffixes)

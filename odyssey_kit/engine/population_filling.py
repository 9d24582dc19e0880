"""How networks of different sizes become one tensor: groups of like size, filled up to a common one.

May import `parameters`, `variants` and `errors`, and torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from odyssey_kit.engine.parameters import Layout
from odyssey_kit.errors import UsageError

__all__ = ["Filling", "buckets", "length_bucket"]

# Units and steps are filled up to multiples of these: whole vectors of a GPU, and few graphs to capture.
_UNITS, _STEPS = 4, 16


def buckets(hidden_sizes: Sequence[int], *, spread: float = 1.35, most: int = 256) -> list[list[int]]:
    """Group networks by hidden size, so that filling them up to a common size wastes little.

    Parameters
    ----------
    hidden_sizes : sequence of int
        One a network.
    spread : float
        Most that the largest of a group may exceed its smallest, as a ratio. Recurrent matrices grow
        by its square.
    most : int
        Most networks of a group.

    Returns
    -------
    list of list of int
        Positions in hidden_sizes, largest networks first.

    Examples
    --------
    >>> buckets([20, 200, 26, 190, 100])
    [[1, 3], [4], [2, 0]]
    """
    if not (spread >= 1 and most >= 1):
        raise UsageError(f"buckets: spread is {spread!r} and most is {most!r}, expected at least 1 of both")
    groups: list[list[int]] = []
    for k in sorted(range(len(hidden_sizes)), key=lambda k: -hidden_sizes[k]):
        group = groups[-1] if groups else []
        if group and len(group) < most and hidden_sizes[group[0]] <= spread * hidden_sizes[k]:
            group.append(k)
        else:
            groups.append([k])
    return groups


def length_bucket(steps: int, longest: int) -> int:
    """Return the number of steps that a captured graph has for sequences of up to so many.

    Examples
    --------
    >>> [length_bucket(steps, longest=60) for steps in (1, 16, 17, 55)]
    [16, 16, 32, 60]
    """
    return min(-(-steps // _STEPS) * _STEPS, longest)


class Filling:
    """The common layout of networks that differ in hidden size only, each in the corner of it.

    Parameters
    ----------
    layouts : sequence of Layout
        One a network.

    Raises
    ------
    UsageError
        If they differ in anything else.

    Examples
    --------
    >>> import numpy as np, odyssey_kit as ok
    >>> sizes = [Layout(variant=ok.variant("V"), input_size=2, hidden_size=n, output_size=1) for n in (3, 6)]
    >>> filling = Filling(sizes)
    >>> filling.layout.hidden_size
    8
    >>> vector = filling.fill(sizes[0], np.ones(sizes[0].parameter_count))
    >>> filling.weights(sizes[0], vector)["R_z"].shape
    (3, 3)
    """

    def __init__(self, layouts: Sequence[Layout]) -> None:
        if not layouts:
            raise UsageError("a population needs at least one network")
        units = -(-max(layout.hidden_size for layout in layouts) // _UNITS) * _UNITS
        self.layout, *others = [
            Layout(
                variant=layout.variant, input_size=layout.input_size, hidden_size=units, output_size=layout.output_size
            )
            for layout in layouts
        ]
        if any(other != self.layout for other in others) or any(layout.bidirectional for layout in layouts):
            raise UsageError(
                "networks of one population have one direction and may differ in hidden size only; "
                "train those of another variant, input or output size in a population of their own"
            )

    def fill(self, layout: Layout, parameters: np.ndarray) -> np.ndarray:
        """Return a network's bare parameters as a vector of the common layout, zeros elsewhere."""
        vector = np.zeros(self.layout.size, parameters.dtype)
        common = self.layout.weights(vector)
        for name, weight in layout.weights(layout.spread(parameters)).items():
            common[name][tuple(map(slice, weight.shape))] = weight
        return vector

    def weights(self, layout: Layout, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Return a network's weights by the papers' names, copied out of a vector of the common layout."""
        shapes = layout.variant.weight_shapes(layout.input_size, layout.hidden_size)
        shapes |= {"W_output": (layout.output_size, layout.hidden_size), "b_output": (layout.output_size,)}
        common = self.layout.weights(vector)
        return {name: np.array(common[name][tuple(map(slice, shape))]) for name, shape in shapes.items()}

    def views(self, matrix: Tensor) -> dict[str, Tensor]:
        """Return the packed arrays of vectors one below the other, each with a leading axis of networks."""
        starts, shapes = self.layout.starts, self.layout.shapes
        packed = {
            name: matrix[:, starts[name] : starts[name] + int(np.prod(shape))].view(len(matrix), *shape)
            for name, shape in shapes.items()
        }
        return {**packed, "Rg": packed["Rg"][..., : shapes["Rg"][0]]}

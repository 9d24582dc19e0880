"""What shares are shares over: a probability on each hyperparameter's axis, and grids and bases on it.

Positions are those of `Distribution.to_unit`, from 0 to 1. The declared measure of a continuous
hyperparameter is uniform there; that of an integer or a choice sits on atoms. A sub-box or another
prior is another `Measure` on the same axis, so that nothing is fitted again. May import `errors` and
`space`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from odyssey_kit.errors import UsageError
from odyssey_kit.space import Categorical, Distribution, SearchSpace

__all__ = ["Axis", "Measure", "declared", "measures"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """Cells of one coordinate, each with a point that stands for it.

    Parameters
    ----------
    edges : (cells + 1,) array
        Positions.
    middle : (cells,) array
        Positions, one in each cell.
    mass : (cells,) array
        Probabilities; they add up to one.
    """

    edges: np.ndarray
    middle: np.ndarray
    mass: np.ndarray

    def cell(self, positions: np.ndarray) -> np.ndarray:
        """Return the cell of each position."""
        found = np.searchsorted(self.edges, positions, side="right") - 1
        return np.clip(found, 0, len(self.mass) - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """A probability on the positions of one hyperparameter.

    Parameters
    ----------
    atoms, mass : arrays, optional
        Positions of the possible values and their probabilities; None of a continuous one.
    nominal : bool
        Whether the order of the atoms means nothing.
    low, high : float
        Ends of the part that has any probability.
    cdf : callable, optional
        Probability up to a position, of a continuous measure that is not uniform.
    sampled : bool
        Whether trials that lie inside are a random sample of it: the declared measure, or its
        restriction to a box.
    """

    atoms: np.ndarray | None = None
    mass: np.ndarray | None = None
    nominal: bool = False
    low: float = 0.0
    high: float = 1.0
    cdf: Callable[[np.ndarray], np.ndarray] | None = None
    sampled: bool = True

    def cumulative(self, positions: np.ndarray) -> np.ndarray:
        """Return the probability up to each position."""
        positions = np.asarray(positions, dtype=float)
        if self.atoms is not None and self.mass is not None:
            below = np.concatenate([[0.0], np.cumsum(self.mass)])
            return below[np.searchsorted(self.atoms, positions, side="right")]
        if self.cdf is not None:
            return self.cdf(positions)
        if (self.low, self.high) == (0.0, 1.0):
            return positions
        return np.clip((positions - self.low) / (self.high - self.low), 0.0, 1.0)

    def quantile(self, units: np.ndarray) -> np.ndarray:
        """Return the positions below which lie these probabilities."""
        if self.atoms is not None and self.mass is not None:
            place = np.searchsorted(np.cumsum(self.mass), units, side="right")
            return self.atoms[np.minimum(place, len(self.atoms) - 1)]
        if self.cdf is None:
            return self.low + units * (self.high - self.low)
        places = np.linspace(0.0, 1.0, 4097)
        return np.interp(units, self.cdf(places), places)

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """Return which positions have a probability."""
        if self.atoms is not None and self.mass is not None:
            nearest = np.abs(np.subtract.outer(positions, self.atoms)).argmin(axis=1)
            return self.mass[nearest] > 0
        return (positions >= self.low) & (positions <= self.high)

    @cached_property
    def centred(self) -> np.ndarray:
        """Probability below each atom and half of its own."""
        mass = np.asarray(self.mass)
        return np.cumsum(mass) - mass / 2

    def axis(self, cells: int) -> Axis:
        """Cut the axis into cells: one an atom if there are few, else of about equal length."""
        if self.atoms is None or self.mass is None:
            edges = np.linspace(self.low, self.high, cells + 1)
            return Axis(edges=edges, middle=(edges[1:] + edges[:-1]) / 2, mass=np.diff(self.cumulative(edges)))
        group = np.arange(len(self.atoms))
        if len(self.atoms) > cells:
            group = np.unique(np.minimum((self.centred * cells).astype(int), cells - 1), return_inverse=True)[1]
        first = np.flatnonzero(np.diff(group, prepend=-1))
        last = np.append(first[1:], len(self.atoms)) - 1
        between = (self.atoms[first[1:]] + self.atoms[first[1:] - 1]) / 2
        return Axis(
            edges=np.concatenate([[0.0], between, [1.0]]),
            middle=self.atoms[(first + last) // 2],
            mass=np.add.reduceat(self.mass, first),
        )

    def basis(self, positions: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
        """Return orthonormal functions of mean zero at positions, and their degrees.

        Cosines of the probability below a position; of atoms the same, made orthonormal on them;
        of choices every contrast there is, each of degree one.

        Returns
        -------
        values : (functions, positions) array
        degrees : (functions,) int array
        """
        if self.atoms is None or self.mass is None:
            k = np.arange(1, degree + 1)
            return np.sqrt(2.0) * np.cos(np.pi * k[:, None] * self.cumulative(positions)), k
        there = self.mass > 0
        atoms, mass = self.atoms[there], self.mass[there]
        m = len(atoms)
        if self.nominal:
            raw, degrees = np.eye(m)[:, : m - 1], np.ones(m - 1, dtype=int)
        else:
            degrees = np.arange(1, min(degree, m - 1) + 1)
            raw = np.cos(np.pi * self.centred[there][:, None] * degrees)
        root = np.sqrt(mass)[:, None]
        q, r = np.linalg.qr(root * np.column_stack([np.ones(m), raw]))
        table = (q * np.sign(np.diag(r)) / root)[:, 1:]
        nearest = np.abs(np.subtract.outer(positions, atoms)).argmin(axis=1)
        return table[nearest].T, degrees


def declared(law: Distribution) -> Measure:
    """Return the measure that the search draws from."""
    values = law.values()
    if values is None:
        return Measure()
    atoms = np.array([law.to_unit(value) for value in values])
    upto = np.array([law.probability_below(value) for value in values])
    return Measure(atoms=atoms, mass=np.diff(upto, prepend=0.0), nominal=isinstance(law, Categorical))


def _restricted(name: str, law: Distribution, ends: tuple[Any, Any]) -> Measure:
    low, high = (float(end) for end in ends)
    base = declared(law)
    a, b = (min(max(law.to_unit(end), 0.0), 1.0) for end in (low, high))
    if not a < b:
        raise UsageError(f"measure of {name!r}: expected (low, high) inside {law}, got ({low:g}, {high:g})")
    if base.atoms is None or base.mass is None:
        return Measure(low=a, high=b)
    values = np.array(law.values(), dtype=float)
    mass = np.where((values >= low) & (values <= high), base.mass, 0.0)
    if not mass.any():
        raise UsageError(f"measure of {name!r}: no value of {law} lies in ({low:g}, {high:g})")
    return Measure(atoms=base.atoms, mass=mass / mass.sum())


def _weighted(name: str, law: Distribution, weights: Mapping[Any, float]) -> Measure:
    base, values = declared(law), law.values() or ()
    mass = np.array([float(weights.get(value, 0.0)) for value in values])
    if unknown := [value for value in weights if value not in values]:
        raise UsageError(f"measure of {name!r}: {unknown[0]!r} is no value of {law}")
    if not ((mass >= 0).all() and mass.sum() > 0):
        raise UsageError(f"measure of {name!r}: expected weights of zero or more, got {dict(weights)}")
    chosen = mass > 0
    alike = base.mass is not None and np.ptp(mass[chosen] / base.mass[chosen]) < 1e-9 * mass.max() / base.mass.min()
    return Measure(atoms=base.atoms, mass=mass / mass.sum(), nominal=base.nominal, sampled=bool(alike))


def _natural(law: Distribution, positions: np.ndarray) -> np.ndarray:
    """Return the values at positions, by interpolation in a fine table where the map is not a formula."""
    return np.array([law.from_unit(float(u)) for u in positions])


def _prior(name: str, law: Distribution, probability: Callable[[float], float]) -> Measure:
    """Return a measure by its cumulative probability in natural units."""
    base, values = declared(law), law.values()
    if values is not None:
        upto = np.array([probability(value) for value in values], dtype=float)
        mass = np.diff(upto, prepend=float(probability(values[0] - 1)))  # what lies below belongs to no value
        if not ((mass >= 0).all() and mass.sum() > 0):
            raise UsageError(f"measure of {name!r}: its probability does not rise inside {law}")
        return Measure(atoms=base.atoms, mass=mass / mass.sum(), nominal=base.nominal, sampled=False)
    ends = [float(probability(value)) for value in _natural(law, np.array([0.0, 1.0]))]
    if not ends[1] > ends[0]:
        raise UsageError(f"measure of {name!r}: its probability does not rise inside {law}")

    def cdf(positions: np.ndarray) -> np.ndarray:
        places, back = np.unique(positions, return_inverse=True)
        upto = np.array([float(probability(value)) for value in _natural(law, places)])
        return np.clip((upto - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0)[back].reshape(np.shape(positions))

    return Measure(cdf=cdf, sampled=False)


def measures(space: SearchSpace, changes: Mapping[str, Any] | None = None) -> tuple[Measure, ...]:
    """Return the measure of each hyperparameter.

    Parameters
    ----------
    space : SearchSpace
        What the trials were drawn from.
    changes : mapping, optional
        By hyperparameter: a pair (low, high) in natural units, to look inside a box; a list of
        choices; a mapping from choice to weight; a distribution; or a function that returns the
        probability up to a value.

    Raises
    ------
    UsageError
        If a hyperparameter does not exist or a change cannot be a probability on its range.
    """
    changes = dict(changes or {})
    if unknown := [name for name in changes if name not in space]:
        raise UsageError(f"measure: no hyperparameter is called {unknown[0]!r}; the space has: {', '.join(space)}")
    found = []
    for name, law in space.items():
        change = changes.get(name)
        if change is None:
            found.append(declared(law))
        elif isinstance(change, Distribution):
            if isinstance(change, Categorical):
                found.append(_weighted(name, law, dict.fromkeys(change.choices, 1.0)))
            elif type(change) is type(law) and (change.values() is None) == (law.values() is None):
                # Another range of the same kind cuts a box out of the declared one, and trials in it are a sample.
                found.append(_restricted(name, law, (change.from_unit(0.0), change.from_unit(1.0))))
            else:
                found.append(_prior(name, law, change.probability_below))
        elif isinstance(change, Mapping):
            found.append(_weighted(name, law, change))
        elif callable(change):
            found.append(_prior(name, law, cast("Callable[[float], float]", change)))
        elif isinstance(law, Categorical):
            found.append(_weighted(name, law, dict.fromkeys(change, 1.0)))
        elif isinstance(change, (tuple, list)) and len(change) == 2:
            found.append(_restricted(name, law, (change[0], change[1])))
        else:
            raise UsageError(
                f"measure of {name!r} is {change!r}, expected (low, high), choices, weights, a distribution "
                "or a function that returns the probability up to a value"
            )
    return tuple(found)

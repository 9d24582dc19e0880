"""Made-up surfaces with known shares: what an importance analysis finds on them can be held against the truth.

Each is a function of the positions in its space, scaled to a variance of one, on which noise of a
known size is laid. The truth is a product of Gauss-Legendre rules, broken where the surface has kinks.
May import `errors` and `space`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from odyssey_kit.errors import UsageError
from odyssey_kit.space import (
    Categorical,
    LogUniform,
    OneMinusLogUniform,
    SearchSpace,
    Uniform,
    UniformInteger,
)

__all__ = ["SURFACES", "Surface", "known_surface"]

ODYSSEY = SearchSpace(
    {
        "learning_rate": LogUniform(low=1e-6, high=1e-2),
        "hidden_size": LogUniform(low=20, high=200),
        "momentum": OneMinusLogUniform(low=0.01, high=1.0),
        "input_noise_std": Uniform(low=0.0, high=1.0),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A function of positions, (rows, coordinates) to (rows,), and where it has kinks."""

    name: str
    space: SearchSpace
    raw: Callable[[np.ndarray], np.ndarray]
    kinks: dict[int, tuple[float, ...]] = field(default_factory=dict)
    quiet_below: float = 0.0  # of the first coordinate; there the noise is a twentieth

    @property
    def subsets(self) -> list[tuple[int, ...]]:
        """Main effects and pairs."""
        d = range(len(self.space))
        return [*((k,) for k in d), *itertools.combinations(d, 2)]

    def rule(self, k: int, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
        """Return points and weights on one coordinate."""
        law = list(self.space.values())[k]
        values = law.values()
        if values is not None:
            upto = np.array([law.probability_below(v) for v in values])
            return np.array([law.to_unit(v) for v in values]), np.diff(upto, prepend=0.0)
        x, w = np.polynomial.legendre.leggauss(n)
        ends = [0.0, *self.kinks.get(k, ()), 1.0]
        pieces = list(itertools.pairwise(ends))
        return (
            np.concatenate([(b - a) / 2 * x + (a + b) / 2 for a, b in pieces]),
            np.concatenate([(b - a) / 2 * w for a, b in pieces]),
        )

    @cached_property
    def _table(self) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        rules = [self.rule(k) for k in range(len(self.space))]
        points = [p for p, _ in rules]
        grid = np.stack(np.meshgrid(*points, indexing="ij"), axis=-1)
        table = self.raw(grid.reshape(-1, len(points))).reshape(grid.shape[:-1])
        return table, points, [w for _, w in rules]

    def _mean(self, table: np.ndarray, kept: tuple[int, ...]) -> np.ndarray:
        weights = self._table[2]
        for k in reversed(range(len(weights))):
            if k not in kept:
                table = np.tensordot(table, weights[k], axes=(k, 0))
        return table

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the raw function."""
        table = self._table[0]
        mean = float(self._mean(table, ()))
        return mean, float(np.sqrt(self._mean((table - mean) ** 2, ())))

    @cached_property
    def truth(self) -> np.ndarray:
        """Exact shares of `subsets`."""
        table, _, weights = self._table
        mean, sd = self.scale
        known: dict[tuple[int, ...], float] = {}
        for subset in self.subsets:
            closed = (self._mean(table, subset) - mean) ** 2
            for k in subset:
                closed = np.tensordot(weights[k], closed, axes=(0, 0))
            known[subset] = float(closed) / sd**2 - sum(known[(k,)] for k in subset if len(subset) > 1)
        return np.array([known[s] for s in self.subsets])

    def curve(self, k: int, positions: np.ndarray) -> np.ndarray:
        """Return the exact main effect at positions of one coordinate, mean included (zero)."""
        mean, sd = self.scale
        others = [j for j in range(len(self.space)) if j != k]
        rules = [self.rule(j, 12) for j in others]
        grid = np.stack(np.meshgrid(*[p for p, _ in rules], indexing="ij"), axis=-1).reshape(-1, len(others))
        weight = np.array([np.prod(w) for w in itertools.product(*[w for _, w in rules])])
        rows = np.empty((len(grid), len(self.space)))
        rows[:, others] = grid
        found = []
        for position in positions:
            rows[:, k] = position
            found.append(weight @ self.raw(rows))
        return (np.array(found) - mean) / sd

    def draw(self, n: int, seed: int, noise: float, repeats: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and values of n random trials; with repeats, of n/repeats configurations."""
        rng = np.random.default_rng([seed, n])
        units = rng.random((n // repeats, len(self.space))).repeat(repeats, axis=0)
        for k, law in enumerate(self.space.values()):
            if law.values() is not None:
                units[:, k] = [law.to_unit(law.from_unit(u)) for u in units[:, k]]
        mean, sd = self.scale
        error = noise * rng.standard_normal(len(units))
        error[units[:, 0] < self.quiet_below] *= 0.05
        return units, (self.raw(units) - mean) / sd + error

    def names(self, subset: tuple[int, ...]) -> str:
        """Return a subset as `FunctionalANOVA.importances` names it."""
        return " × ".join(list(self.space)[k] for k in subset)

    def true_shares(self) -> pd.DataFrame:
        """Return the exact shares of main effects, pairs and the rest: columns ``parameters``, ``share``."""
        rows = [(self.names(subset), share) for subset, share in zip(self.subsets, self.truth, strict=True)]
        rows.append(("rest", 1 - self.truth.sum()))
        return pd.DataFrame(rows, columns=["parameters", "share"])

    def trials(self, n: int, *, seed: int = 0, noise: float = 0.3) -> pd.DataFrame:
        """Return a table of n random trials in natural units; their ``loss`` has noise of that standard deviation."""
        units, values = self.draw(n, seed, noise)
        return self.table(units).assign(loss=values)

    def table(self, units: np.ndarray) -> pd.DataFrame:
        """Return positions as hyperparameters in natural units."""
        columns = {}
        for (name, law), u in zip(self.space.items(), units.T, strict=True):
            columns[name] = [law.from_unit(x) for x in u]
        return pd.DataFrame(columns)


def _p1(u: np.ndarray) -> np.ndarray:
    return np.sqrt(3.0) * (2 * u - 1)


def _p2(u: np.ndarray) -> np.ndarray:
    return np.sqrt(5.0) * (6 * u * u - 6 * u + 1)


def _bench(units: np.ndarray) -> np.ndarray:
    a, b, c, d = units.T
    return (
        np.sqrt(0.60) * _p2(a)
        - np.sqrt(0.15) * _p1(b)
        + np.sqrt(0.01) * _p1(c)
        + np.sqrt(0.10) * _p1(d)
        + np.sqrt(0.08) * _p1(a) * _p1(b)
        + np.sqrt(0.03) * _p1(a) * _p1(d)
        + np.sqrt(0.03) * _p1(a) * _p1(b) * _p1(d)
    )


def _cliff(units: np.ndarray) -> np.ndarray:
    a, b, c, d = units.T
    basin = 0.30 + 1.6 * (a - 0.62) ** 2 - 0.50 * (b - 0.5)
    basin += 0.50 * d * (a > 0.62) * (a - 0.62) / 0.38 + 0.3 * np.abs(c - 0.5)
    return np.where(a < 0.35, 1.0, basin)


def _additive(units: np.ndarray) -> np.ndarray:
    a, b, c, _ = units.T
    return 1.3 * np.abs(a - 0.3) + 0.45 * np.tanh(6 * (b - 0.25)) * 0.55 + 0.12 * np.sin(2 * np.pi * c)


def _choices(units: np.ndarray) -> np.ndarray:
    """Return a rate whose optimum depends on the optimiser, layers that saturate, a dropout that does little."""
    rate, optimiser, layers, dropout = units.T
    kind = np.minimum((optimiser * 3).astype(int), 2)
    best = np.array([0.45, 0.60, 0.60])[kind]
    depth = layers * 4 + 0.5
    return 3 * (rate - best) ** 2 + np.array([0.0, 0.15, 0.30])[kind] + 0.5 / depth + 0.12 * dropout


def _variants(units: np.ndarray) -> np.ndarray:
    """Return nine variants pooled: seven alike, one worse everywhere, one worse at high rates."""
    rate, size, momentum, variant = units.T
    kind = np.minimum((variant * 9).astype(int), 8)
    value = 2.4 * (rate - 0.6) ** 2 - 0.25 * size + 0.05 * np.cos(np.pi * momentum)
    return value + np.where(kind == 3, 0.45, 0.0) + np.where((kind == 7) & (rate > 0.5), 1.6 * (rate - 0.5), 0.0)


SURFACES = {
    s.name: s
    for s in (
        Surface(name="bench", space=ODYSSEY, raw=_bench),
        Surface(name="cliff", space=ODYSSEY, raw=_cliff, kinks={0: (0.35, 0.62), 2: (0.5,)}, quiet_below=0.35),
        Surface(name="additive", space=ODYSSEY, raw=_additive, kinks={0: (0.3,)}),
        Surface(
            name="choices",
            space=SearchSpace(
                {
                    "learning_rate": LogUniform(low=1e-5, high=1e-1),
                    "optimiser": Categorical(choices=("sgd", "adam", "rmsprop")),
                    "layers": UniformInteger(low=1, high=4),
                    "dropout": Uniform(low=0.0, high=0.5),
                }
            ),
            raw=_choices,
        ),
        Surface(
            name="variants",
            space=SearchSpace(
                {
                    "learning_rate": LogUniform(low=1e-6, high=1e-2),
                    "hidden_size": LogUniform(low=20, high=200, integer=True),
                    "momentum": OneMinusLogUniform(low=0.01, high=1.0),
                    "variant": Categorical(choices=("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")),
                }
            ),
            raw=_variants,
            kinks={0: (0.5,)},
        ),
    )
}


def known_surface(name: str = "bench") -> Surface:
    """Return a made-up surface whose shares are known: bench, cliff, additive, choices or variants.

    Raises
    ------
    UsageError
        If there is no such surface.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> surface = ok.known_surface("bench")
    >>> surface.true_shares().round(2).iloc[[0, 1, 4]].to_numpy().tolist()
    [['learning_rate', 0.6], ['hidden_size', 0.15], ['learning_rate × hidden_size', 0.08]]
    >>> len(surface.trials(20))
    20
    """
    if name not in SURFACES:
        raise UsageError(f"no surface is called {name!r}; there are: {', '.join(SURFACES)}")
    return SURFACES[name]

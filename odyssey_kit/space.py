"""Search spaces: what the random search draws from and what the analysis integrates over.

A distribution is a frozen value that maps the unit interval to natural units and back. Drawing is
`from_unit(u)` of a uniform u; the measure of the fANOVA is the same map read the other way. So both
always mean the same thing. May import `errors` only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any

from odyssey_kit.errors import UsageError

__all__ = [
    "ODYSSEY_SPACE",
    "Categorical",
    "Distribution",
    "LogUniform",
    "OneMinusLogUniform",
    "SearchSpace",
    "Uniform",
    "UniformInteger",
]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One hyperparameter's distribution; subclasses give the map from and to the unit interval."""

    def from_unit(self, unit: float) -> Any:
        """Return the value at that quantile."""
        raise NotImplementedError

    def to_unit(self, value: Any) -> float:
        """Return the quantile of a value, the inverse of `from_unit`."""
        raise NotImplementedError

    def values(self) -> tuple[Any, ...] | None:
        """Return every possible value in order, or None of a continuous distribution."""
        return None

    def probability_below(self, value: float) -> float:
        """Return the probability of a value that is not above this one."""
        return min(max(self.to_unit(value), 0.0), 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the distribution as plain data, its type included."""
        return {"type": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class _Bounded(Distribution):
    low: float
    high: float

    def __post_init__(self) -> None:
        numbers = all(isinstance(end, Real) and math.isfinite(end) for end in (self.low, self.high))
        if not (numbers and self.low < self.high):
            raise UsageError(
                f"{type(self).__name__}: expected finite low < high, got low={self.low!r}, high={self.high!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Uniform(_Bounded):
    """Uniform on [low, high].

    Examples
    --------
    >>> Uniform(low=0.0, high=2.0).from_unit(0.25)
    0.5
    """

    def from_unit(self, unit: float) -> float:
        """Return the value at that quantile."""
        return self.low + unit * (self.high - self.low)

    def to_unit(self, value: float) -> float:
        """Return the quantile of a value."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, kw_only=True)
class UniformInteger(_Bounded):
    """Equal probability for each whole number from low to high, both included.

    Examples
    --------
    >>> layers = UniformInteger(low=1, high=4)
    >>> layers.from_unit(0.0), layers.from_unit(0.3), layers.to_unit(1), layers.values()
    (1, 2, 0.125, (1, 2, 3, 4))
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low != round(self.low) or self.high != round(self.high):
            raise UsageError(f"UniformInteger: expected whole numbers, got low={self.low}, high={self.high}")

    def from_unit(self, unit: float) -> int:
        """Return the value at that quantile."""
        n = int(self.high) - int(self.low) + 1
        return int(self.low) + min(int(unit * n), n - 1)

    def to_unit(self, value: float) -> float:
        """Return the quantile in the middle of a value's share."""
        return (value - self.low + 0.5) / (self.high - self.low + 1)

    def values(self) -> tuple[int, ...]:
        """Return every whole number of the range."""
        return tuple(range(int(self.low), int(self.high) + 1))

    def probability_below(self, value: float) -> float:
        """Return the probability of a value that is not above this one."""
        n = math.floor(value) - self.low + 1
        return min(max(n / (self.high - self.low + 1), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class LogUniform(_Bounded):
    """Log-uniform on [low, high]; with ``integer=True`` rounded to whole numbers.

    Notes
    -----
    Integers are drawn as the rounding of a log-uniform on [low - 1/2, high + 1/2], so that the two
    ends have their full share; `to_unit` takes the position of log(value) in that wider range.

    Examples
    --------
    >>> round(LogUniform(low=1e-6, high=1e-2).from_unit(0.5), 10)
    0.0001
    >>> LogUniform(low=20, high=200, integer=True).from_unit(0.0)
    20
    """

    integer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.integer and (self.low != round(self.low) or self.high != round(self.high)):
            raise UsageError(
                f"LogUniform with integer=True: expected whole numbers, got low={self.low}, high={self.high}"
            )
        if self.low <= (0.5 if self.integer else 0.0):
            raise UsageError(f"LogUniform: expected low > {0.5 if self.integer else 0}, got {self.low}")

    @property
    def _log_ends(self) -> tuple[float, float]:
        margin = 0.5 if self.integer else 0.0
        return math.log(self.low - margin), math.log(self.high + margin)

    def from_unit(self, unit: float) -> float | int:
        """Return the value at that quantile."""
        start, end = self._log_ends
        value = math.exp(start + unit * (end - start))
        if self.integer:
            return min(max(round(value), int(self.low)), int(self.high))
        return min(max(value, self.low), self.high)

    def to_unit(self, value: float) -> float:
        """Return the quantile of a value."""
        start, end = self._log_ends
        return (math.log(value) - start) / (end - start)

    def values(self) -> tuple[int, ...] | None:
        """Return every whole number of the range, or None if not ``integer``."""
        return tuple(range(math.ceil(self.low), math.floor(self.high) + 1)) if self.integer else None

    def probability_below(self, value: float) -> float:
        """Return the probability of a value that is not above this one."""
        end = math.floor(value) + 0.5 if self.integer else value
        return 0.0 if end <= 0 else min(max(self.to_unit(end), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class OneMinusLogUniform(_Bounded):
    """One minus a log-uniform on [low, high]: the Odyssey's momentum.

    Examples
    --------
    >>> round(OneMinusLogUniform(low=0.01, high=1.0).from_unit(0.5), 6)
    0.9
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise UsageError(f"OneMinusLogUniform: expected low > 0, got {self.low}")

    def from_unit(self, unit: float) -> float:
        """Return the value at that quantile."""
        # The quantile runs from high to low, so that a larger quantile is a larger value.
        return 1.0 - self.high * (self.low / self.high) ** unit

    def to_unit(self, value: float) -> float:
        """Return the quantile of a value."""
        return math.log((1.0 - value) / self.high) / math.log(self.low / self.high)

    def probability_below(self, value: float) -> float:
        """Return the probability of a value that is not above this one."""
        return 1.0 if value >= 1 else super().probability_below(value)


@dataclass(frozen=True, kw_only=True)
class Categorical(Distribution):
    """Equal probability for each choice.

    Examples
    --------
    >>> Categorical(choices=(True, False)).from_unit(0.7)
    False
    """

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.choices, (tuple, list)):
            raise UsageError(f"Categorical: expected a tuple of choices such as ('adam', 'sgd'), got {self.choices!r}")
        object.__setattr__(self, "choices", tuple(self.choices))
        if len(self.choices) < 1:
            raise UsageError("Categorical: expected at least one choice, got none")
        # A value is looked up by equality, by which 1 is 1.0 and True too.
        if repeated := [choice for k, choice in enumerate(self.choices) if self.choices.index(choice) < k]:
            raise UsageError(f"Categorical: choice {repeated[0]!r} equals an earlier one; give each choice once")

    def from_unit(self, unit: float) -> Any:
        """Return the value at that quantile."""
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]

    def to_unit(self, value: Any) -> float:
        """Return the quantile of a value."""
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def values(self) -> tuple[Any, ...]:
        """Return the choices."""
        return self.choices

    def probability_below(self, value: Any) -> float:
        """Return the share of the choices up to this one, in their order."""
        return (self.choices.index(value) + 1) / len(self.choices)


_TYPES: Mapping[str, type[Distribution]] = MappingProxyType(
    {kind.__name__: kind for kind in (Uniform, UniformInteger, LogUniform, OneMinusLogUniform, Categorical)}
)


HOW_TO_BUILD_ONE = "build one as ok.SearchSpace({'learning_rate': ok.LogUniform(low=1e-5, high=0.1)})"


class SearchSpace(Mapping[str, Distribution]):
    """An ordered, immutable mapping from hyperparameter to distribution.

    Examples
    --------
    >>> space = SearchSpace({"learning_rate": LogUniform(low=1e-4, high=1e-2)})
    >>> round(space.from_unit([0.5])["learning_rate"], 10)
    0.001
    >>> SearchSpace.from_dict(space.to_dict()) == space
    True
    """

    def __init__(self, distributions: Mapping[str, Distribution]) -> None:
        if not isinstance(distributions, Mapping):
            raise UsageError(f"search space is {distributions!r}, expected a mapping; {HOW_TO_BUILD_ONE}")
        for name, law in distributions.items():
            if not (isinstance(name, str) and isinstance(law, Distribution)):
                raise UsageError(f"search space: {name!r} is {law!r}, expected a distribution; {HOW_TO_BUILD_ONE}")
        self._distributions = MappingProxyType(dict(distributions))

    def __getitem__(self, name: str) -> Distribution:
        return self._distributions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._distributions)

    def __len__(self) -> int:
        return len(self._distributions)

    def __repr__(self) -> str:
        return "SearchSpace({" + ", ".join(f"{name!r}: {law!r}" for name, law in self.items()) + "})"

    def __hash__(self) -> int:
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy can be neither copied nor sent to another process.
        return type(self), (dict(self._distributions),)

    def from_unit(self, units: Any) -> dict[str, Any]:
        """Return the configuration at a point of the unit cube, one coordinate a hyperparameter."""
        return {name: law.from_unit(float(unit)) for (name, law), unit in zip(self.items(), units, strict=True)}

    def to_unit(self, configuration: Mapping[str, Any]) -> list[float]:
        """Return the point of the unit cube of a configuration."""
        return [law.to_unit(configuration[name]) for name, law in self.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data."""
        return {name: law.to_dict() for name, law in self.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> SearchSpace:
        """Read a space back from plain data.

        Raises
        ------
        UsageError
            If a distribution's type or fields are unknown.
        """
        laws: dict[str, Distribution] = {}
        if not isinstance(data, Mapping):
            raise UsageError(f"search space: got {data!r}, expected a mapping from hyperparameter to distribution")
        for name, description in data.items():
            if not isinstance(description, Mapping):
                raise UsageError(
                    f"search space: {name!r} is {description!r}, expected a mapping with type, low and high"
                )
            fields = {k: v for k, v in description.items() if k != "type"}
            kind = _TYPES.get(str(description.get("type")))
            if kind is None:
                raise UsageError(
                    f"search space: {name!r} has type {description.get('type')!r}, expected one of {', '.join(_TYPES)}"
                )
            try:
                laws[name] = kind(**fields)
            except TypeError as error:
                raise UsageError(f"search space: {name!r}: {error}") from error
        return cls(laws)


# Greff et al. (2017), section IV-D.
ODYSSEY_SPACE = SearchSpace(
    {
        "hidden_size": LogUniform(low=20, high=200, integer=True),
        "learning_rate": LogUniform(low=1e-6, high=1e-2),
        "momentum": OneMinusLogUniform(low=0.01, high=1.0),
        "input_noise_std": Uniform(low=0.0, high=1.0),
    }
)

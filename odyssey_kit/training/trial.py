"""TrialSpec and TrialResult: the hinge between what is planned and what was measured, both plain data.

A trial is a pure function of its spec; the spec's hash is the trial's key. Commit, versions and
machine belong to the result, so that a new commit never orphans yesterday's trials.
May import `variants`, `errors` and `protocol`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from odyssey_kit.errors import UsageError
from odyssey_kit.training.protocol import NUMERICS, Protocol, is_number
from odyssey_kit.variants import LSTMVariant

__all__ = ["EpochRow", "TrialResult", "TrialSpec", "canonical_json"]

# What a trial takes when a study does not search it; Odyssey, section IV-D, gives the searched four.
PARAMETER_DEFAULTS: Mapping[str, float] = {"momentum": 0.0, "input_noise_std": 0.0}
# Kind, least and greatest value, and what is expected in words. A momentum of 1 would never move.
_LIMITS: Mapping[str, tuple[type, float, float, str]] = {
    "hidden_size": (int, 1, 100_000, "a whole number from 1 to 100,000"),
    "learning_rate": (float, 0.0, math.inf, "a finite number from 0"),
    "momentum": (float, 0.0, math.nextafter(1.0, 0.0), "a number from 0 to less than 1"),
    "input_noise_std": (float, 0.0, math.inf, "a finite number from 0"),
}


def canonical_json(data: Any) -> str:
    """Return the one JSON text of some plain data: sorted keys, no spaces, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """Everything a trial depends on, resolved, defaults too.

    Parameters
    ----------
    study, task : str
        Names of the study and of the data set.
    variant : LSTMVariant
        The cell.
    index : int
        Number of the draw within its cell (task × variant) of the study.
    params : mapping
        hidden_size, learning_rate, momentum, input_noise_std.
    seed : str
        Entropy of the trial's random streams, hexadecimal.
    protocol : Protocol
        How it is trained.
    numerics : int
        Version of the numbers, see `odyssey_kit.training.protocol.NUMERICS`.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> spec = TrialSpec(study="demo", task="jsb-chorales", variant=ok.variant("V"), index=0, seed="2a",
    ...                  params={"hidden_size": 20, "learning_rate": 1e-3})
    >>> spec.params["momentum"]
    0.0
    >>> TrialSpec.from_dict(spec.to_dict()).key == spec.key
    True
    """

    study: str
    task: str
    variant: LSTMVariant
    index: int
    params: Mapping[str, Any]
    seed: str
    protocol: Protocol = field(default_factory=Protocol)
    numerics: int = NUMERICS

    def __post_init__(self) -> None:
        params = {**PARAMETER_DEFAULTS, **self.params}
        if params.keys() != _LIMITS.keys():
            raise UsageError(
                f"trial: got parameters {', '.join(sorted(params))}; expected {', '.join(sorted(_LIMITS))}"
            )
        resolved = {}
        for name, (kind, low, high, words) in _LIMITS.items():
            value = params[name]
            if not is_number(value) or not (low <= value <= high and math.isfinite(value)) or kind(value) != value:
                raise UsageError(f"trial: {name} is {value!r}, expected {words}")
            resolved[name] = kind(value)
        object.__setattr__(self, "params", resolved)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain data."""
        return {
            "study": self.study,
            "task": self.task,
            "variant": self.variant.to_dict(),
            "index": self.index,
            "params": dict(self.params),
            "seed": self.seed,
            "protocol": self.protocol.to_dict(),
            "numerics": self.numerics,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrialSpec:
        """Read a spec back from plain data."""
        return cls(
            **{
                **data,
                "variant": LSTMVariant(**data["variant"]),
                "protocol": Protocol.from_dict(data["protocol"]),
            }
        )

    @cached_property
    def key(self) -> str:
        """The trial's name: 16 hexadecimal digits of the SHA-256 of its canonical JSON."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One epoch's measurements; metrics in the task's unit, seconds since the trial began."""

    epoch: int
    updates: int
    seconds: float
    train_loss: float
    valid_metric: float
    test_metric: float
    max_abs_cell: float
    max_abs_output: float
    gradient_norm_mean: float
    gradient_norm_max: float
    saturated_gates: float
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a trial measured.

    Attributes
    ----------
    key : str
        The spec's key.
    state : {"COMPLETE", "DIVERGED", "FAILED"}
        DIVERGED, by a loss that was not finite, is a result; FAILED is an error of program or machine.
    metric : str
        What valid_metric and test_metric are.
    metrics : mapping
        At the best validation epoch: train_loss, valid_metric, test_metric and the task's further
        conventions; empty where no epoch was completed.
    best_epoch : int or None
        Epoch of the best validation metric.
    curve : tuple of EpochRow
        Every completed epoch.
    n_parameters : int
        Trainable parameters, output layer included.
    seconds : float
        Processor time of training and evaluation on the machine named in ``provenance``; on a GPU wall time.
    provenance : mapping
        engine, commit, versions, machine, data_sha256, finished_at.
    error : str
        The traceback of a FAILED trial, the reason of a DIVERGED one, else empty.
    """

    key: str
    state: Literal["COMPLETE", "DIVERGED", "FAILED"]
    metric: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    curve: tuple[EpochRow, ...] = ()
    n_parameters: int = 0
    seconds: float = 0.0
    provenance: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrialResult:
        """Read a result back from plain data."""
        return cls(**{**data, "curve": tuple(EpochRow(**row) for row in data["curve"])})

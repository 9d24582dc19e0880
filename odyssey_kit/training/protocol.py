"""How a network is trained: every convention that the two papers leave unsaid, as a stored setting.

May import `errors` only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from odyssey_kit.errors import UsageError

__all__ = ["NUMERICS", "Protocol"]

# Raised by hand, and only when a change of the code alters a trial's numbers beyond rounding.
NUMERICS = 2

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "momentum_type": ("nesterov", "heavy-ball"),
    "lr_mode": ("rescaled", "raw"),
    "loss_reduction": ("sum", "mean"),
    "gradient": ("full", "carousel"),
    "dtype": ("float32", "float64"),
    "loss": ("task", "bernoulli", "cross-entropy", "softmax-squares", "logistic-squares", "ctc", "clstm-ctc"),
    "placement": ("last", "middle", "every"),
}
_LEAST: Mapping[str, float] = {
    "clip": 0.0,
    "initial_weight_std": 0.0,
    "max_epochs": 1,
    "patience": 0,
    "batch_size": 1,
    "initial_weight_bound": 0.0,
}
# Settings that came after the first studies. A description leaves them out where they hold what was always
# done, so that the keys of the trials before them stay.
_LATER = ("batch_size", "bidirectional", "loss", "placement", "initial_weight_bound")


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, numpy's included, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The training protocol; the defaults are the Odyssey's.

    Parameters
    ----------
    momentum_type : {"nesterov", "heavy-ball"}
        Nesterov's takes the gradient at the point ahead.
    lr_mode : {"rescaled", "raw"}
        ``"rescaled"`` multiplies the learning rate by (1 - momentum), as the Odyssey's engine did;
        ``"raw"`` takes it as it is, as Breuel's did.
    loss_reduction : {"sum", "mean"}
        Over the time steps of a sequence. With ``"sum"`` a rate is a rate per sequence.
    gradient : {"full", "carousel"}
        Full backpropagation through time, or the truncated gradient of 1997.
    clip : float
        Bound on each element of the gradient; 0 for none.
    initial_weight_std : float
        All parameters, biases and peepholes too, start as N(0, std²).
    max_epochs : int
        Most epochs trained.
    patience : int
        Training stops once more than this many epochs in a row brought no better validation.
    dtype : {"float32", "float64"}
        Of parameters and activations.
    batch_size : int
        Sequences an update; their gradients are summed, not averaged, as in Breuel's engine.
    bidirectional : bool
        A second layer reads each sequence backwards; both feed the output layer.
    loss : str
        ``"task"`` takes what the task's form asks for; the others are the engine's losses. Breuel's two outputs
        are ``"cross-entropy"`` and ``"logistic-squares"``; Graves' CTC is ``"ctc"``, the aligner ``"clstm-ctc"``.
    placement : {"last", "middle", "every"}
        The step at which a sequence's one class stands; the others carry class 0.
    initial_weight_bound : float
        Above 0, all parameters start uniformly within ± this bound, and not as N(0, std²).

    References
    ----------
    Greff et al. (2017), sections IV-B and IV-D. Breuel (2015), sections 3 to 8.

    Examples
    --------
    >>> Protocol(max_epochs=3).patience
    15
    """

    momentum_type: Literal["nesterov", "heavy-ball"] = "nesterov"
    lr_mode: Literal["rescaled", "raw"] = "rescaled"
    loss_reduction: Literal["sum", "mean"] = "sum"
    gradient: Literal["full", "carousel"] = "full"
    clip: float = 0.0
    initial_weight_std: float = 0.1
    max_epochs: int = 150
    patience: int = 15
    dtype: Literal["float32", "float64"] = "float32"
    batch_size: int = 1
    bidirectional: bool = False
    loss: str = "task"
    placement: Literal["last", "middle", "every"] = "last"
    initial_weight_bound: float = 0.0

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            if getattr(self, field) not in choices:
                raise UsageError(
                    f"protocol: {field} is {getattr(self, field)!r}, expected one of {', '.join(map(repr, choices))}"
                )
        if not isinstance(self.bidirectional, bool):
            raise UsageError(f"protocol: bidirectional is {self.bidirectional!r}, expected True or False")
        for field, least in _LEAST.items():
            value = getattr(self, field)
            whole = isinstance(least, int)
            if not is_number(value) or not value >= least or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise UsageError(f"protocol: {field} is {value!r}, expected {kind} of at least {least}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, defaults too, but for later ones that hold what was always done."""
        unsaid = {name for name in _LATER if getattr(self, name) == _DEFAULTS[name]}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in unsaid}

    def not_trained(self) -> list[str]:
        """Return the settings, as they are, that can be planned and that the trainer of this version does not know."""
        return [f"{name}={getattr(self, name)!r}" for name in _LATER if getattr(self, name) != _DEFAULTS[name]]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Protocol:
        """Read settings back.

        Raises
        ------
        UsageError
            If a setting is unknown.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(data.keys() - known)
        if unknown:
            raise UsageError(f"protocol: unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return cls(**data)


_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in dataclasses.fields(Protocol)}

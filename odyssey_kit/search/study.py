"""A study as data, and its plan: a pure function from a study to the specs of its trials.

May import `variants`, `space`, `errors` and `training`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from odyssey_kit.errors import UsageError
from odyssey_kit.space import ODYSSEY_SPACE, SearchSpace
from odyssey_kit.training import NUMERICS, Protocol, TrialSpec
from odyssey_kit.variants import LSTMVariant

__all__ = ["BLOCK", "StudySpec"]

# Draws of a cell that are run before the next draws of any cell, so that a partial study is balanced.
BLOCK = 10

# A study's name is that of a file and of a folder, too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def _rounded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Keep twelve digits of a draw: the last of sixteen depend on a platform's mathematics, and keys on the draw."""
    return {name: float(f"{value:.12g}") if isinstance(value, float) else value for name, value in params.items()}


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A random search over a grid of cells (task × variant).

    Parameters
    ----------
    name, title : str
        Name, and one sentence for the card.
    tasks : tuple of str
        Names of data sets.
    variants : tuple of LSTMVariant
        The cells to compare.
    space : SearchSpace
        What is drawn.
    n_trials : int
        Draws for each cell. The first n of every cell never depend on how many are asked for.
    seed : int
        Of the whole study.
    paired : bool
        All variants see the same draws and seeds.
    protocol : Protocol
        How every trial is trained.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> study = ok.StudySpec(name="demo", tasks=("jsb-chorales",), variants=(ok.variant("V"),), n_trials=3)
    >>> sorted(spec.index for spec in study.plan())
    [0, 1, 2]
    """

    name: str
    title: str = ""
    tasks: tuple[str, ...]
    variants: tuple[LSTMVariant, ...]
    space: SearchSpace = ODYSSEY_SPACE
    n_trials: int = 200
    seed: int = 2015
    paired: bool = False
    protocol: Protocol = field(default_factory=Protocol)
    numerics: int = NUMERICS

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.variants]
        for wrong, message in (
            (not _NAME.fullmatch(self.name), "expected a name of letters, digits, and . _ + - inside it"),
            (not self.tasks, "expected at least one task"),
            (len(set(self.tasks)) < len(self.tasks), f"tasks must differ, got {', '.join(self.tasks)}"),
            (not names, "expected at least one variant"),
            (len(set(names)) < len(names), f"variants must have different names, got {', '.join(names)}"),
            (self.n_trials < 1, f"n_trials is {self.n_trials}, expected at least 1"),
        ):
            if wrong:
                raise UsageError(f"study {self.name!r}: {message}")

    def trial(self, task: str, cell: LSTMVariant, index: int) -> TrialSpec:
        """Return the spec of one draw: the same whatever else is run."""
        who = "" if self.paired else cell.name
        entropy = int.from_bytes(hashlib.sha256(f"{self.seed}\n{task}\n{who}\n{index}".encode()).digest()[:16])
        draw, training = np.random.SeedSequence(entropy).spawn(2)
        units = np.random.Generator(np.random.PCG64DXSM(draw)).random(len(self.space))
        return TrialSpec(
            study=self.name,
            task=task,
            variant=cell,
            index=index,
            params=_rounded(self.space.from_unit(units)),
            seed="".join(f"{word:08x}" for word in training.generate_state(4)),
            protocol=self.protocol,
            numerics=self.numerics,
        )

    def plan(self) -> list[TrialSpec]:
        """Return every trial in the order it is run.

        Notes
        -----
        In blocks of ten draws a cell, so that what is finished is a balanced prefix of the study;
        inside a block the largest networks first, so that no long trial is left for the end.
        """
        specs = [
            self.trial(task, cell, index)
            for task in self.tasks
            for cell in self.variants
            for index in range(self.n_trials)
        ]

        def order(spec: TrialSpec) -> tuple[int, int]:
            hidden = spec.params["hidden_size"]
            return spec.index // BLOCK, -spec.variant.parameter_count(input_size=hidden, hidden_size=hidden)

        return sorted(specs, key=order)

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain data, everything resolved."""
        return {
            "name": self.name,
            "title": self.title,
            "tasks": list(self.tasks),
            "variants": [cell.to_dict() for cell in self.variants],
            "space": self.space.to_dict(),
            "n_trials": self.n_trials,
            "seed": self.seed,
            "paired": self.paired,
            "protocol": self.protocol.to_dict(),
            "numerics": self.numerics,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StudySpec:
        """Read a study back from plain data; what is left out takes its default.

        Raises
        ------
        UsageError
            If a setting is unknown, or one that has no default is missing.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in data if name not in known]
        if unknown:
            raise UsageError(f"study: unknown setting {', '.join(unknown)}; known: {', '.join(known)}")
        read: Mapping[str, Callable[[Any], Any]] = {
            "tasks": tuple,
            "variants": lambda cells: tuple(LSTMVariant(**cell) for cell in cells),
            "space": SearchSpace.from_dict,
            "protocol": Protocol.from_dict,
        }
        try:
            settings: dict[str, Any] = {name: read.get(name, _as_it_is)(value) for name, value in data.items()}
            return cls(**settings)
        except (AttributeError, TypeError) as error:
            raise UsageError(f"study {data.get('name')!r}: {error}") from error


def _as_it_is(value: Any) -> Any:
    return value

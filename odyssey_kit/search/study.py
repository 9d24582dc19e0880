"""A study as data, and its plan: a pure function from a study to the specs of its trials.

May import `variants`, `space`, `errors`, `plain_text` and `training`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from odyssey_kit.errors import UsageError
from odyssey_kit.search import plain_text
from odyssey_kit.space import ODYSSEY_SPACE, SearchSpace
from odyssey_kit.training import NUMERICS, Protocol, TrialSpec
from odyssey_kit.variants import VARIANTS, LSTMVariant, variant

__all__ = ["BLOCK", "Shard", "StudySpec"]

# Draws of a cell that are run before the next draws of any cell, so that a partial study is balanced.
BLOCK = 10

# A study's name is that of a file and of a folder, too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_SETTINGS = frozenset(field.name for field in fields(Protocol))


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
        How every trial is trained. What the space draws under the name of one of its settings takes its place.
    cell_settings : mapping
        By variant's name, the settings of the protocol in which its trials differ from the others.
    given : mapping
        By variant's name, configurations that are trained instead of drawn ones, in turn: index k has
        configuration k modulo their number, and a seed of its own.

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
    cell_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    given: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.variants]
        for wrong, message in (
            (not _NAME.fullmatch(self.name), "expected a name of letters, digits, and . _ + - inside it"),
            (not self.tasks, "expected at least one task"),
            (len(set(self.tasks)) < len(self.tasks), f"tasks must differ, got {', '.join(self.tasks)}"),
            (not names, "expected at least one variant"),
            (len(set(names)) < len(names), f"variants must have different names, got {', '.join(names)}"),
            (self.n_trials < 1, f"n_trials is {self.n_trials}, expected at least 1"),
            (strange := {*self.cell_settings, *self.given} - {*names}, f"no variant is called {', '.join(strange)}"),
        ):
            if wrong:
                raise UsageError(f"study {self.name!r}: {message}")

    def protocol_of(self, cell: LSTMVariant) -> Protocol:
        """Return how a cell's trials are trained, but for what is drawn."""
        changed = self.cell_settings.get(cell.name)
        return Protocol.from_dict({**self.protocol.to_dict(), **changed}) if changed else self.protocol

    @property
    def trial_count(self) -> int:
        """How many trials are planned."""
        return len(self.tasks) * len(self.variants) * self.n_trials

    def trial(self, task: str, cell: LSTMVariant, index: int) -> TrialSpec:
        """Return the spec of one draw: the same whatever else is run."""
        who = "" if self.paired else cell.name
        entropy = int.from_bytes(hashlib.sha256(f"{self.seed}\n{task}\n{who}\n{index}".encode()).digest()[:16])
        draw, training = np.random.SeedSequence(entropy).spawn(2)
        if cell.name in self.given:
            drawn = dict(self.given[cell.name][index % len(self.given[cell.name])])
        else:
            units = np.random.Generator(np.random.PCG64DXSM(draw)).random(len(self.space))
            drawn = _rounded(self.space.from_unit(units))
        settings = {name: drawn.pop(name) for name in _SETTINGS & drawn.keys()}
        protocol = self.protocol_of(cell)
        return TrialSpec(
            study=self.name,
            task=task,
            variant=cell,
            index=index,
            params=drawn,
            seed="".join(f"{word:08x}" for word in training.generate_state(4)),
            protocol=replace(protocol, **settings) if settings else protocol,
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
        later = {
            "cell_settings": {name: dict(settings) for name, settings in self.cell_settings.items()},
            "given": {name: [dict(params) for params in draws] for name, draws in self.given.items()},
        }
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
            **{name: value for name, value in later.items() if value},
        }

    def to_yaml(self) -> str:
        """Return the study as YAML, variants of the tables by name; `from_yaml` reads it back."""
        known = [VARIANTS.get(cell.name) == cell for cell in self.variants]
        cells = [cell.name if k else cell.to_dict() for cell, k in zip(self.variants, known, strict=True)]
        return plain_text.dump({**self.to_dict(), "variants": cells})

    @classmethod
    def from_yaml(cls, text: str) -> StudySpec:
        """Read a study from YAML; what is left out takes its default.

        Raises
        ------
        UsageError
            If it is no YAML, a setting is unknown, or one that has no default is missing.

        Examples
        --------
        >>> import odyssey_kit as ok
        >>> study = ok.StudySpec.from_yaml("{name: mine, tasks: [jsb-chorales], variants: [V, NP], n_trials: 3}")
        >>> study.trial_count
        6
        """
        return cls.from_dict(plain_text.load_mapping(text, "a study"))

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
            "variants": lambda cells: tuple(
                variant(cell) if isinstance(cell, str) else LSTMVariant(**cell) for cell in cells
            ),
            "space": SearchSpace.from_dict,
            "protocol": Protocol.from_dict,
            "given": lambda given: {name: tuple(map(dict, draws)) for name, draws in given.items()},
        }
        try:
            settings: dict[str, Any] = {name: read.get(name, _as_it_is)(value) for name, value in data.items()}
            return cls(**settings)
        except (AttributeError, TypeError, UsageError) as error:
            study = f"study {data.get('name')!r}: "  # which the study's own errors say already
            raise UsageError(study + str(error).removeprefix(study)) from error


@dataclass(frozen=True)
class Shard:
    """A fixed part of every plan: from each cell every n-th draw, so that each part is a balanced study itself.

    Examples
    --------
    >>> Shard.parse("2/3")
    Shard(number=2, of=3)
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"k/n"``.

        Raises
        ------
        UsageError
            If it is anything else, or k is not one of 1 to n.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise UsageError(f"shard is {text!r}, expected k/n with k from 1 to n, such as 2/3")
        return cls(int(number), int(of))

    def holds(self, study: StudySpec, spec: TrialSpec) -> bool:
        """Return whether a trial of a study is in this part."""
        cells = [cell.name for cell in study.variants]
        cell = len(cells) * study.tasks.index(spec.task) + cells.index(spec.variant.name)
        return (cell + spec.index) % self.of == self.number - 1

    def store_name(self, study: StudySpec) -> str:
        """Return the name of this part's store."""
        return f"{study.name}.{self.number}-of-{self.of}"


def _as_it_is(value: Any) -> Any:
    return value

"""The named studies. May import `study` and what it imports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from odyssey_kit.errors import UsageError
from odyssey_kit.search.study import StudySpec
from odyssey_kit.training import Protocol
from odyssey_kit.variants import ODYSSEY_VARIANTS

__all__ = ["STUDIES", "named_study"]

_NINE = tuple(ODYSSEY_VARIANTS.values())

STUDIES: Mapping[str, StudySpec] = MappingProxyType(
    {
        study.name: study
        for study in (
            StudySpec(
                name="first-light",
                title="Nine variants, 20 draws each, three epochs: a first look that decides no claim.",
                tasks=("jsb-chorales",),
                variants=_NINE,
                n_trials=20,
                protocol=Protocol(max_epochs=3),
            ),
            StudySpec(
                name="odyssey-jsb",
                title="The Odyssey's JSB Chorales column under its own protocol: nine variants, 200 draws each.",
                tasks=("jsb-chorales",),
                variants=_NINE,
                n_trials=200,
            ),
        )
    }
)


def named_study(name: str) -> StudySpec:
    """Return the study of that name.

    Raises
    ------
    UsageError
        If there is none.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> len(ok.named_study("first-light").plan())
    180
    """
    if name not in STUDIES:
        raise UsageError(f"no study is called {name!r}; known: {', '.join(STUDIES)}. See `odyssey plan --help`.")
    return STUDIES[name]

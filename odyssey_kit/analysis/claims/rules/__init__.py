"""The rules in code: one function a quantity, each from the trials of a task to parts with verdicts.

A rule is called with `Arms` and the claim's settings and returns a list of `Part`; a claim that is decided
over all tasks at once has a rule that takes the list of all arms. May import the rest of `claims`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from odyssey_kit.analysis.claims.rules import cells, conditions, long_runs, noise, rates, searches, shares, single

__all__ = ["RULES"]

_MODULES = (cells, conditions, long_runs, noise, rates, searches, shares, single)

RULES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {name: getattr(module, name) for module in _MODULES for name in module.__all__}
)

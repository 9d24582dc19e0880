"""What the trials say: the published table, tests between variants, importance of hyperparameters.

Names are loaded on first use, so that a runner that only writes the table does not pay for
scikit-learn and statsmodels. May import `errors`, `variants` and `space`; needs neither torch nor data.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> module. `fanova` lives in `importance`: importing a module of its own name would overwrite it.
_PUBLIC = {
    "Column": "schema",
    "SCHEMA": "schema",
    "arrow_schema": "schema",
    "check_trials": "schema",
    "describe_columns": "schema",
    "write_table": "schema",
    "Trials": "trials",
    "load_trials": "trials",
    "select_top": "trials",
    "Comparison": "significance",
    "compare": "significance",
    "FunctionalANOVA": "functional_anova",
    "fanova": "importance",
}

__all__ = [
    "SCHEMA",
    "Column",
    "Comparison",
    "FunctionalANOVA",
    "Trials",
    "arrow_schema",
    "check_trials",
    "compare",
    "describe_columns",
    "fanova",
    "load_trials",
    "select_top",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from odyssey_kit.analysis.functional_anova import FunctionalANOVA as FunctionalANOVA
    from odyssey_kit.analysis.importance import fanova as fanova
    from odyssey_kit.analysis.schema import SCHEMA as SCHEMA
    from odyssey_kit.analysis.schema import Column as Column
    from odyssey_kit.analysis.schema import arrow_schema as arrow_schema
    from odyssey_kit.analysis.schema import check_trials as check_trials
    from odyssey_kit.analysis.schema import describe_columns as describe_columns
    from odyssey_kit.analysis.schema import write_table as write_table
    from odyssey_kit.analysis.significance import Comparison as Comparison
    from odyssey_kit.analysis.significance import compare as compare
    from odyssey_kit.analysis.trials import Trials as Trials
    from odyssey_kit.analysis.trials import load_trials as load_trials
    from odyssey_kit.analysis.trials import select_top as select_top

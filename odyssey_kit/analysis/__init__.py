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
    "load_trials": "loading",
    "published_studies": "loading",
    "select_top": "trials",
    "Comparison": "significance",
    "compare": "significance",
    "FunctionalANOVA": "functional_anova",
    "fanova": "importance",
    "analyze": "analyzing",
    "Analysis": "analyzing",
    "guess_space": "reading",
    "read_space": "reading",
    "read_table": "reading",
    "trials_from_table": "foreign",
    "known_surface": "surfaces",
    "measured_coverage": "coverage",
    "expected_best": "best_of",
    "compare_pairs": "pairs",
    "repeated_settings": "seeds",
    "seed_spread": "seeds",
    "find_basins": "basins",
    "learning_rate_scaling": "scaling",
    "late_minus_best": "divergence",
    "divergence_survival": "divergence",
    "replay_rules": "replay",
    "Evidence": "claims",
    "Verdicts": "claims",
    "check_claims": "claims",
    "list_published": "published",
    "load_published": "published",
    "beside_figure3": "beside_paper",
    "best_by_validation": "beside_paper",
    "paper_shares": "beside_paper",
    "pair_effects": "interactions",
    "published_errata": "published",
    "retest_published": "published",
    "from_optuna": "optuna_studies",
}

__all__ = [
    "SCHEMA",
    "Analysis",
    "Column",
    "Comparison",
    "Evidence",
    "FunctionalANOVA",
    "Trials",
    "Verdicts",
    "analyze",
    "arrow_schema",
    "beside_figure3",
    "best_by_validation",
    "check_claims",
    "check_trials",
    "compare",
    "compare_pairs",
    "describe_columns",
    "divergence_survival",
    "expected_best",
    "fanova",
    "find_basins",
    "from_optuna",
    "guess_space",
    "known_surface",
    "late_minus_best",
    "learning_rate_scaling",
    "list_published",
    "load_published",
    "load_trials",
    "measured_coverage",
    "pair_effects",
    "paper_shares",
    "published_errata",
    "published_studies",
    "read_space",
    "read_table",
    "repeated_settings",
    "replay_rules",
    "retest_published",
    "seed_spread",
    "select_top",
    "trials_from_table",
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
    from odyssey_kit.analysis.analyzing import Analysis as Analysis
    from odyssey_kit.analysis.analyzing import analyze as analyze
    from odyssey_kit.analysis.basins import find_basins as find_basins
    from odyssey_kit.analysis.beside_paper import beside_figure3 as beside_figure3
    from odyssey_kit.analysis.beside_paper import best_by_validation as best_by_validation
    from odyssey_kit.analysis.beside_paper import paper_shares as paper_shares
    from odyssey_kit.analysis.best_of import expected_best as expected_best
    from odyssey_kit.analysis.claims import Evidence as Evidence
    from odyssey_kit.analysis.claims import Verdicts as Verdicts
    from odyssey_kit.analysis.claims import check_claims as check_claims
    from odyssey_kit.analysis.coverage import measured_coverage as measured_coverage
    from odyssey_kit.analysis.divergence import divergence_survival as divergence_survival
    from odyssey_kit.analysis.divergence import late_minus_best as late_minus_best
    from odyssey_kit.analysis.foreign import trials_from_table as trials_from_table
    from odyssey_kit.analysis.functional_anova import FunctionalANOVA as FunctionalANOVA
    from odyssey_kit.analysis.importance import fanova as fanova
    from odyssey_kit.analysis.interactions import pair_effects as pair_effects
    from odyssey_kit.analysis.loading import load_trials as load_trials
    from odyssey_kit.analysis.loading import published_studies as published_studies
    from odyssey_kit.analysis.optuna_studies import from_optuna as from_optuna
    from odyssey_kit.analysis.pairs import compare_pairs as compare_pairs
    from odyssey_kit.analysis.published import list_published as list_published
    from odyssey_kit.analysis.published import load_published as load_published
    from odyssey_kit.analysis.published import published_errata as published_errata
    from odyssey_kit.analysis.published import retest_published as retest_published
    from odyssey_kit.analysis.reading import guess_space as guess_space
    from odyssey_kit.analysis.reading import read_space as read_space
    from odyssey_kit.analysis.reading import read_table as read_table
    from odyssey_kit.analysis.replay import replay_rules as replay_rules
    from odyssey_kit.analysis.scaling import learning_rate_scaling as learning_rate_scaling
    from odyssey_kit.analysis.schema import SCHEMA as SCHEMA
    from odyssey_kit.analysis.schema import Column as Column
    from odyssey_kit.analysis.schema import arrow_schema as arrow_schema
    from odyssey_kit.analysis.schema import check_trials as check_trials
    from odyssey_kit.analysis.schema import describe_columns as describe_columns
    from odyssey_kit.analysis.schema import write_table as write_table
    from odyssey_kit.analysis.seeds import repeated_settings as repeated_settings
    from odyssey_kit.analysis.seeds import seed_spread as seed_spread
    from odyssey_kit.analysis.significance import Comparison as Comparison
    from odyssey_kit.analysis.significance import compare as compare
    from odyssey_kit.analysis.surfaces import known_surface as known_surface
    from odyssey_kit.analysis.trials import Trials as Trials
    from odyssey_kit.analysis.trials import select_top as select_top

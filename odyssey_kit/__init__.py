"""odyssey_kit: which parts of an LSTM matter, which hyperparameters matter, and how sure that is.

Names are loaded on first use, so that importing the package is quick and brings in no torch.
Start with `ok.list_variants()`, `ok.load_trials("first-light")` or `odyssey --help`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it. No public function may bear the name of a module here.
_PUBLIC = {
    "LSTMVariant": "variants",
    "VARIANTS": "variants",
    "list_variants": "variants",
    "variant": "variants",
    "ODYSSEY_SPACE": "space",
    "Categorical": "space",
    "LogUniform": "space",
    "OneMinusLogUniform": "space",
    "SearchSpace": "space",
    "Uniform": "space",
    "UniformInteger": "space",
    "SequenceDataset": "data",
    "describe_dataset": "data",
    "fetch_dataset": "data",
    "list_datasets": "data",
    "load_dataset": "data",
    "load_example": "data",
    "LSTM": "engine",
    "Protocol": "training",
    "TrialResult": "training",
    "TrialSpec": "training",
    "run_trial": "training",
    "train": "training",
    "StudySpec": "search",
    "list_studies": "search",
    "named_study": "search",
    "run_study": "search",
    "FunctionalANOVA": "analysis",
    "Trials": "analysis",
    "Evidence": "analysis",
    "check_claims": "analysis",
    "compare": "analysis",
    "fanova": "analysis",
    "analyze": "analysis",
    "guess_space": "analysis",
    "read_space": "analysis",
    "read_table": "analysis",
    "trials_from_table": "analysis",
    "known_surface": "analysis",
    "measured_coverage": "analysis",
    "expected_best": "analysis",
    "compare_pairs": "analysis",
    "repeated_settings": "analysis",
    "seed_spread": "analysis",
    "find_basins": "analysis",
    "learning_rate_scaling": "analysis",
    "late_minus_best": "analysis",
    "divergence_survival": "analysis",
    "replay_rules": "analysis",
    "load_published": "analysis",
    "published_errata": "analysis",
    "retest_published": "analysis",
    "from_optuna": "analysis",
    "load_trials": "analysis",
    "select_top": "analysis",
    "best_by_validation": "analysis",
    "beside_figure3": "analysis",
    "pair_effects": "analysis",
    "paper_shares": "analysis",
    "MarginalExplorer": "explorers",
    "DataError": "errors",
    "MissingDataError": "errors",
    "OdysseyError": "errors",
    "StudyError": "errors",
    "UnfinishedBlockError": "errors",
    "UsageError": "errors",
}
_MODULES = ("charts", "explorers")

__all__ = ["__version__", *_PUBLIC, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _PUBLIC:
        value = getattr(_module(name), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"{__name__}.{_PUBLIC[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("numba", "torch"):
            raise
        from odyssey_kit.errors import UsageError

        raise UsageError(
            f"ok.{name} trains networks and needs {error.name}, which is not installed here; "
            'install the extra: pip install -e ".[train]" (the README names the smaller torch for Linux)'
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from odyssey_kit import charts as charts
    from odyssey_kit import explorers as explorers
    from odyssey_kit.analysis import Evidence as Evidence
    from odyssey_kit.analysis import FunctionalANOVA as FunctionalANOVA
    from odyssey_kit.analysis import Trials as Trials
    from odyssey_kit.analysis import analyze as analyze
    from odyssey_kit.analysis import beside_figure3 as beside_figure3
    from odyssey_kit.analysis import best_by_validation as best_by_validation
    from odyssey_kit.analysis import check_claims as check_claims
    from odyssey_kit.analysis import compare as compare
    from odyssey_kit.analysis import compare_pairs as compare_pairs
    from odyssey_kit.analysis import divergence_survival as divergence_survival
    from odyssey_kit.analysis import expected_best as expected_best
    from odyssey_kit.analysis import fanova as fanova
    from odyssey_kit.analysis import find_basins as find_basins
    from odyssey_kit.analysis import from_optuna as from_optuna
    from odyssey_kit.analysis import guess_space as guess_space
    from odyssey_kit.analysis import known_surface as known_surface
    from odyssey_kit.analysis import late_minus_best as late_minus_best
    from odyssey_kit.analysis import learning_rate_scaling as learning_rate_scaling
    from odyssey_kit.analysis import load_published as load_published
    from odyssey_kit.analysis import load_trials as load_trials
    from odyssey_kit.analysis import measured_coverage as measured_coverage
    from odyssey_kit.analysis import pair_effects as pair_effects
    from odyssey_kit.analysis import paper_shares as paper_shares
    from odyssey_kit.analysis import published_errata as published_errata
    from odyssey_kit.analysis import read_space as read_space
    from odyssey_kit.analysis import read_table as read_table
    from odyssey_kit.analysis import repeated_settings as repeated_settings
    from odyssey_kit.analysis import replay_rules as replay_rules
    from odyssey_kit.analysis import retest_published as retest_published
    from odyssey_kit.analysis import seed_spread as seed_spread
    from odyssey_kit.analysis import select_top as select_top
    from odyssey_kit.analysis import trials_from_table as trials_from_table
    from odyssey_kit.data import SequenceDataset as SequenceDataset
    from odyssey_kit.data import describe_dataset as describe_dataset
    from odyssey_kit.data import fetch_dataset as fetch_dataset
    from odyssey_kit.data import list_datasets as list_datasets
    from odyssey_kit.data import load_dataset as load_dataset
    from odyssey_kit.data import load_example as load_example
    from odyssey_kit.engine import LSTM as LSTM
    from odyssey_kit.errors import DataError as DataError
    from odyssey_kit.errors import MissingDataError as MissingDataError
    from odyssey_kit.errors import OdysseyError as OdysseyError
    from odyssey_kit.errors import StudyError as StudyError
    from odyssey_kit.errors import UnfinishedBlockError as UnfinishedBlockError
    from odyssey_kit.errors import UsageError as UsageError
    from odyssey_kit.explorers import MarginalExplorer as MarginalExplorer
    from odyssey_kit.search import StudySpec as StudySpec
    from odyssey_kit.search import list_studies as list_studies
    from odyssey_kit.search import named_study as named_study
    from odyssey_kit.search import run_study as run_study
    from odyssey_kit.space import ODYSSEY_SPACE as ODYSSEY_SPACE
    from odyssey_kit.space import Categorical as Categorical
    from odyssey_kit.space import LogUniform as LogUniform
    from odyssey_kit.space import OneMinusLogUniform as OneMinusLogUniform
    from odyssey_kit.space import SearchSpace as SearchSpace
    from odyssey_kit.space import Uniform as Uniform
    from odyssey_kit.space import UniformInteger as UniformInteger
    from odyssey_kit.training import Protocol as Protocol
    from odyssey_kit.training import TrialResult as TrialResult
    from odyssey_kit.training import TrialSpec as TrialSpec
    from odyssey_kit.training import run_trial as run_trial
    from odyssey_kit.training import train as train
    from odyssey_kit.variants import VARIANTS as VARIANTS
    from odyssey_kit.variants import LSTMVariant as LSTMVariant
    from odyssey_kit.variants import list_variants as list_variants
    from odyssey_kit.variants import variant as variant

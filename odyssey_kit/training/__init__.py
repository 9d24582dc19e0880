"""Training: one trial, from a spec that says everything to a result that keeps everything.

Specs, results and protocols are plain data; what trains is loaded on first use, so that a plan or a
published study can be read without numba or torch. May import `variants`, `space`, `errors`, `data` and `engine`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from odyssey_kit.training.protocol import NUMERICS, Protocol
from odyssey_kit.training.trial import EpochRow, TrialResult, TrialSpec, canonical_json

if TYPE_CHECKING:
    from odyssey_kit.training.population import run_population as run_population
    from odyssey_kit.training.rerun import first_epochs as first_epochs
    from odyssey_kit.training.trainer import Training as Training
    from odyssey_kit.training.trainer import run_trial as run_trial
    from odyssey_kit.training.trainer import train as train

__all__ = [
    "NUMERICS",
    "EpochRow",
    "Protocol",
    "Training",
    "TrialResult",
    "TrialSpec",
    "canonical_json",
    "first_epochs",
    "run_population",
    "run_trial",
    "train",
]
_TRAINS = {
    "Training": "trainer",
    "first_epochs": "rerun",
    "run_population": "population",
    "run_trial": "trainer",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    if name not in _TRAINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_TRAINS[name]}"), name)

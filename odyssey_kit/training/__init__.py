"""Training: one trial, from a spec that says everything to a result that keeps everything.

May import `variants`, `space`, `errors`, `data` and `engine`.
"""

from odyssey_kit.training.protocol import NUMERICS, Protocol
from odyssey_kit.training.trainer import Training, run_trial, train
from odyssey_kit.training.trial import EpochRow, TrialResult, TrialSpec, canonical_json

__all__ = [
    "NUMERICS",
    "EpochRow",
    "Protocol",
    "Training",
    "TrialResult",
    "TrialSpec",
    "canonical_json",
    "run_trial",
    "train",
]

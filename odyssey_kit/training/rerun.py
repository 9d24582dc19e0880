"""The first epochs of a trial once more, as it was or with its first weights moved by a hair.

Training amplifies rounding, by how much depends on the trial: two reruns that began a hair apart say it.
May import the rest of `training`.
"""

from __future__ import annotations

import numpy as np

from odyssey_kit.training.trainer import Trainer, _dataset
from odyssey_kit.training.trial import EpochRow, TrialSpec

__all__ = ["first_epochs"]


def first_epochs(spec: TrialSpec, epochs: int, *, perturbation: float = 0.0, seed: int = 0) -> list[EpochRow]:
    """Train the first epochs of a trial.

    Parameters
    ----------
    spec : TrialSpec
        Which trial.
    epochs : int
        At most so many; fewer where the trial diverges before.
    perturbation : float
        To every initial parameter so much is added or subtracted, by chance.
    seed : int
        Of that chance.

    Returns
    -------
    list of EpochRow
        With perturbation 0 the first rows of the trial's curve, bit for bit on one machine with one set of
        versions, but for the seconds.
    """
    trainer = Trainer(spec, _dataset(spec.task))
    if perturbation:
        theta = trainer.network.theta
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=theta.shape)
        theta += (perturbation * signs).astype(theta.dtype)
    while trainer.course.running and len(trainer.course.curve) < epochs:
        trainer.epoch()
    return trainer.course.curve

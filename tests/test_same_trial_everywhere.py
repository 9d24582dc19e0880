"""A published trial is the trial that the equations define, up to what training makes of rounding.

Training amplifies rounding: the yardstick is what a change of every weight by 1e-7 does to the same
trial. A published epoch must lie within ten times that spread, plus 1e-5, of the readable loop's.
"""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
import torch

import odyssey_kit as ok
from odyssey_kit.engine import equations
from odyssey_kit.training.trainer import Trainer

pytestmark = pytest.mark.skipif("ODYSSEY_DATA" not in os.environ, reason="needs the chorales: set ODYSSEY_DATA")


def first_epoch_by_equations(spec, dataset):
    """Train one epoch with autograd on the equations and return the pooled validation loss."""
    trial = Trainer(spec, dataset)  # for its streams: initial weights, order, noise
    layout, params = trial.network.layout, spec.params
    inputs, targets = torch.tensor(trial.course.noisy(trial.data.inputs)), torch.tensor(trial.data.targets)
    order = trial.course.order()
    w, v, rate = torch.tensor(trial.network.theta), 0.0, params["learning_rate"] * (1 - params["momentum"])
    for s in order:
        rows = slice(trial.data.offsets[s], trial.data.offsets[s + 1])
        v = params["momentum"] * v
        w = (w + v).requires_grad_()
        (g,) = torch.autograd.grad(loss_of(layout, w, inputs[rows], targets[rows]), w)
        v, w = v - rate * g, (w - rate * g).detach()
    with torch.no_grad():
        total = sum(
            loss_of(layout, w, torch.tensor(x), torch.tensor(t)).item()
            for x, t in (dataset.valid[i] for i in range(len(dataset.valid)))
        )
    return total / dataset.valid.offsets[-1]


def loss_of(layout, theta, inputs, targets):
    weights = layout.weights(theta)
    hidden = equations.lstm(layout.variant, weights, inputs[:, None]).outputs[:, 0]
    logits = equations.output_layer(weights, hidden)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def first_epoch_by_kernels(spec, dataset, nudge):
    trial = Trainer(spec, dataset)
    change = nudge * np.random.default_rng(0).standard_normal(trial.network.layout.parameter_count)
    trial.network.theta += trial.network.layout.spread(change.astype(trial.network.theta.dtype))
    trial.epoch()
    return trial.course.curve[0].valid_metric


@pytest.mark.parametrize(
    "name",
    [
        "V",
        pytest.param("CIFG", marks=pytest.mark.slow),
        pytest.param("NIG", marks=pytest.mark.slow),
        pytest.param("NP", marks=pytest.mark.slow),
        pytest.param("FGR", marks=pytest.mark.slow),
    ],
)
def test_a_published_trial_is_the_one_that_the_equations_define(name):
    published = ok.load_trials("first-light")
    rows = published.query(f"variant == '{name}' and state == 'COMPLETE'").frame
    row = rows.sort_values("params_learning_rate").iloc[len(rows) // 2]
    first = published.curves.query("key == @row.key and epoch == 1")["valid_metric"].item()
    spec, dataset = ok.TrialSpec.from_dict(json.loads(row["spec"])), ok.load_dataset("jsb-chorales")
    again, perturbed = (first_epoch_by_kernels(spec, dataset, nudge) for nudge in (0.0, 1e-7))
    spread = abs(perturbed - again)
    oracle = first_epoch_by_equations(spec, dataset)
    assert math.isfinite(oracle)
    assert abs(first - oracle) <= 10 * spread + 1e-5, f"published {first}, equations {oracle}, spread {spread}"

"""Losses on the output layer's pre-activations, compiled: value, and delta in place.

May import `compiled` and `kernels`.
"""

from __future__ import annotations

import math

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.kernels import tanh

__all__ = ["bernoulli", "bernoulli_losses"]

# Factors of one product before its logarithm is taken: each is at least 1/2, so 64 stay in float32's range.
_CHUNK = 64


@kernel
def bernoulli_row(x, target):
    r"""Replace net inputs x by p - target and return the row's negative log-likelihood in nats.

    Each unit is an independent Bernoulli with p = sigmoid(x): the loss of one is
    max(x, 0) - x t - log max(p, 1 - p), and the logarithms of a row are one logarithm of a product.
    """
    half = x.dtype.type(0.5)
    one = x.dtype.type(1)
    zero = x.dtype.type(0)
    total = 0.0
    for start in range(0, x.size, _CHUNK):
        linear = zero
        product = one
        for j in range(start, min(start + _CHUNK, x.size)):
            value = x[j]
            p = half + half * tanh(half * value)
            linear += max(value, zero) - value * target[j]
            product *= max(p, one - p)
            x[j] = p - target[j]
        total += linear - math.log(product)
    return total


@kernel
def bernoulli(X, targets, scale):
    """Sum of the rows' losses; X becomes the delta, both times scale."""
    total = 0.0
    for r in range(X.shape[0]):
        total += bernoulli_row(X[r], targets[r])
    if scale != 1.0:
        factor = X.dtype.type(scale)
        for r in range(X.shape[0]):
            row = X[r]
            for j in range(row.size):
                row[j] *= factor
    return total * scale


@kernel
def bernoulli_losses(X, targets, losses):
    """Write each row's loss; X is overwritten."""
    for r in range(X.shape[0]):
        losses[r] = bernoulli_row(X[r], targets[r])

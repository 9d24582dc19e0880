"""What becomes of a gradient: its clipping and the momentum step; and what an update measures on the way.

May import `compiled` and `losses`.
"""

from __future__ import annotations

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.losses import reinterpret

__all__ = ["clip_elements", "count_saturated", "descend", "largest", "move_ahead"]


@kernel
def clip_elements(gradient, bound):
    """Clamp every element to [-bound, bound]."""
    for j in range(gradient.size):
        gradient[j] = min(max(gradient[j], -bound), bound)


@kernel
def descend(theta, velocity, gradient, learning_rate, momentum, nesterov):
    """Apply one momentum step in one pass over memory and return the squared gradient norm.

    With Nesterov momentum theta is kept at the point ahead, theta + momentum * velocity, where the
    next gradient is wanted.
    """
    squares = theta.dtype.type(0)
    if nesterov:
        for j in range(theta.size):
            g = gradient[j]
            v = momentum * velocity[j] - learning_rate * g
            velocity[j] = v
            theta[j] += momentum * v - learning_rate * g
            squares += g * g
    else:
        for j in range(theta.size):
            g = gradient[j]
            v = momentum * velocity[j] - learning_rate * g
            velocity[j] = v
            theta[j] += v
            squares += g * g
    return squares


@kernel
def move_ahead(theta, velocity, factor):
    """Move theta along the velocity."""
    for j in range(theta.size):
        theta[j] += factor * velocity[j]


@kernel
def largest(X):
    """Return the largest absolute value; a NaN counts as larger than any."""
    most = reinterpret(X.dtype.type(0))
    for r in range(X.shape[0]):
        x = X[r]
        for j in range(x.size):
            # Numbers that are not negative are in the order of their bits, and integers vectorise.
            most = max(most, reinterpret(abs(x[j])))
    return reinterpret(most)


@kernel
def count_saturated(A, first, last):
    """Return how many gates, the elements of A[:, first:last], are within 0.01 of 0 or of 1."""
    half, edge, one, zero = A.dtype.type(0.5), A.dtype.type(0.49), A.dtype.type(1), A.dtype.type(0)
    total = 0.0
    for r in range(A.shape[0]):
        a = A[r, first:last]
        count = zero
        for j in range(a.size):
            count += one if abs(a[j] - half) > edge else zero
        total += count
    return total

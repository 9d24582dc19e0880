"""Gaussian input noise as a pure function of (key, epoch, position), drawn by the whole vector.

The random bits are those of Philox4x32-10, a generator without a state: they hang on a key and a
counter alone, so an epoch's noise is the same whatever was drawn before, and wherever. Two numbers
of 32 bits become two of N(0, 1) by Box and Muller's method. May import `compiled` and `losses`.

References
----------
Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, section 3.3.
"""

from __future__ import annotations

import math

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.losses import reinterpret

__all__ = ["add_noise", "philox", "standard_normal_pair"]

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
# Counters of a block: its numbers, four each, stay in the first-level cache.
_BLOCK = 1024
_LOW, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


@kernel
def philox(c0, c1, c2, c3, k0, k1):
    """Return four words of 32 bits for a counter of four and a key of two, all held in uint64."""
    for _ in range(10):
        left, right = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (right >> _WORD) ^ c1 ^ k0, right & _LOW, (left >> _WORD) ^ c3 ^ k1, left & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return c0, c1, c2, c3


# ln(1 + t) = t - t^2/2 + t^3 P(t) on sqrt(1/2) <= 1 + t < sqrt(2); sin(pi w) = w (1 - w^2) S(w^2) and
# cos(pi w) = (1 - 4 w^2) C(w^2) on |w| <= 1, so that zeros are exact. Chebyshev fits; what they leave is
# below 2.5e-7 of the largest value.
_P = tuple(map(np.float32, (0.3333341, -0.25000922, 0.19985128, -0.16592856, 0.14676397, -0.14118425, 0.09272214)))
_S = tuple(map(np.float32, (3.14159189, -2.02608178, 0.52373464, -0.07434302, 0.00589534)))
_C = tuple(map(np.float32, (0.99999999, -0.934801402, 0.319493953, -0.0572091658, 0.00625396861, -0.000404020375)))
_LN2 = np.float32(math.log(2))
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_EXPONENT = np.int32(23)  # where the exponent's bits begin
_ONE, _ONE_HALF, _FOUR, _MINUS_TWO = map(np.float32, (1, 0.5, 4, -2))
_POSITIVE = np.int32(2**31 - 1)
_UNIT = np.float32(2.0**-31)


@kernel
def standard_normal_pair(bits, more_bits):
    """Return two independent numbers of N(0, 1) for two words of 32 bits; the largest possible is 6.66."""
    uniform = (np.float32(np.int32(bits & _POSITIVE)) + _ONE_HALF) * _UNIT
    exponent = np.int32(np.int32(reinterpret(uniform) - _ROOT_HALF) >> _EXPONENT)
    t = reinterpret(np.int32(reinterpret(uniform) - np.int32(exponent << _EXPONENT))) - _ONE
    series = _P[0] + t * (_P[1] + t * (_P[2] + t * (_P[3] + t * (_P[4] + t * (_P[5] + t * _P[6])))))
    logarithm = np.float32(exponent) * _LN2 + (t + t * t * (t * series - _ONE_HALF))
    # Rounding may leave a positive trace of the logarithm of one.
    radius = np.sqrt(_MINUS_TWO * min(logarithm, np.float32(0)))
    w = np.float32(more_bits) * _UNIT
    s = w * w
    sine = w * (_ONE - s) * (_S[0] + s * (_S[1] + s * (_S[2] + s * (_S[3] + s * _S[4]))))
    cosine = (_ONE - _FOUR * s) * (_C[0] + s * (_C[1] + s * (_C[2] + s * (_C[3] + s * (_C[4] + s * _C[5])))))
    return radius * sine, radius * cosine


@kernel
def random_words(key, epoch, first, words):
    """Fill words (4, n) with the four words of the counters from `first` on."""
    zero, k0, k1 = np.uint64(0), key & _LOW, key >> _WORD
    for j in range(words.shape[1]):
        words[0, j], words[1, j], words[2, j], words[3, j] = philox(np.uint64(first + j), zero, epoch, zero, k0, k1)


@kernel
def standard_normals(words, more_words, sines, cosines):
    """Write the pairs of N(0, 1) of some pairs of words."""
    for j in range(words.size):
        sines[j], cosines[j] = standard_normal_pair(words[j], more_words[j])


@kernel
def add_noise(inputs, std, key, epoch, noisy):
    """Write inputs + std * N(0, 1) to noisy; both are flat, and the noise is drawn in float32."""
    words, drawn = np.empty((4, _BLOCK), np.int32), np.empty((4, _BLOCK), np.float32)
    flat = drawn.reshape(4 * _BLOCK)
    for block in range((inputs.size + flat.size - 1) // flat.size):
        random_words(key, epoch, block * _BLOCK, words)
        standard_normals(words[0], words[1], drawn[0], drawn[1])
        standard_normals(words[2], words[3], drawn[2], drawn[3])
        x, y = inputs[block * flat.size :], noisy[block * flat.size :]
        for e in range(min(flat.size, x.size)):
            y[e] = x[e] + std * flat[e]

"""The engine's own matrix products: any size, any strides, and a row's bits hang on that row alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.engine.products import matrix_product, transpose

SIZES = st.integers(1, 40)


def drawn(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@settings(max_examples=150, deadline=None)
@given(
    rows=SIZES,
    inner=st.one_of(SIZES, st.integers(120, 300)),  # more than one block of the inner dimension
    columns=st.one_of(SIZES, st.integers(100, 600)),  # more than one panel of registers
    dtype=st.sampled_from(["float32", "float64"]),
    flipped=st.booleans(),
    add=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_is_the_product(rows, inner, columns, dtype, flipped, add, seed):
    A = drawn(seed, (inner, rows), dtype).T if flipped else drawn(seed, (rows, inner), dtype)
    # Windows of larger arrays: what lies beside them must be neither read into the sums nor written.
    wide_B, wide_C = drawn(seed + 1, (inner, columns + 9), dtype), drawn(seed + 2, (rows, columns + 9), dtype)
    before = wide_C.copy()
    B, C = wide_B[:, 3 : 3 + columns], wide_C[:, 5 : 5 + columns]
    exact = A.astype(float) @ B.astype(float) + add * C.astype(float)
    size = np.abs(A).astype(float) @ np.abs(B).astype(float) + 1
    matrix_product(A, B, C, add)
    assert np.all(np.abs(C - exact) <= 2 * np.sqrt(inner) * np.finfo(dtype).eps * size)
    outside = np.r_[0:5, 5 + columns : columns + 9]
    np.testing.assert_array_equal(wide_C[:, outside], before[:, outside])


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(2, 30), inner=st.integers(1, 300), columns=st.integers(1, 420))
def test_a_row_has_the_same_bits_alone_and_among_others(rows, inner, columns):
    A, B = drawn(1, (rows, inner), "float32"), drawn(2, (inner, columns), "float32")
    together, alone = np.empty((2, rows, columns), np.float32)
    matrix_product(A, B, together, False)
    for r in range(rows):
        matrix_product(A[r : r + 1], B, alone[r : r + 1], False)
    np.testing.assert_array_equal(alone, together)


def test_an_empty_sum_is_zero_or_adds_nothing():
    A, B, C = np.empty((2, 0)), np.empty((0, 3)), np.ones((2, 3))
    matrix_product(A, B, C, True)
    assert (C == 1).all()
    matrix_product(A, B, C, False)
    assert (C == 0).all()


def test_not_a_number_stays_visible():
    A, B, C = np.ones((3, 4), np.float32), np.ones((4, 20), np.float32), np.zeros((3, 20), np.float32)
    A[1, 2] = np.nan
    matrix_product(A, B, C, False)
    assert np.isnan(C[1]).all()
    assert (C[[0, 2]] == 4).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (33, 17), (100, 88)])
def test_transpose(shape):
    A = drawn(0, shape, "float32")
    B = np.zeros(shape[::-1], np.float32)
    transpose(A, B)
    np.testing.assert_array_equal(B, A.T)

"""The engine's own matrix products: any size, any strides, and a row's bits hang on that row alone."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from odyssey_kit.engine.products import matrix_product, transpose

SIZES = st.integers(1, 40)


def drawn(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def window(array, left):
    """Return the same numbers with no numbers to their left and right."""
    wide = np.full((array.shape[0], array.shape[1] + 9), np.nan, array.dtype)
    wide[:, left : left + array.shape[1]] = array
    return wide[:, left : left + array.shape[1]]


@settings(max_examples=150, deadline=None)
@example(rows=28, inner=2, columns=380, dtype="float64", flipped=True, add=True, seed=290)  # was above a narrower bound
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
    if not flipped:
        A = window(A, 2)
    B, wide_C = window(drawn(seed + 1, (inner, columns), dtype), 3), drawn(seed + 2, (rows, columns + 9), dtype)
    before = wide_C.copy()
    C = wide_C[:, 5 : 5 + columns]
    exact = A.astype(float) @ B.astype(float) + add * C.astype(float)
    size = np.abs(A).astype(float) @ np.abs(B).astype(float) + add * np.abs(C).astype(float)
    matrix_product(A, B, C, add)
    # Both sums may round at each of their terms; of many terms these errors mostly cancel, hence the root.
    assert np.all(np.abs(C - exact) <= 2 * np.sqrt(inner + 2) * np.finfo(dtype).eps * size)
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


@pytest.mark.parametrize("kinds", [("float64", "float32", "float32"), ("int64", "int64", "int64")], ids=str)
def test_other_types_are_refused_when_it_is_compiled(kinds):
    A, B, C = (np.ones((2, 2), kind) for kind in kinds)
    with pytest.raises(TypingError, match="expected one type of float"):
        matrix_product(A, B, C, False)


@pytest.mark.slow
def test_processors_with_narrower_vectors_have_right_products(tmp_path):
    """The same tests, compiled for a processor with AVX2 and none of AVX-512."""
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma", "ODYSSEY_CACHE": str(tmp_path)}
    code = f"""
import sys
from llvmlite import binding
binding.get_host_cpu_features = lambda: {{"avx2": True}}
from odyssey_kit.engine import products
assert (products._BYTES, products._REGISTERS, products._PARTS_ARE_FREE) == (32, 16, False)
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "not processors", {__file__!r}]))
"""
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, **narrow}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (33, 17), (100, 88)])
def test_transpose(shape):
    A = drawn(0, shape, "float32")
    B = np.zeros(shape[::-1], np.float32)
    transpose(A, B)
    np.testing.assert_array_equal(B, A.T)

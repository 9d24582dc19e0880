"""What the kernels are made of: a vectorised hyperbolic tangent, and two instructions to the compiler.

May import nothing of the package.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

__all__ = ["lent", "tanh", "wide_vectors"]


@intrinsic
def lent(_: Any, array: Any = None) -> Any:
    """Return the same array without its reference count, as long as the caller keeps the original.

    Every slice of a counted array is two atomic operations, and a step of a small cell takes some
    thirty slices: most of its time.
    """

    def build(context, builder, signature, arguments):
        copy = make_array(signature.return_type)(context, builder, arguments[0])
        copy.meminfo = cgutils.get_null_value(copy.meminfo.type)
        copy.parent = cgutils.get_null_value(copy.parent.type)
        return impl_ret_borrowed(context, builder, signature.return_type, copy._getvalue())

    return array(array), build


@intrinsic
def wide_vectors(_: Any = None) -> Any:
    """Let LLVM use 512-bit vectors in this function, where the processor has them.

    It prefers half of that. The rows of our matrices begin at cache lines, and there the whole width is faster.
    """

    def build(context, builder, signature, arguments):
        # llvmlite knows no attributes with values; as a set it takes one all the same.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), build


def tanh(x: Any) -> Any:
    """Hyperbolic tangent; in float32 a ratio of polynomials that vectorises."""
    return np.tanh(x)


@overload(tanh, inline="always")
def _tanh(x):  # numpydoc ignore=GL08
    if x != types.float32:
        return lambda x: math.tanh(x)

    # x P(x^2) / Q(x^2), fitted by reweighted least squares to tanh on |x| <= 7.9, where the next
    # float32 is 1: relative error 1.3e-7 before rounding, 4.8e-7 with it. NaN passes through.
    limit = np.float32(7.9)
    p0, p1 = np.float32(0.9999998693020064), np.float32(0.12934439255560526)
    p2, p3 = np.float32(0.002960495806311654), np.float32(1.153206344176523e-05)
    q1, q2 = np.float32(0.4626766604830883), np.float32(0.02385417730598148)
    q3, q4 = np.float32(0.00024001512222149115), np.float32(2.49261602419824e-07)
    one = np.float32(1)

    def ratio(x):
        y = min(max(x, -limit), limit)
        u = y * y
        return y * (p0 + u * (p1 + u * (p2 + u * p3))) / (one + u * (q1 + u * (q2 + u * (q3 + u * q4))))

    return ratio

"""Products of small matrices, as fast as a good BLAS at the sizes of a cell, and without one.

A product is cut into tiles of up to 6 rows and as many columns as fit the vector registers; a tile is
summed over the inner dimension without leaving them. Each size of a tile is a loop of its own, written
here in LLVM's instructions, because no compiler finds it from loops over numbers. Every element is
one sum in the order of the inner dimension, whatever else is in the product: forward, a sequence gives
the same bits alone and in a mini-batch. May import `compiled`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, errors, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from odyssey_kit.engine.compiled import kernel

__all__ = ["matrix_product", "transpose"]

# Bytes of a vector register and their number: AVX-512, else AVX2, else 128 bits (as NEON has them; on an old x86
# half of the registers are missing, which is slower and no less right).
_FEATURES = binding.get_host_cpu_features()
_BYTES, _REGISTERS = (64, 32) if _FEATURES.get("avx512f") else (32, 16) if _FEATURES.get("avx2") else (16, 32)
# Where a load of part of a vector costs no more than a whole one, the last vector of every tile is such.
_PARTS_ARE_FREE = _BYTES == 64

_ROWS = 6
# Inner dimension of a block: so many rows of a tile's columns stay in the first-level cache.
_DEPTH = 128


def _widest(rows: int) -> int:
    """Return how many vectors fit beside each other: the sums, one side of what is multiplied and one of the other."""
    return max(v for v in range(1, _REGISTERS) if rows * v + min(rows, v) + 1 <= _REGISTERS)


_WIDTH = np.array([0, *(_widest(rows) for rows in range(1, _ROWS + 1))])

_INT, _INT32 = ir.IntType(64), ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()


class _Tile:
    """Writes the code of one size of a tile: C[rows, vectors] (+)= A[rows, K] @ B[K, vectors]."""

    def __init__(self, builder: Any, at: SimpleNamespace, rows: int, vectors: int, mask: Any) -> None:
        self.builder, self.at, self.rows, self.vectors, self.mask = builder, at, rows, vectors, mask
        self.vector = ir.VectorType(at.number, at.lanes)

    def emit(self) -> None:
        """Write the loop over the inner dimension, with the tile in registers."""
        builder, at = self.builder, self.at
        sums = self._first_sums()
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.branch(loop)
        builder.position_at_end(loop)
        phis = [[builder.phi(self.vector) for _ in row] for row in sums]
        k, a, b = builder.phi(_INT), builder.phi(_POINTER), builder.phi(_POINTER)
        for (r, x), (v, y) in self._pairs(a, b):
            phis[r][v].add_incoming(sums[r][v], before)
            term = builder.fmul(x, y, flags=("contract",))
            sums[r][v] = builder.fadd(phis[r][v], term, flags=("contract",))
            phis[r][v].add_incoming(sums[r][v], loop)
        following = builder.add(k, _INT(1))
        for phi, first, then in (
            (k, _INT(0), following),
            (a, at.a, builder.gep(a, [at.a_column])),
            (b, at.b, builder.gep(b, [at.b_row])),
        ):
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, at.depth), loop, after)
        builder.position_at_end(after)
        for r, row in enumerate(sums):
            for v, value in enumerate(row):
                self._store(value, self._row(r), v)

    def _pairs(self, a: Any, b: Any) -> Iterator[tuple[tuple[int, Any], tuple[int, Any]]]:
        """Yield each row's number beside each vector of columns; the fewer of the two are loaded first and kept."""

        def number(r: int) -> Any:
            pointer = self._pointer(a, self.at.a_rows[r], self.at.number)
            return _everywhere(self.builder, self.builder.load(pointer, align=self.at.size), self.at.lanes)

        if self.rows <= self.vectors:
            numbers = [(r, number(r)) for r in range(self.rows)]
            for v in range(self.vectors):
                columns = (v, self._load(b, v))
                yield from ((x, columns) for x in numbers)
        else:
            kept = [(v, self._load(b, v)) for v in range(self.vectors)]
            for r in range(self.rows):
                x = (r, number(r))
                yield from ((x, columns) for columns in kept)

    def _first_sums(self) -> list[list[Any]]:
        zero = ir.Constant(self.vector, None)
        return [
            [self.builder.select(self.at.add, self._load(self._row(r), v), zero) for v in range(self.vectors)]
            for r in range(self.rows)
        ]

    def _row(self, r: int) -> Any:
        return self.builder.gep(self.at.c, [self.builder.mul(_INT(r), self.at.c_row)])

    def _pointer(self, base: Any, offset: Any, to: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [offset]), to.as_pointer())

    def _is_part(self, v: int) -> bool:
        return self.mask is not None and v == self.vectors - 1

    def _load(self, base: Any, v: int) -> Any:
        pointer = self._pointer(base, _INT(v * _BYTES), self.vector)
        if not self._is_part(v):
            return self.builder.load(pointer, align=self.at.size)
        nothing = ir.Constant(self.vector, None)
        return self._call("load", self.vector, pointer, _INT32(self.at.size), self.mask, nothing)

    def _store(self, value: Any, base: Any, v: int) -> None:
        pointer = self._pointer(base, _INT(v * _BYTES), self.vector)
        if self._is_part(v):
            self._call("store", ir.VoidType(), value, pointer, _INT32(self.at.size), self.mask)
        else:
            self.builder.store(value, pointer, align=self.at.size)

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        full_name = f"llvm.masked.{name}.v{self.at.lanes}f{8 * self.at.size}.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, signature, full_name), arguments)


def _everywhere(builder: Any, x: Any, lanes: int) -> Any:
    """Return a vector of one number."""
    vector = builder.insert_element(ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined), x, _INT32(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes))


def _columns_left(builder: Any, at: SimpleNamespace, vectors: int) -> Any:
    """Return which elements of a tile's last vector lie inside the matrix."""
    index = ir.VectorType(_INT32, at.lanes)
    left = builder.trunc(builder.sub(at.columns, _INT((vectors - 1) * at.lanes)), _INT32)
    return builder.icmp_signed("<", ir.Constant(index, list(range(at.lanes))), _everywhere(builder, left, at.lanes))


def _emit_all(builder: Any, at: SimpleNamespace, rows: Any, vectors: Any) -> None:
    """Write every size of a tile and the choice among them; no vectors means a part of one."""
    end = builder.append_basic_block()
    choice = builder.switch(builder.add(builder.mul(rows, _INT(64)), vectors), end)
    for r in range(1, _ROWS + 1):
        for v in range(_WIDTH[r] + 1):
            block = builder.append_basic_block()
            choice.add_case(_INT(64 * r + v), block)
            builder.position_at_end(block)
            count = max(v, 1)
            mask = _columns_left(builder, at, count) if _PARTS_ARE_FREE or v == 0 else None
            _Tile(builder, at, r, count, mask).emit()
            builder.branch(end)
    builder.position_at_end(end)


def _tile_function(module: Any, number: Any, size: int) -> Any:
    """Return the module's function of a tile of any size; it is written once a module and type."""
    kinds = dict(a=_POINTER, a_row=_INT, a_column=_INT, b=_POINTER, b_row=_INT, c=_POINTER, c_row=_INT,
                 columns=_INT, depth=_INT, add=ir.IntType(1), rows=_INT, vectors=_INT)  # fmt: skip
    signature = ir.FunctionType(ir.VoidType(), list(kinds.values()))
    function = cgutils.get_or_insert_function(module, signature, f"odyssey_tile_of_f{8 * size}")
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        builder = ir.IRBuilder(function.append_basic_block())
        at = SimpleNamespace(
            number=number, size=size, lanes=_BYTES // size, **dict(zip(kinds, function.args, strict=True))
        )
        at.a_rows = [builder.mul(_INT(r), at.a_row) for r in range(_ROWS)]
        _emit_all(builder, at, at.rows, at.vectors)
        builder.ret_void()
    return function


@intrinsic
def _tile(_: Any, A: Any = None, B: Any = None, C: Any = None, i: Any = None, j: Any = None, k: Any = None,
          rows: Any = None, vectors: Any = None, depth: Any = None, add: Any = None) -> Any:  # fmt: skip
    """Compute C[i:i+rows, j:j+vectors] (+)= A[i:i+rows, k:k+depth] @ B[k:k+depth, j:j+vectors]."""

    def build(context, builder, signature, arguments):
        a, b, c = (
            make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        )
        i, j, k, rows, vectors, depth, add = arguments[3:]
        (a_row, a_column), (b_row, _), (c_row, _) = (cgutils.unpack_tuple(builder, x.strides, 2) for x in (a, b, c))
        size = signature.args[2].dtype.bitwidth // 8

        def place(array: Any, row: Any, row_bytes: Any, column: Any, column_bytes: Any) -> Any:
            offset = builder.add(builder.mul(row, row_bytes), builder.mul(column, column_bytes))
            return builder.gep(builder.bitcast(array.data, _POINTER), [offset])

        function = _tile_function(builder.module, context.get_value_type(signature.args[2].dtype), size)
        columns = builder.sub(cgutils.unpack_tuple(builder, c.shape, 2)[1], j)
        a_at, b_at = place(a, i, a_row, k, a_column), place(b, k, b_row, j, _INT(size))
        c_at = place(c, i, c_row, j, _INT(size))
        builder.call(function, [a_at, a_row, a_column, b_at, b_row, c_at, c_row, columns, depth, add, rows, vectors])
        return context.get_dummy_value()

    if not (isinstance(C.dtype, types.Float) and A.dtype == B.dtype == C.dtype):
        raise errors.TypingError(f"matrix_product: got {A.dtype}, {B.dtype} and {C.dtype}, expected one type of float")
    places = (types.intp,) * 6
    return types.none(A, B, C, *places, types.boolean), build


@intrinsic
def _strided(_: Any, array: Any = None) -> Any:
    """Return the same array as one of any strides and without a reference count, so that one code serves all."""

    def build(context, builder, signature, arguments):
        given = make_array(signature.args[0])(context, builder, arguments[0])
        same = make_array(signature.return_type)(context, builder)
        for name in ("data", "nitems", "itemsize", "shape", "strides"):
            setattr(same, name, getattr(given, name))
        same.meminfo = cgutils.get_null_value(same.meminfo.type)
        same.parent = cgutils.get_null_value(same.parent.type)
        return same._getvalue()

    return array.copy(layout="A", readonly=False)(array), build


@kernel
def _product(A, B, C, add):
    rows, inner = A.shape
    if rows == 0:
        return
    blocks = (rows + _ROWS - 1) // _ROWS
    width = _WIDTH[(rows + blocks - 1) // blocks]
    lanes = _BYTES // C.itemsize
    whole = (C.shape[1] + lanes - 1) // lanes if _PARTS_ARE_FREE else C.shape[1] // lanes
    panels = (whole + width - 1) // width
    # The columns of one block of rows are read once, so there is nothing to keep.
    most = _DEPTH if blocks > 1 else inner
    k = 0
    while k < inner:
        depth = min(most, inner - k)
        j = 0
        for panel in range(panels + (whole * lanes < C.shape[1])):
            vectors = whole * (panel + 1) // panels - whole * panel // panels if panel < panels else 0
            for block in range(blocks):
                i, end = rows * block // blocks, rows * (block + 1) // blocks
                _tile(A, B, C, i, j, k, end - i, vectors, depth, add or k > 0)
            j += vectors * lanes
        k += depth
    if inner == 0 and not add:
        C[:] = 0


@kernel
def matrix_product(A, B, C, add):
    """Write A @ B to C, or add it to C; rows of B and of C must lie in one piece each.

    A (m, K), B (K or more, n or more) and C (m, n) are of one type, and C shares no memory with A or B. Other
    types are refused when it is compiled; sizes are the caller's to check, since a step of a cell has no time to.
    """
    _product(_strided(A), _strided(B), _strided(C), add)


@kernel
def transpose(A, B):
    """Write A transposed to B, in squares that stay in the cache."""
    side = 16
    for i0 in range(0, A.shape[0], side):
        for j0 in range(0, A.shape[1], side):
            for j in range(j0, min(j0 + side, A.shape[1])):
                for i in range(i0, min(i0 + side, A.shape[0])):
                    B[j, i] = A[i, j]

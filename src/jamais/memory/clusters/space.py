"""In which columns are rows compared?

Of wide rows the main columns: noise in hundreds of columns hides clusters (CLINC150 in 384 columns: new classes at
64 % accuracy, in 64 at 67 %) and costs time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

COLUMNS = 64
_WIDE = 1.5  # times the columns wanted: only then it pays to have fewer
_FITTED = 4_000  # rows that the columns are found from
_SPARE = 10
_ROUNDS = 4
_ROW_BITS = 22
_MATRIX_BITS = 20


@dataclass(frozen=True)
class Points:
    """Rows as they came [n, width], and as they are compared [n, columns]."""

    raw: Vectors
    rows: Vectors

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, which: Ints | Bools | slice) -> Points:
        return Points(self.raw[which], self.rows[which])

    def below(self, other: Points, most: int) -> Points:
        """Put `other` below these, and keep the last `most`."""
        return Points(np.concatenate([self.raw, other.raw])[-most:], np.concatenate([self.rows, other.rows])[-most:])


class Space:
    """The main columns of the first rows, and one for how far a row lies beside them.

    A row's place does not depend on the batch, to the last bit, although a matrix product finds it: it is one of
    whole numbers below 2**53, whose sum is exact in any order.
    """

    def __init__(self, centre: Floats, columns: Floats) -> None:
        self.centre = centre
        self.columns = columns
        """Orthonormal [width, columns], in whole multiples of 2**-20; without columns rows stay as they are."""

    @classmethod
    def of(cls, rows: Vectors, columns: int, seed: int) -> Space:
        """Find the columns of `rows` [n, width] (Halko et al. 2011, "Finding structure with randomness")."""
        width = rows.shape[1]
        if not columns or width <= _WIDE * columns or len(rows) <= 2 * columns:
            return cls(np.zeros(width), np.empty((width, 0)))
        rng = np.random.default_rng(seed)
        some = rows[rng.permutation(len(rows))[:_FITTED]].astype(np.float64)
        centre = some.mean(axis=0)
        some -= centre
        basis = rng.normal(size=(width, columns + _SPARE))
        for _ in range(_ROUNDS):
            basis = np.linalg.qr(some.T @ (some @ basis))[0]
        main = np.linalg.svd(some @ basis, full_matrices=False)[2][:columns]
        return cls(centre, np.rint(basis @ main.T * 2.0**_MATRIX_BITS) / 2.0**_MATRIX_BITS)

    def points(self, rows: Vectors) -> Points:
        """Place `rows` [n, width]."""
        if not self.columns.shape[1]:
            return Points(rows, rows)
        centred = rows - self.centre
        largest = np.abs(centred).max(axis=1, initial=0.0)
        exponent = np.frexp(largest)[1][:, None]
        whole = np.rint(np.ldexp(centred, _ROW_BITS - exponent))
        main = np.ldexp(whole @ (self.columns * 2.0**_MATRIX_BITS), exponent - _ROW_BITS - _MATRIX_BITS)
        beside = np.add.reduce(centred * centred, axis=1) - np.add.reduce(main * main, axis=1)
        placed = np.empty((len(rows), main.shape[1] + 1), dtype=np.float32)
        placed[:, :-1], placed[:, -1] = main, np.sqrt(np.maximum(beside, 0.0))
        placed += 0.0
        return Points(rows, placed)

    def state_dict(self) -> StateTree:
        return {"centre": self.centre, "columns": self.columns}

    @classmethod
    def from_state(cls, tree: StateTree) -> Space:
        centre, columns = np.array(tree["centre"], order="C"), np.array(tree["columns"], order="C")
        if (
            any(one.dtype != np.float64 or not np.isfinite(one).all() for one in (centre, columns))
            or columns.ndim != 2
            or centre.shape != columns.shape[:1]
            or not len(centre)
        ):
            raise CorruptStateError("the columns of a cluster memory do not fit together: load another version")
        return cls(centre, columns)

"""How far are many rows from many others, up to a bound that is known?

Squared distances by matrix products of rows about a common centre. With u the unit roundoff and e = (width + 64) u,

    low <= |x - y|² <= high,   low = p + (1 - 2e) |x|²,   high = p + 4e |y|² + (1 + 2e) |x|²,

where p is the computed product of (-2 x, 1) and (y, (1 - 2e) |y|²): its error is at most e (|x|² + 2 |y|²), in any
order of summation, and the bound leaves room for the few roundings around it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_SMALLEST, _LARGEST = 1e-12, 1e30  # squared norms that float32 products can carry; beyond, float64 does
_BLOCK = 512  # rows brought about their centre at once

Numbers = NDArray[Any]
"""float32 or float64."""


@dataclass(frozen=True)
class Asked:
    """Queries about a centre: (-2 x, 1) [width + 1, n], and what brings a product to the bounds of a distance, [n]."""

    factors: Any
    low: Numbers
    high: Numbers


class Factors(Protocol):
    """Rows that multiply queries, with a bound on what that loses."""

    dtype: type[np.floating[Any]]
    unit: float
    slack: Numbers

    def multiply(self, part: slice, factors: Any, out: Numbers) -> None: ...


class Columns:
    """Rows [m, width] about a centre, with their squared norms as one more column."""

    def __init__(self, centre: Numbers, dtype: type[np.floating[Any]], width: int) -> None:
        self.centre = centre
        self.dtype = dtype
        self.unit = float(np.finfo(dtype).eps) / 2
        self.e = (width + 64) * self.unit
        self._room = _Room(np.empty((0, width + 1), dtype=dtype), np.empty(0, dtype=dtype))
        self.table, self.slack = self._room.table, self._room.slack

    @classmethod
    def of(cls, rows: Numbers, centre: Numbers) -> Columns:
        """Bring `rows` about `centre` in float32, or in float64 if float32 cannot carry their squares."""
        empty = cls(centre, np.float32, rows.shape[1])
        found = empty.extended(rows)
        fits = not len(rows) or found._largest(0) == 0.0 or _SMALLEST < found._largest(0) < _LARGEST
        return found if fits else cls(centre, np.float64, rows.shape[1]).extended(rows)

    def extended(self, rows: Numbers) -> Columns:
        """Give the columns of `rows` [m, width], of which the first are those here; these stay as they are.

        Where there is room behind them, and nobody else has taken it, no row is copied.
        """
        old, m = len(self.table), len(rows)
        more = copy(self)
        with self._room.lock:
            if self._room.n_used == old and m <= len(self._room.table):
                self._room.n_used = m
            else:
                more._room = self._room.larger(old, m)
        more.table, more.slack = more._room.table[:m], more._room.slack[:m]
        for start in range(old, m, _BLOCK):
            part = slice(start, min(start + _BLOCK, m))
            self.put(rows[part], more.table[part], more.slack[part])
        return more

    def grown(self, rows: Numbers) -> Columns | None:
        """Extend as `extended` does, or say None where float32 cannot carry the squares of the new rows."""
        more = self.extended(rows)
        return more if self.dtype is np.float64 or more._largest(len(self.table)) < _LARGEST else None

    def _largest(self, start: int) -> float:
        """Give the largest squared norm from row `start` on."""
        return float(self.slack[start:].max(initial=0.0)) / (4 * self.e)

    def put(self, rows: Numbers, table: Numbers, slack: Numbers, centres: Numbers | None = None) -> None:
        """Write `rows` [n, width] into `table` [n, width + 1] and `slack` [n], each about its own centre if given."""
        with np.errstate(over="ignore", invalid="ignore"):  # found out by `of`
            np.subtract(rows, self.centre if centres is None else centres, out=table[:, :-1], casting="same_kind")
            norms = np.add.reduce(table[:, :-1] * table[:, :-1], axis=1)  # pairwise, so with a few roundings only
            np.multiply(norms, 1 - 2 * self.e, out=table[:, -1], casting="same_kind")
            np.multiply(norms, 4 * self.e, out=slack, casting="same_kind")

    def ask(self, queries: Numbers, centre: Numbers | None = None) -> Asked:
        """Bring `queries` [n, width] about the centre, or about that of a part of the rows."""
        factors = np.empty((len(queries), queries.shape[1] + 1), dtype=self.dtype)
        with np.errstate(over="ignore"):  # `carries` says so
            np.subtract(queries, self.centre if centre is None else centre, out=factors[:, :-1], casting="same_kind")
            norms = np.einsum("ij,ij->i", factors[:, :-1], factors[:, :-1])  # in any order: the bound allows it here
            factors[:, :-1] *= -2.0
        factors[:, -1] = 1.0
        low, high = norms * self.dtype(1 - 2 * self.e), norms * self.dtype(1 + 2 * self.e)
        return Asked(factors.T, low - tiny(self.dtype), high + tiny(self.dtype))

    def multiply(self, part: slice, factors: Any, out: Numbers) -> None:
        """Write the products of the rows in `part` and the queries' `factors` into `out`."""
        np.matmul(self.table[part], factors, out=out)

    def carries(self, asked: Asked) -> NDArray[np.bool_]:
        """Say [n] which queries do not overflow."""
        return np.asarray(asked.high < _LARGEST if self.dtype is np.float32 else np.isfinite(asked.high))

    @property
    def n_bytes(self) -> int:
        return int(self.table.nbytes + self.slack.nbytes)


def tiny(dtype: type[np.floating[Any]]) -> Any:
    """Give what float32 products of tiny numbers may lose by underflow."""
    return dtype(1e-34)


class _Room:
    """Arrays that several `Columns` share from the start; whoever is the longest may write behind itself, once."""

    def __init__(self, table: Numbers, slack: Numbers, n_used: int = 0) -> None:
        self.table = table
        self.slack = slack
        self.n_used = n_used
        self.lock = Lock()

    def __reduce__(self) -> Any:
        # Whoever copies or pickles gets rooms of its own, and a lock of its own.
        return _Room, (self.table, self.slack, self.n_used)

    def larger(self, n_kept: int, n_wanted: int) -> _Room:
        """Copy the first `n_kept` rows to where there is room for `n_wanted`, and for some more if any are kept."""
        capacity = n_wanted + (n_wanted // 4 if n_kept else 0)
        made = _Room(
            np.empty((capacity, self.table.shape[1]), dtype=self.table.dtype),
            np.empty(capacity, dtype=self.slack.dtype),
            n_wanted,
        )
        made.table[:n_kept], made.slack[:n_kept] = self.table[:n_kept], self.slack[:n_kept]
        return made

"""Which of these rows are nearest, exactly, whatever batch the question comes in?

Matrix products pick candidates and bound their own rounding error; the winners' distances are then computed
directly as |x - y| in float64. An exact repeat has distance 0, and a row's answer never depends on its batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Floats, Ints

_TILE = 4_000_000  # entries of one distance tile: 16 MB in float32
_PAIRS = 1_000_000  # numbers of one block of direct differences: 8 MB
_CHUNK = 64  # columns per chunk minimum, and the padding of the columns
_LARGEST_SQUARE = 1e30  # squared norms above would overflow float32 products
_MANY = 32  # candidates beyond 4 k before float64 products narrow them down


class NearestRows:
    """Answer nearest-row questions over fixed `rows` [m, width] (float32 or float64, kept, not copied)."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self._centre = rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
        centred = rows - self._centre
        norms = _squares(centred)
        self._fits_float32 = bool(len(rows) == 0 or norms.max() < _LARGEST_SQUARE)
        self._tiles = _Tiles(centred, norms, np.float32 if self._fits_float32 else np.float64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_bytes(self) -> int:
        """Bytes held beside the rows."""
        return self._tiles.n_bytes

    def nearest(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ints]:
        """Return distances [n, k] rising and slots [n, k] of the k nearest rows; ties go to the lower slot.

        `k` is cut to the number of rows.
        """
        k = min(k, len(self))
        distances = np.empty((len(queries), k), dtype=np.float64)
        slots = np.empty((len(queries), k), dtype=np.int64)
        step = max(1, min(1024, _TILE // max(1, len(self))))
        for start in range(0, len(queries) if k else 0, step):
            part = slice(start, start + step)
            distances[part], slots[part] = self._tile(queries[part], k)
        return distances, slots

    def _tile(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ints]:
        centred = queries - self._centre
        norms = _squares(centred)
        narrow = np.flatnonzero((norms < _LARGEST_SQUARE) | (not self._fits_float32))
        query, slot = self._tiles.candidates(centred[narrow], norms[narrow], k)
        query = narrow[query]
        wide = np.bincount(query, minlength=len(queries)) > 4 * k + _MANY
        wide[np.delete(np.arange(len(queries)), narrow)] = True
        if wide.any() and self._fits_float32:
            again = np.flatnonzero(wide)
            rows = self._rows - self._centre  # rarely needed: made anew rather than kept
            more, more_slots = _Tiles(rows, _squares(rows), np.float64).candidates(centred[again], norms[again], k)
            settled = ~wide[query]
            query = np.concatenate([query[settled], again[more]])
            slot = np.concatenate([slot[settled], more_slots])
        return self._decide(queries, query, slot, k)

    def _decide(self, queries: NDArray[Any], query: Ints, slot: Ints, k: int) -> tuple[Floats, Ints]:
        """Compute the candidates' distances directly and keep the k smallest of each query."""
        squares = np.empty(len(query), dtype=np.float64)
        step = max(1, _PAIRS // max(1, self._rows.shape[1]))
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            squares[part] = squared_differences(queries[query[part]], self._rows[slot[part]])
        order = np.lexsort((slot, squares, query))
        n_each = np.bincount(query, minlength=len(queries))
        best = order[(np.cumsum(n_each) - n_each)[:, None] + np.arange(k)]
        return np.sqrt(squares[best]), slot[best]


class _Tiles:
    """Squared distances by matrix products in one precision, with a bound on their rounding error.

    With e = (width + 16) x unit roundoff, |computed - true| <= e (|x|² + |y|²). The query's own |x|² is left
    out of all sums: it does not change who is nearest.
    """

    def __init__(self, centred: Floats, norms: Floats, dtype: type[np.floating[Any]]) -> None:
        m, width = centred.shape
        room = -(-m // _CHUNK) * _CHUNK
        self._m = m
        self._e = (width + 16) * float(np.finfo(dtype).eps) / 2
        self._columns = np.zeros((room, width), dtype=dtype)
        self._columns[:m] = centred
        self._upper_norms = np.full(room, np.inf, dtype=dtype)  # padding is never near
        self._upper_norms[:m] = (1 + self._e) * norms
        self._slack = np.zeros(room, dtype=dtype)
        self._slack[:m] = 2 * self._e * norms

    @property
    def n_bytes(self) -> int:
        return self._columns.nbytes + self._upper_norms.nbytes + self._slack.nbytes

    def candidates(self, centred: Floats, norms: Floats, k: int) -> tuple[Ints, Ints]:
        """Return (query, slot) pairs, sorted, among which are the k nearest of every query."""
        upper = (-2 * centred).astype(self._columns.dtype) @ self._columns.T
        upper += self._upper_norms
        chunk = _CHUNK
        while chunk > 1 and self._m < 4 * k * chunk:
            chunk //= 4
        cut = upper.reshape(len(centred), -1, chunk)
        slack = self._slack.reshape(-1, chunk)
        minima = cut.min(axis=2)
        # The k-th smallest minimum of chunks bounds the k-th smallest entry from above.
        limit = np.partition(minima, k - 1, axis=1)[:, k - 1] + (2 * self._e * norms).astype(upper.dtype)
        query, piece = np.nonzero(minima <= limit[:, None] + slack.max(axis=1))
        row, column = np.nonzero(cut[query, piece] <= limit[query, None] + slack[piece])
        return query[row], piece[row] * chunk + column


def squared_differences(left: NDArray[Any], right: NDArray[Any]) -> Floats:
    """Return |x - y|² row by row, [n], in float64; each row is summed in the same order whatever n is."""
    return _squares(np.subtract(left, right, dtype=np.float64))


def smallest_gaps(rows: NDArray[Any]) -> Floats:
    """Return the distance [m] of each of several distinct rows to the nearest other one."""
    distances, _ = NearestRows(rows).nearest(rows, 2)
    return distances[:, 1]


def _squares(rows: Floats) -> Floats:
    return np.asarray(np.add.reduce(rows * rows, axis=1), dtype=np.float64)

"""Which of these rows are nearest, exactly, whatever batch the question comes in?

Matrix products pick candidates and bound their own rounding error; the winners' distances are then computed
directly as |x - y| in float64. An exact repeat has distance 0, and a row's answer never depends on its batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Bools, Floats, Ints

_TILE = 4_000_000  # entries of one distance tile: 16 MB in float32
_PAIRS = 1_000_000  # numbers of one block of direct differences: 8 MB
_CHUNK = 64  # columns per chunk minimum
_LARGEST_SQUARE = 1e30  # squared norms above would overflow float32 products
_MANY = 32  # candidates beyond the wanted k before float64 products narrow them down


class NearestRows:
    """Answer nearest-row questions over fixed `rows` [m, width] (float32 or float64, kept, not copied)."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self._centre = rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
        centred = rows - self._centre
        norms = _squares(centred)
        self._small = _Side(centred.astype(np.float32), norms.astype(np.float32))
        self._fits_float32 = bool(len(rows) == 0 or norms.max() < _LARGEST_SQUARE)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def n_bytes(self) -> int:
        """Bytes held beside the rows."""
        return self._small.rows.nbytes + self._small.norms.nbytes

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
        wide = np.full(len(queries), not self._fits_float32) | (norms >= _LARGEST_SQUARE)
        candidates = np.zeros((len(queries), len(self)), dtype=np.bool_)
        narrow = np.flatnonzero(~wide)
        if len(narrow):
            side = _Side(centred[narrow].astype(np.float32), norms[narrow].astype(np.float32))
            candidates[narrow] = _candidates(side, self._small, k)
            wide[narrow] = candidates[narrow].sum(axis=1) > 4 * k + _MANY
        if wide.any():
            candidates[wide] = self._in_float64(centred[wide], norms[wide], k)
        return self._decide(queries, candidates, k)

    def _in_float64(self, centred: Floats, norms: Floats, k: int) -> Bools:
        rows = self._rows - self._centre  # rarely needed: made anew rather than kept
        return _candidates(_Side(centred, norms), _Side(rows, _squares(rows)), k)

    def _decide(self, queries: NDArray[Any], candidates: Bools, k: int) -> tuple[Floats, Ints]:
        """Compute the candidates' distances directly and keep the k smallest of each query."""
        query, slot = np.nonzero(candidates)
        squares = np.empty(len(query), dtype=np.float64)
        step = max(1, _PAIRS // max(1, self._rows.shape[1]))
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            squares[part] = squared_differences(queries[query[part]], self._rows[slot[part]])
        order = np.lexsort((slot, squares, query))
        firsts = np.searchsorted(query, np.arange(len(queries)))
        best = order[firsts[:, None] + np.arange(k)]
        return np.sqrt(squares[best]), slot[best]


class _Side:
    """One side of a matrix product: centred rows and their squared norms."""

    def __init__(self, rows: NDArray[Any], norms: NDArray[Any]) -> None:
        self.rows = rows
        self.norms = norms


def _candidates(queries: _Side, rows: _Side, k: int) -> Bools:
    """Mark [n, m] every row that can be among the k nearest, given the rounding error of the product.

    With e = (width + 16) x unit roundoff, |computed - true| <= e (|x|² + |y|²) for the squared distance.
    """
    unit = np.finfo(rows.rows.dtype).eps / 2
    e = rows.rows.dtype.type((rows.rows.shape[1] + 16) * unit)
    upper = queries.rows @ rows.rows.T
    upper *= -2
    upper += (1 + e) * rows.norms
    upper += ((1 + e) * queries.norms)[:, None]
    limit = _bound_of_kth(upper, k)
    upper -= 2 * e * rows.norms  # now the lower bounds, but for the query's own share
    return np.asarray(upper <= (limit + 2 * e * queries.norms)[:, None], dtype=np.bool_)


def _bound_of_kth(values: NDArray[Any], k: int) -> NDArray[Any]:
    """Bound the k-th smallest of each row from above: the k-th smallest minimum of chunks is one."""
    n, m = values.shape
    chunk = max(1, min(_CHUNK, m // (4 * k)))
    whole = m - m % chunk
    minima = values[:, :whole].reshape(n, whole // chunk, chunk).min(axis=2)
    if whole < m:
        minima = np.concatenate([minima, values[:, whole:]], axis=1)
    return np.partition(minima, k - 1, axis=1)[:, k - 1]


def squared_differences(left: NDArray[Any], right: NDArray[Any]) -> Floats:
    """Return |x - y|² row by row, [n], in float64; each row is summed in the same order whatever n is."""
    return _squares(np.subtract(left, right, dtype=np.float64))


def smallest_gaps(rows: NDArray[Any]) -> Floats:
    """Return the distance [m] of each of several distinct rows to the nearest other one."""
    distances, _ = NearestRows(rows).nearest(rows, 2)
    return distances[:, 1]


def _squares(rows: Floats) -> Floats:
    return np.asarray(np.add.reduce(rows * rows, axis=1), dtype=np.float64)

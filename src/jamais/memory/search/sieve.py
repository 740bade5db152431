"""Which rows may be among the k nearest of each query, as one tile of products after another is seen?

Minima of chunks of rows bound the k-th smallest distance from above, more tightly with every tile; what is not
below the bound is dropped at once. Strided minima and one comparison cost a few percent of the product.
"""

from __future__ import annotations

import numpy as np

from jamais.memory.search.columns import Asked, Factors, Numbers
from jamais.types import Bools, Ints

_CHUNK = 64  # rows of one minimum, fewer where the tile is small
_GATHER = 16  # an entry looked up costs as much as so many compared in passing
_MOST_HELD = 4_000_000  # pairs held back at once: 100 MB
_ROUNDING = 8  # unit roundoffs by which a bound grows before it is compared


class CrowdedError(Exception):
    """So many rows are as near as the bounds can tell that fewer queries at once, or other bounds, are wanted."""


class Sieve:
    """Hold back the candidates for the `k` nearest rows of `n` queries. Distances are squared."""

    def __init__(self, n: int, k: int, columns: Factors) -> None:
        self.k = k
        self.limit: Numbers = np.full(n, np.inf, dtype=columns.dtype)
        self._best: Numbers = np.empty((n, 0), dtype=columns.dtype)
        self._columns = columns
        self._grow = columns.dtype(1 + _ROUNDING * columns.unit)
        self._room: Numbers = np.empty(0, dtype=columns.dtype)
        self._marks: Bools = np.empty(0, dtype=np.bool_)
        self._n_held = 0
        self._queries: list[Ints] = []
        self._slots: list[Ints] = []
        self._lows: list[Numbers] = []

    def see(self, part: slice, asked: Asked, which: Ints | None = None) -> None:
        """Look at the rows in `part` for the queries `asked`, which are those numbered `which` (default: all).

        Raise `CrowdedError` when too many rows are held back.
        """
        m = part.stop - part.start
        n = len(asked.low)
        tile, marks = self._rooms(m, n)
        self._columns.multiply(part, asked.factors, tile)
        # Many minima are wanted while no limit is known, which is anew for each query that comes to a cell.
        chunk = _chunk(len(tile), 1 if which is None and self._best.shape[1] == self.k else 4 * self.k)
        minima = tile[: len(tile) // chunk * chunk].reshape(-1, chunk, n).min(axis=1)
        slack = self._columns.slack[part][: len(minima) * chunk].reshape(-1, chunk).max(axis=1)
        self._tighten(minima + slack[:, None] + asked.high, which)
        limit = (self.limit if which is None else self.limit[which]) * self._grow - asked.low
        row, query = _below(tile, minima, chunk, limit, marks)
        self._n_held += len(row)
        if self._n_held > _MOST_HELD and len(self.limit) > 1:
            raise CrowdedError
        self._lows.append(tile[row, query] + asked.low[query])
        self._slots.append(row + part.start)
        self._queries.append(query if which is None else which[query])

    def _rooms(self, m: int, n: int) -> tuple[Numbers, Bools]:
        """Give room for a tile [m, n] and its marks: fresh memory would cost more than the work in it."""
        if m * n > len(self._room):
            self._room = np.empty(m * n, dtype=self._columns.dtype)
            self._marks = np.empty(m * n, dtype=np.bool_)
        return self._room[: m * n].reshape(m, n), self._marks[: m * n].reshape(m, n)

    def pairs(self, m: int, order: Ints | None = None) -> tuple[Ints, Ints]:
        """Return (query, slot) of all that may be among the k nearest of `m` rows, sorted; `order` names the slots."""
        query, slot = np.concatenate(self._queries), np.concatenate(self._slots)
        kept = np.concatenate(self._lows) <= (self.limit * self._grow)[query]
        query, slot = query[kept], slot[kept]
        keys = query * m + (slot if order is None else order[slot])
        keys.sort()
        return np.divmod(keys, m)

    def _tighten(self, bounds: Numbers, which: Ints | None) -> None:
        """Lower the limits by upper bounds [chunks, n] of one row in each chunk."""
        if which is None:
            known = np.concatenate([self._best, bounds.T], axis=1) if self._best.size else bounds.T.copy()
            if known.shape[1] >= self.k:
                known.partition(self.k - 1, axis=1)
                self._best = known[:, : self.k]
                self.limit = np.minimum(self.limit, self._best[:, -1])
            else:
                self._best = known
            return
        if self._best.shape[1] < self.k:
            self._best = np.full((len(self.limit), self.k), np.inf, dtype=bounds.dtype)
        known = np.concatenate([self._best[which], bounds.T], axis=1)
        known.partition(self.k - 1, axis=1)
        self._best[which] = known[:, : self.k]
        self.limit[which] = np.minimum(self.limit[which], known[:, self.k - 1])


def _chunk(m: int, n_wanted: int) -> int:
    """Say of how many of `m` rows to take one minimum, so that there are `n_wanted` of them if possible."""
    chunk = _CHUNK
    while chunk > 1 and m < n_wanted * chunk:
        chunk //= 2
    return chunk


def _below(tile: Numbers, minima: Numbers, chunk: int, limit: Numbers, marks: Bools) -> tuple[Ints, Ints]:
    """Return (row, query) of all entries of `tile` [m, n] at or below the query's `limit` [n]."""
    n = len(limit)
    piece, query = np.divmod(np.flatnonzero(minima <= limit), n)
    if len(minima) * chunk < len(tile) or len(piece) * chunk * _GATHER > tile.size:
        return np.divmod(np.flatnonzero(np.less_equal(tile, limit, out=marks)), n)
    hit, row = np.nonzero(tile.reshape(-1, chunk, n)[piece, :, query] <= limit[query, None])
    return piece[hit] * chunk + row, query[hit]

"""Which rows may be among the k nearest of each query, as one tile of products after another is seen?

Minima of chunks of rows bound the k-th smallest distance from above, more tightly with every tile; what is not
below the bound is dropped at once. Strided minima and one comparison cost a few percent of the product.
"""

from __future__ import annotations

import numpy as np

from jamais.memory.search.columns import Asked, Columns, Numbers
from jamais.types import Bools, Ints

_CHUNK = 64  # rows of one minimum, fewer where the tile is small
_MOST_HELD = 4_000_000  # pairs held back at once: 100 MB
_ROUNDING = 8  # unit roundoffs by which a bound grows before it is compared


class CrowdedError(Exception):
    """So many rows are as near as the bounds can tell that fewer queries at once, or other bounds, are wanted."""


class Sieve:
    """Hold back the candidates for the `k` nearest rows of `n` queries. Distances are squared."""

    def __init__(self, n: int, k: int, columns: Columns) -> None:
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
        table = self._columns.table[part]
        n = len(asked.low)
        tile, marks = self._rooms(len(table), n)
        np.matmul(table, asked.factors.T, out=tile)
        self._tighten(tile, self._columns.slack[part], asked.high, which)
        limit = self.limit if which is None else self.limit[which]
        np.less_equal(tile, limit * self._grow - asked.low, out=marks)
        found = np.flatnonzero(marks)
        self._n_held += len(found)
        if self._n_held > _MOST_HELD and len(self.limit) > 1:
            raise CrowdedError
        row, query = np.divmod(found, n)
        self._lows.append(tile.ravel()[found] + asked.low[query])
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

    def _tighten(self, tile: Numbers, slack: Numbers, high: Numbers, which: Ints | None) -> None:
        chunk = _CHUNK
        while chunk > 1 and len(tile) < 4 * self.k * chunk:
            chunk //= 2
        whole = len(tile) // chunk * chunk  # the bound may leave rows out
        minima = tile[:whole].reshape(-1, chunk, tile.shape[1]).min(axis=1)
        minima += slack[:whole].reshape(-1, chunk).max(axis=1)[:, None]
        minima += high
        if which is None:
            known = np.concatenate([self._best, minima.T], axis=1) if self._best.size else minima.T.copy()
            if known.shape[1] >= self.k:
                known.partition(self.k - 1, axis=1)
                self._best = known[:, : self.k]
                self.limit = np.minimum(self.limit, self._best[:, -1])
            else:
                self._best = known
            return
        if self._best.shape[1] < self.k:
            self._best = np.full((len(self.limit), self.k), np.inf, dtype=minima.dtype)
        known = np.concatenate([self._best[which], minima.T], axis=1)
        known.partition(self.k - 1, axis=1)
        self._best[which] = known[:, : self.k]
        self.limit[which] = np.minimum(self.limit[which], known[:, self.k - 1])

"""Which rows need no look at all, because everything around their pivot is too far away?

Rows are put into cells, each about a pivot, which is a row itself. A cell whose pivot is d away and whose radius is r
holds nothing nearer than d - r (triangle inequality); only the others are searched, so the answer stays exact. Within
a cell all numbers are small, so near-duplicates far from the origin are told apart by float32 products.

Pivots are drawn in rounds with chances by squared distance to those drawn before (Bahmani et al., "Scalable
k-means++", VLDB 2012), so that small far groups have pivots of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.memory.search.columns import Columns, Numbers
from jamais.memory.search.sieve import Sieve
from jamais.types import Ints

FEWEST = 512
"""Rows below which cells are never worth it."""
_ROUNDS = 4
_SAMPLE = 512  # rows on which it is tried out whether cells help
_MOST_VISITED = 0.35  # of the rows, for a typical query; above, one large product is faster
_BLOCK = 4_096
_TINY = 1e-17  # the radius that squares which underflow may hide
_MORE = 1 + 2.0**-18  # a factor that outweighs the rounding of a few float32 operations


@dataclass(frozen=True)
class Cells:
    """Rows in cells: `order` [m] names the row in each place, cell j has places `starts[j]` to `starts[j + 1]`."""

    pivots: Columns
    pivot_rows: Numbers
    columns: Columns
    order: Ints
    starts: Ints
    radii: Numbers

    @classmethod
    def of(cls, rows: Numbers, around: Columns, n_cells: int) -> Cells:
        """Put `rows` [m, width], brought about a centre in `around`, into some `n_cells` cells."""
        chosen, nearest = _pivots(around, n_cells)
        order = np.argsort(nearest, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(nearest, minlength=len(chosen)))])
        pivot_rows = rows[chosen]
        pivots = Columns(around.centre, np.float32, rows.shape[1]).extended(pivot_rows)
        columns = Columns(around.centre, np.float32, rows.shape[1])
        columns.table = np.empty_like(around.table)
        columns.slack = np.empty_like(around.slack)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            named = order[part]
            columns.put(rows[named], columns.table[part], columns.slack[part], pivot_rows[nearest[named]])
        squares = columns.slack.astype(np.float64) / (4 * columns.e)
        filled = np.flatnonzero(np.diff(starts))
        radii = np.zeros(len(chosen))
        radii[filled] = np.sqrt(np.maximum.reduceat(squares, starts[filled])) * _MORE + _TINY
        return cls(pivots, pivot_rows, columns, order, starts, (radii * _MORE).astype(np.float32))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def n_bytes(self) -> int:
        return int(self.pivots.n_bytes + self.columns.n_bytes + self.order.nbytes + self.pivot_rows.nbytes)

    def candidates(self, queries: Numbers, k: int) -> tuple[Ints, Ints]:
        """Return sorted (query, row) pairs among which are the k nearest of every query."""
        sieve = Sieve(len(queries), k, self.columns)
        low, high = self._bounds(queries)
        sieve.limit = self._first_limit(high, k)
        every = np.arange(len(queries))
        first = high.argmin(axis=0)
        by_cell = np.argsort(first, kind="stable")
        self._visit(sieve, queries, first[by_cell], every[by_cell])
        near = low <= np.sqrt(sieve.limit) * np.float32(_MORE)
        near[first, every] = False
        cell, query = np.nonzero(near)
        self._visit(sieve, queries, cell, query)
        return sieve.pairs(len(self), self.order)

    def _bounds(self, queries: Numbers) -> tuple[Numbers, Numbers]:
        """Bound the distance of each cell's rows from each query from below and above, both [cells, n]."""
        asked = self.pivots.ask(queries)
        squares = self.pivots.table @ asked.factors
        low = np.sqrt(np.maximum(squares + asked.low, 0.0)) * np.float32(2 - _MORE)
        squares += self.pivots.slack[:, None]
        squares += asked.high
        high = np.sqrt(squares) * np.float32(_MORE)
        low -= self.radii[:, None]
        high += self.radii[:, None]
        return low, high

    def _first_limit(self, high: Numbers, k: int) -> Numbers:
        """Bound the k-th smallest squared distance [n] before any cell is searched."""
        limit = np.full(high.shape[1], np.inf, dtype=np.float32)
        if k <= len(high):  # each of so many cells holds a row at least
            limit = np.partition(high, k - 1, axis=0)[k - 1]
        roomy = np.diff(self.starts) >= k
        if roomy.any():
            limit = np.minimum(limit, high[roomy].min(axis=0))
        return np.asarray(np.square(limit * np.float32(_MORE)), dtype=np.float32)

    def _visit(self, sieve: Sieve, queries: Numbers, cell: Ints, query: Ints) -> None:
        """Look at each cell named in `cell` (rising) for the queries beside it."""
        ends = np.flatnonzero(np.diff(cell, append=-1)) + 1
        start = 0
        for end in ends.tolist():
            j, which = int(cell[start]), query[start:end]
            places = slice(int(self.starts[j]), int(self.starts[j + 1]))
            sieve.see(places, self.columns.ask(queries[which], self.pivot_rows[j]), which)
            start = end


def worthwhile(around: Columns, n_cells: int) -> bool:
    """Try out on a sample of the rows whether most cells would be too far from a typical query."""
    m = len(around.table)
    rng = np.random.default_rng(0)
    drawn = rng.permutation(m)
    n_pivots = min(n_cells, m // 2)
    pivots, sample = drawn[:n_pivots], drawn[n_pivots : n_pivots + _SAMPLE]
    distances = np.sqrt(np.maximum(_squares_between(around, sample, pivots), 0.0))
    nearest = distances.argmin(axis=1)
    own = distances[np.arange(len(sample)), nearest]
    radii = np.zeros(n_pivots)
    np.maximum.at(radii, nearest, own)
    shares = np.bincount(nearest, minlength=n_pivots) / len(sample)
    visited = (distances - radii <= own[:, None]) @ shares
    return float(visited.mean()) < _MOST_VISITED


def _pivots(around: Columns, n_pivots: int) -> tuple[Ints, Ints]:
    """Choose rows as pivots; return them, and for each row the pivot [m] nearest to it, by its place among them."""
    m = len(around.table)
    rng = np.random.default_rng(0)
    chosen = np.empty(0, dtype=np.int64)
    nearest, squares = np.zeros(m, dtype=np.int64), np.full(m, np.inf, dtype=np.float32)
    for _ in range(_ROUNDS):
        if len(chosen):
            chances = np.maximum(squares.astype(np.float64), 0.0)
            chances[chosen] = 0.0
            chances += chances.mean() * 1e-3 + 1e-30
        else:
            chances = np.ones(m)
        new = rng.choice(m, -(-n_pivots // _ROUNDS), replace=False, p=chances / chances.sum())
        new = np.setdiff1d(new, chosen)
        for start in range(0, m, _BLOCK):
            part = slice(start, start + _BLOCK)
            between = _squares_between(around, part, new)
            best = between.argmin(axis=1)
            closest = between[np.arange(len(best)), best]
            closer = closest < squares[part]
            nearest[part][closer] = best[closer] + len(chosen)
            squares[part][closer] = closest[closer]
        chosen = np.concatenate([chosen, new])
    nearest[chosen] = np.arange(len(chosen))  # in its own cell, whatever rounding says
    return chosen, nearest


def _squares_between(around: Columns, some: Ints | slice, pivots: Ints) -> Numbers:
    """Return squared distances [some, pivots] as products give them."""
    factors = around.table[pivots] * around.dtype(-2.0)
    norms = factors[:, -1] / around.dtype(-2.0)
    factors[:, -1] = 1.0
    squares = around.table[some] @ factors.T
    squares += norms
    return np.asarray(squares)

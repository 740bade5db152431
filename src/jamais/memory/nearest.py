"""Which of these rows are nearest, exactly, whatever batch the question comes in?

Matrix products pick candidates and bound their own rounding error; the winners' distances are then computed
directly as |x - y| in float64. An exact repeat has distance 0, and a row's answer never depends on its batch.
"""

from __future__ import annotations

from copy import copy
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.memory.search import coarse
from jamais.memory.search.approximate import FEWEST as FEWEST_FOR_LISTS
from jamais.memory.search.approximate import ApproximateRows
from jamais.memory.search.cells import FEWEST, Cells, worthwhile
from jamais.memory.search.columns import Asked, Columns, Factors
from jamais.memory.search.device import DeviceColumns
from jamais.memory.search.exact import decide, squared_differences
from jamais.memory.search.sieve import CrowdedError, Sieve
from jamais.types import Floats, Ints

__all__ = ["NearestRows", "smallest_gaps", "squared_differences"]

_QUERIES = 512  # asked at once
_ROWS = 1_024  # of one tile: with the queries 2 MB, which stay in the cache
_MANY = 32  # candidates beyond 4 k before float64 products narrow them down
_DIRECT = 30  # a direct difference costs as much as so many float64 products,
_COARSE = 450  # rows whose product in 16 instead of 32 bits saves as much as one direct difference costs
_MAKING = 100  # and to bring the rows into float64 as much as so many queries
_STALE = 2  # times the rows for which the centre was taken: then a new one is due
_LATE = 1.25  # times the rows in cells: then new cells are due
_MANY_QUERIES = 4_096  # asked at once of cells, lists and devices


class NearestRows:
    """Answer nearest-row questions over fixed `rows` [m, width] (float32 or float64, kept, not copied)."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        centre = rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
        self._columns = Columns.of(rows, centre.astype(rows.dtype))
        self._cells: Cells | None = None
        self._coarse: coarse.CoarseColumns | None = None
        self._may_be_coarse = len(rows) >= coarse.FEWEST_ROWS and self._columns.dtype is np.float32
        self._lists: ApproximateRows | None = None
        self._on_devices: dict[str, DeviceColumns] = {}
        self._n_asked = 0
        self._n_made = len(rows)
        self._can_have_cells = len(rows) >= FEWEST and self._columns.dtype is np.float32
        self._tried = not self._can_have_cells

    def __len__(self) -> int:
        return len(self._rows)

    def extended(self, rows: NDArray[Any]) -> NearestRows:
        """Give a search of `rows` [m, width], of which the first are the very rows searched here: cheaper than anew.

        This search stays as it is.
        """
        columns = self._columns.grown(rows) if len(rows) < _STALE * self._n_made else None
        if columns is None:
            return NearestRows(rows)
        more = copy(self)
        more._rows, more._columns, more._on_devices, more._coarse = rows, columns, {}, None
        if self._lists is not None and len(rows) > _LATE * len(self._lists):
            more._lists = None
        if self._cells is not None and len(rows) > _LATE * len(self._cells):
            more._cells, more._tried, more._n_asked = None, False, 0
        return more

    @property
    def n_bytes(self) -> int:
        """Bytes held beside the rows."""
        beside = (self._cells, self._coarse)
        return self._columns.n_bytes + sum(one.n_bytes for one in beside if one is not None)

    def nearest(
        self, queries: NDArray[Any], k: int, *, device: str = "", approximate: bool = False
    ) -> tuple[Floats, Ints]:
        """Return distances [n, k] rising and slots [n, k] of the k nearest rows; ties go to the lower slot.

        `k` is cut to the number of rows. On a torch `device` ("cuda:0") the answer has the same bits. With
        `approximate`, memories of 50,000 rows and more are searched by faiss: some rows may not be the nearest
        (`recall` says how many), their distances are exact. Raise `MissingExtraError` without faiss.
        """
        k = min(k, len(self))
        distances = np.empty((len(queries), k), dtype=np.float64)
        slots = np.empty((len(queries), k), dtype=np.int64)
        approximate = approximate and len(self) >= FEWEST_FOR_LISTS and self._columns.dtype is np.float32
        self._prepare(0 if approximate or device else len(queries))
        step = _QUERIES if self._cells is None and not device and not approximate else _MANY_QUERIES
        for start in range(0, len(queries) if k else 0, step):
            part = slice(start, start + step)
            self._answer(queries[part], k, distances[part], slots[part], device, approximate)
        return distances, slots

    def recall(self, queries: NDArray[Any], k: int) -> float:
        """Return which share of the `k` nearest rows of `queries` [n, width] an approximate search finds."""
        exact, found = self.nearest(queries, k)[0], self.nearest(queries, k, approximate=True)[0]
        return float((found <= exact[:, -1:]).mean()) if exact.size else 1.0

    def _answer(
        self, queries: NDArray[Any], k: int, distances: Floats, slots: Ints, device: str, approximate: bool
    ) -> None:
        """Fill `distances` and `slots` [n, k], in halves where too many rows are candidates at once."""
        try:
            query, slot = self._by_lists(queries, k) if approximate else self._candidates(queries, k, device)
        except CrowdedError:
            half = len(queries) // 2
            for part in (slice(half), slice(half, None)):
                self._answer(queries[part], k, distances[part], slots[part], device, approximate)
        else:
            distances[:], slots[:] = decide(queries, self._rows, query, slot, k)

    def _prepare(self, n: int) -> None:
        """Find out once whether cells help, when as much has been asked as that costs."""
        self._n_asked += n
        if not self._tried and self._n_asked >= 2 * isqrt(len(self)):
            self._tried = True
            if worthwhile(self._columns, 2 * isqrt(len(self))):
                self._cells = Cells.of(self._rows, self._columns, 2 * isqrt(len(self)))

    def _candidates(self, queries: NDArray[Any], k: int, device: str = "") -> tuple[Ints, Ints]:
        """Return sorted (query, slot) pairs among which are the k nearest of every query."""
        asked = self._columns.ask(queries)
        carried = self._columns.carries(asked)
        if not carried.all():
            return self._apart(queries, carried, k, device)
        if self._cells is None or device:
            try:
                query, slot = self._flat(asked, k, device)
            except CrowdedError:
                if not self._can_have_cells:
                    raise
            else:
                wide = np.bincount(query, minlength=len(queries)) > 4 * k + _MANY
                if not wide.any():
                    return query, slot
                if wide.mean() < 0.5 or not self._can_have_cells:
                    return self._again(queries, query, slot, wide, k)
            # Crowds of near-duplicates, which products about one centre cannot tell apart.
            self._cells = Cells.of(self._rows, self._columns, min(max(8, isqrt(len(self)) // 4), 32))
        return self._by_cells(queries, asked, k)

    def _flat(self, asked: Asked, k: int, device: str) -> tuple[Ints, Ints]:
        """Look at all rows."""
        if device and self._columns.dtype is np.float32:
            there = self._on_devices.get(device)
            if there is None:
                there = self._on_devices[device] = DeviceColumns(self._columns, device)
            return there.candidates(asked, k)
        found = self._coarsely(asked, k)
        return _sifted(self._columns, asked, k) if found is None else found

    def _coarsely(self, asked: Asked, k: int) -> tuple[Ints, Ints] | None:
        """Look at all rows with 16-bit products; None where that is not possible, or has not paid."""
        n, m = len(asked.low), len(self)
        if n < coarse.FEWEST_QUERIES or not self._may_be_coarse or not coarse.pays():
            return None
        if self._coarse is None:
            self._coarse = coarse.CoarseColumns(self._columns)
        try:
            query, slot = _sifted(*self._coarse.ask(asked), k)
        except CrowdedError:
            self._may_be_coarse = False
            return None
        self._may_be_coarse = len(query) <= n * (k + m / _COARSE)
        return query, slot

    def _by_lists(self, queries: NDArray[Any], k: int) -> tuple[Ints, Ints]:
        """Let faiss name the candidates; search exactly for queries of which it finds too few."""
        asked, n, m = self._columns.ask(queries), 0, len(self)
        good = self._columns.carries(asked)
        if self._lists is None:
            self._lists = ApproximateRows(self._rows, self._columns.centre)
        n = len(self._lists)
        query, slot = self._lists.candidates(np.where(good[:, None], queries, 0), min(k, n))
        good &= np.bincount(query, minlength=len(queries)) >= min(k, n)
        parts = [(query[good[query]], slot[good[query]])]
        ones = np.flatnonzero(good)
        if n < m and len(ones):
            late, slot = _sifted(self._columns, self._columns.ask(queries[ones]), min(k, m - n), n)
            parts.append((ones[late], slot))
        others = np.flatnonzero(~good)
        if len(others):
            query, slot = self._candidates(queries[others], k)
            parts.append((others[query], slot))
        return _merged(parts, m)

    def _by_cells(self, queries: NDArray[Any], asked: Asked, k: int) -> tuple[Ints, Ints]:
        """Search the cells, and one by one the rows that came later."""
        assert self._cells is not None
        n, m = len(self._cells), len(self)
        found = self._cells.candidates(queries, min(k, n))
        return found if n == m else _merged([found, _sifted(self._columns, asked, min(k, m - n), n)], m)

    def _apart(self, queries: NDArray[Any], carried: NDArray[np.bool_], k: int, device: str) -> tuple[Ints, Ints]:
        """Ask in float64 for queries that float32 cannot carry."""
        parts: list[tuple[Ints, Ints]] = []
        near, far = np.flatnonzero(carried), np.flatnonzero(~carried)
        if len(near):
            query, slot = self._candidates(queries[near], k, device)
            parts.append((near[query], slot))
        query, slot = self._in_float64(queries[far], k)
        parts.append((far[query], slot))
        return _merged(parts, len(self))

    def _again(
        self, queries: NDArray[Any], query: Ints, slot: Ints, wide: NDArray[np.bool_], k: int
    ) -> tuple[Ints, Ints]:
        """Ask in float64 for queries with many candidates, if that is cheaper than to look at them all."""
        n_wide = int(wide.sum())
        settled = ~wide[query]
        if self._columns.dtype is not np.float32 or (~settled).sum() * _DIRECT < (n_wide + _MAKING) * len(self):
            return query, slot
        again = np.flatnonzero(wide)
        more, more_slots = self._in_float64(queries[again], k)
        return _merged([(query[settled], slot[settled]), (again[more], more_slots)], len(self))

    def _in_float64(self, queries: NDArray[Any], k: int) -> tuple[Ints, Ints]:
        # Rarely needed: made anew rather than kept.
        columns = Columns(self._columns.centre, np.float64, self._rows.shape[1]).extended(self._rows)
        return _sifted(columns, columns.ask(queries), k)


def smallest_gaps(rows: NDArray[Any]) -> Floats:
    """Return the distance [m] of each of several distinct rows to the nearest other one."""
    distances, _ = NearestRows(rows).nearest(rows, 2)
    return distances[:, 1]


def _sifted(columns: Factors, asked: Asked, k: int, first: int = 0) -> tuple[Ints, Ints]:
    """Return sorted (query, slot) pairs among which are the k nearest rows from slot `first` on of every query."""
    n, m = len(asked.low), len(columns.slack)
    sieve = Sieve(n, k, columns)
    step = max(_ROWS, 4 * k, _ROWS * _QUERIES // max(1, 16 * n))
    for start in range(first, m, step):
        sieve.see(slice(start, min(start + step, m)), asked)
    return sieve.pairs(m)


def _merged(parts: list[tuple[Ints, Ints]], m: int) -> tuple[Ints, Ints]:
    keys = np.concatenate([query * m + slot for query, slot in parts])
    keys.sort()
    return np.divmod(keys, m)

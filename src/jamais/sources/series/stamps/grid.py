"""How are rows averaged over the cells of a grid in time?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from jamais.sources.series.block import SeriesBlock
from jamais.types import NO_TIME, Floats, Ints

_LATE = "rows left out, they came after their cell was over"


class Grid:
    """Average what falls into each cell of `width` microseconds. The last cell is held back: more of it may come.

    Sums are made row after row, so pieces give the bits of the whole. Cells without rows become empty rows.
    """

    def __init__(self, n_channels: int, width: int, max_gap_rows: int) -> None:
        self._n_channels, self._width, self._most = n_channels, width, max_gap_rows
        self.counts: Counter[str] = Counter()
        self._cell: int | None = None
        self._closed: int | None = None
        self._sums = np.zeros(n_channels)
        self._known = np.zeros(n_channels, np.int64)
        self.n_rows = 0

    def put(self, times: Ints, values: Floats) -> SeriesBlock:
        """Take rows: times [n], values [n, channels]; give the cells that are over."""
        stamped = times != NO_TIME
        self.counts["rows left out, they have no stamp to be averaged by"] += int((~stamped).sum())
        cells = times[stamped] // self._width
        values = values[stamped]
        if not len(cells):
            return SeriesBlock.none(self._n_channels)
        start = cells[0] if self._cell is None else self._cell
        reached = np.maximum.accumulate(np.concatenate([[start], cells]))[1:]
        late = cells < reached
        if self._closed is not None:
            late |= cells <= self._closed
        self.counts[_LATE] += int(late.sum())
        cells, values = cells[~late], values[~late]
        if not len(cells):
            return SeriesBlock.none(self._n_channels)
        return self._averaged(cells, values)

    def flush(self) -> SeriesBlock:
        """Give the cell that is held back; rows of it that still come are late."""
        if self._cell is None:
            return SeriesBlock.none(self._n_channels)
        block = self._laid(np.array([self._cell]), self._sums[None, :], self._known[None, :])
        self._cell = None
        self._sums, self._known = np.zeros(self._n_channels), np.zeros(self._n_channels, np.int64)
        return block

    def state_dict(self) -> dict[str, Any]:
        return {
            "cell": self._cell,
            "closed": self._closed,
            "sums": [float(one) for one in self._sums],
            "known": [int(one) for one in self._known],
            "n_rows": self.n_rows,
        }

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self._cell = None if tree["cell"] is None else int(tree["cell"])
        self._closed = None if tree["closed"] is None else int(tree["closed"])
        self._sums = np.array(tree["sums"], np.float64)
        self._known = np.array(tree["known"], np.int64)
        self.n_rows = int(tree["n_rows"])

    def _averaged(self, cells: Ints, values: Floats) -> SeriesBlock:
        opened = self._cell is not None
        first = [] if self._cell is None else [self._cell]
        distinct = np.unique(np.concatenate([np.array(first, np.int64), cells]))
        place = np.searchsorted(distinct, cells)
        known = ~np.isnan(values)
        sums = np.empty((len(distinct), self._n_channels))
        counts = np.empty((len(distinct), self._n_channels), np.int64)
        for i in range(self._n_channels):
            # What is open already is the first addend: the order of additions is that of the rows.
            weights = np.where(known[:, i], values[:, i], 0.0)
            if opened:
                carried = np.concatenate([[0], place]), np.concatenate([[self._sums[i]], weights])
            else:
                carried = place, weights
            sums[:, i] = np.bincount(*carried, minlength=len(distinct))
            counts[:, i] = np.bincount(place[known[:, i]], minlength=len(distinct))
        if opened:
            counts[0] += self._known
        self._cell, self._sums, self._known = int(distinct[-1]), sums[-1].copy(), counts[-1].copy()
        return self._laid(distinct[:-1], sums[:-1], counts[:-1])

    def _laid(self, cells: Ints, sums: Floats, counts: Ints) -> SeriesBlock:
        """Give cells as rows, with empty ones where cells are missing."""
        n = len(cells)
        if not n:
            return SeriesBlock.none(self._n_channels)
        before = np.concatenate([[cells[0] - 1 if self._closed is None else self._closed], cells[:-1]])
        missing = np.clip(cells - before - 1, 0, self._most)
        self.counts["gaps"] += int((missing > 0).sum())
        self.counts["empty rows put in"] += int(missing.sum())
        place = np.arange(n) + np.cumsum(missing)
        total = n + int(missing.sum())
        rows, times = np.full(total, -1, np.int64), np.empty(total, np.int64)
        values = np.full((total, self._n_channels), np.nan)
        rows[place] = np.arange(self.n_rows, self.n_rows + n)
        times[place] = cells * self._width
        values[place] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        nth = np.arange(int(missing.sum())) - np.repeat(np.cumsum(missing) - missing, missing) + 1
        times[rows < 0] = (np.repeat(before, missing) + nth) * self._width
        self.n_rows += n
        self._closed = int(cells[-1])
        return SeriesBlock(rows, times, values)

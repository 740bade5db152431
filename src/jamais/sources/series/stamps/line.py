"""Where do stamps leave a gap, and which rows are put in there?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from jamais.sources.series.block import SeriesBlock
from jamais.types import NO_TIME, Floats, Ints

IRREGULAR_SHARE = 0.2
"""From this share of gaps on, stamps have no step: events, not samples."""
_FEW = 20
"""Of fewer stamps one cannot tell."""


def usual_step(times: Ints) -> int:
    """Give the median microseconds between stamps that go on; 0 without, or where they keep no step."""
    known = times[times != NO_TIME]
    apart = np.diff(known)
    apart = apart[apart > 0]
    if not len(apart):
        return 0
    step = int(np.median(apart))
    return step if len(apart) < _FEW or _share_of_gaps(apart, step) <= IRREGULAR_SHARE else 0


def keeps_no_step(times: Ints) -> bool:
    """Say whether there are stamps, but without a step."""
    known = times[times != NO_TIME]
    return bool((np.diff(known) > 0).any()) and usual_step(times) == 0


def repeats(times: Ints) -> int:
    """Count the stamps that are those of the row before."""
    return int(((times[1:] == times[:-1]) & (times[1:] != NO_TIME)).sum())


def _share_of_gaps(apart: Ints, step: int) -> float:
    return float((2 * apart >= 3 * step).mean())


class TimeLine:
    """Number rows and put empty ones in where stamps leave a gap; however the rows are cut, the result is the same.

    A gap is 1.5 steps or more after the latest stamp so far. Rows that repeat a stamp or go back stay where they are,
    and are counted: a verdict belongs to its row.
    """

    def __init__(self, n_channels: int, step: int, max_gap_rows: int) -> None:
        self._n_channels, self._step, self._most = n_channels, step, max_gap_rows
        self.n_rows = 0
        self._latest = NO_TIME
        self._latest_row = -1
        self.counts: Counter[str] = Counter()

    def put(self, times: Ints, values: Floats) -> SeriesBlock:
        """Lay rows down: times [n], values [n, channels]."""
        n = len(times)
        rows = np.arange(self.n_rows, self.n_rows + n)
        self.n_rows += n
        known = np.flatnonzero(times != NO_TIME)
        if not len(known):
            return SeriesBlock(rows, times, values)
        missing, before = self._missing(times[known], rows[known])
        if not missing.any():
            return SeriesBlock(rows, times, values)
        return self._filled(SeriesBlock(rows, times, values), known, missing, before)

    def flush(self) -> SeriesBlock:
        """Give what was held back: nothing."""
        return SeriesBlock.none(self._n_channels)

    def state_dict(self) -> dict[str, Any]:
        return {"n_rows": self.n_rows, "latest": self._latest, "latest_row": self._latest_row}

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self.n_rows = int(tree["n_rows"])
        self._latest, self._latest_row = int(tree["latest"]), int(tree["latest_row"])

    def _missing(self, times: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """Give how many rows are missing before each [m], and the latest stamp before it [m]."""
        reached = np.maximum.accumulate(np.concatenate([[self._latest], times]))
        newest = np.concatenate([[True], times >= reached[:-1]])
        at = np.maximum.accumulate(np.where(newest, np.concatenate([[self._latest_row], rows]), -1))
        before, before_row = reached[:-1], at[:-1]
        first = before == NO_TIME
        apart = times - np.where(first, times, before)
        self.counts["rows with the stamp of one before"] += int(((apart == 0) & ~first).sum())
        self.counts["rows that go back in time"] += int((apart < 0).sum())
        self._latest, self._latest_row = int(reached[-1]), int(at[-1])
        if not self._step:
            return np.zeros(len(times), np.int64), before
        steps = (2 * apart + self._step) // (2 * self._step)
        missing = np.clip(steps - (rows - before_row), 0, self._most)
        missing[first] = 0
        return missing, before

    def _filled(self, block: SeriesBlock, known: Ints, missing: Ints, before: Ints) -> SeriesBlock:
        gaps = missing > 0
        self.counts["gaps"] += int(gaps.sum())
        self.counts["empty rows put in"] += int(missing.sum())
        n = len(block.rows)
        extra = np.zeros(n, np.int64)
        extra[known] = missing
        place = np.arange(n) + np.cumsum(extra)
        total = n + int(missing.sum())
        rows = np.full(total, -1, np.int64)
        times = np.empty(total, np.int64)
        values = np.full((total, self._n_channels), np.nan)
        rows[place], times[place], values[place] = block.rows, block.times, block.values
        sizes = missing[gaps]
        # 1, 2, … steps after the stamp before the gap
        nth = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
        times[rows < 0] = np.repeat(before[gaps], sizes) + nth * self._step
        return SeriesBlock(rows, times, values)

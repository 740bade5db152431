"""How is a series of any length kept for a picture in little memory, with more detail where something happened?"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jamais.errors import ShapeMismatchError
from jamais.types import NO_TIME, Bools, Floats, Ints

if TYPE_CHECKING:
    import polars as pl

MOST_BUCKETS = 4_096
"""Runs of neighbouring rows of which the least and the largest value are kept; their length doubles when full."""
CELL = 4_096
"""Rows that are given more detail, or not, together; a power of two, as all runs are, so that edges meet."""
MOST_CELLS = 48
_COARSE = 64  # the longest run within a cell
_PAD = 128  # rows round an alarm that are near
_MOST_NUMBERS = 1_000_000  # kept for all cells
_SCORE, _P, _ABNORMAL = -3, -2, -1  # columns after the channels


class Buckets(NamedTuple):
    """`m` runs of rows, each with the least and largest of every channel; NaN where all is missing."""

    rows: Ints
    """[m, 2] first and last row."""
    times: Ints
    """[m, 2] first and last time, NO_TIME where there is none."""
    counts: Ints
    """[m] rows in it, those that were put in for a gap counted, too."""
    low: Floats
    """[m, C]"""
    high: Floats
    score: Floats
    """[m] the highest, NaN where no row was judged."""
    score_low: Floats
    p_value: Floats
    """[m] the lowest."""
    abnormal: Bools


class _Table(NamedTuple):
    """Rows as they came, with their verdicts as the last three columns, or runs of rows."""

    rows: Ints  # [n, 2]
    times: Ints  # [n, 2]
    counts: Ints  # [n]
    low: Floats  # [n, C + 3]
    high: Floats

    def part(self, first: int, end: int | None = None) -> _Table:
        """Give the rows from `first` to before `end`."""
        at = slice(first, end)
        return _Table(self.rows[at], self.times[at], self.counts[at], self.low[at], self.high[at])

    @property
    def n(self) -> int:
        return len(self.counts)

    def runs(self, run: int) -> _Table:
        """Fold `run` neighbours each into one; the last may be fewer."""
        if run == 1 or not self.n:
            return self
        first = np.arange(0, self.n, run)
        last = np.minimum(first + run, self.n) - 1
        with np.errstate(invalid="ignore"):
            low, high = np.fmin.reduceat(self.low, first, axis=0), np.fmax.reduceat(self.high, first, axis=0)
        rows, times = (np.stack([of[first, 0], of[last, 1]], axis=1) for of in (self.rows, self.times))
        return _Table(rows, times, np.add.reduceat(self.counts, first), low, high)


class _Zone(NamedTuple):
    """A part of a cell, in runs of one length."""

    table: _Table
    run: int
    fine: bool


def _joined(parts: list[_Table]) -> _Table:
    if len(parts) == 1:
        return parts[0]
    return _Table(
        np.concatenate([one.rows for one in parts]),
        np.concatenate([one.times for one in parts]),
        np.concatenate([one.counts for one in parts]),
        np.concatenate([one.low for one in parts]),
        np.concatenate([one.high for one in parts]),
    )


class Trace:
    """Takes values, then the verdicts on them, piece by piece, and keeps what a picture needs."""

    def __init__(self, n_channels: int, most: int = MOST_BUCKETS) -> None:
        if most < 2 or most % 2:
            raise ShapeMismatchError(f"a trace has an even number of buckets, got {most}")
        self._width, self._most = n_channels, most
        self._waiting: list[_Table] = []  # values without verdicts
        self._run = 1
        self._buckets: list[_Table] = []
        self._n_buckets = 0
        self._rest: list[_Table] = []  # judged, fewer rows than a run
        self._near: _Table | None = None  # judged, not yet in a cell
        self._begin = 0  # place of its first row
        self._last_alarm = -(10**18)
        self._cells: dict[int, list[_Zone]] = {}
        self._most_fine = max(64, min(400, _MOST_NUMBERS // (n_channels + 3) // MOST_CELLS))

    def add_values(self, rows: Ints, times: Ints, values: Floats) -> None:
        """Take the next rows of the input: numbers [n] (-1 = put in for a gap), times [n], values [n, C]."""
        if values.shape != (len(rows), self._width):
            raise ShapeMismatchError(f"this trace has {self._width} channels, got values of shape {values.shape}")
        if not len(rows):
            return
        empty = np.full((len(rows), 3), np.nan)
        table = np.concatenate([np.where(np.isfinite(values), values, np.nan), empty], axis=1)
        before = self._waiting[-1].rows[-1, 1] if self._waiting else -1
        # A row that was put in bears the number of the one before it, so numbers never fall.
        number = np.maximum.accumulate(np.r_[before, np.where(rows < 0, -1, rows)])[1:]
        pair = [np.stack([of, of], axis=1) for of in (number, np.asarray(times, dtype=np.int64))]
        self._waiting.append(_Table(pair[0], pair[1], np.ones(len(rows), dtype=np.int64), table, table))

    def add_verdicts(self, frame: pl.DataFrame) -> None:
        """Take the verdicts on rows whose values were given; where none were, the verdicts stand alone."""
        if not len(frame):
            return
        rows = frame["row"].to_numpy().astype(np.int64)
        if not self._width and not self._waiting:
            self.add_values(rows, _times(frame), np.empty((len(rows), 0)))
        if not self._waiting:
            return
        waiting = _joined(self._waiting)
        decided = int(np.searchsorted(waiting.rows[:, 0], rows[-1], side="right"))
        here = np.searchsorted(waiting.rows[:, 0], rows, side="left")
        known = here < decided
        known[known] = waiting.rows[here[known], 0] == rows[known]
        table = waiting.low
        for column, name in ((_SCORE, "score"), (_P, "p_value"), (_ABNORMAL, "abnormal")):
            table[here[known], column] = frame[name].cast(float).to_numpy()[known]
        self._waiting = [waiting.part(decided)] if decided < waiting.n else []
        self._take(_Table(waiting.rows, waiting.times, waiting.counts, table, table).part(0, decided))

    def buckets(self, details: int = 0) -> Buckets:
        """Give all that was kept, in order, with up to `details` shorter runs where something happened; end it."""
        if self._waiting:
            waiting, self._waiting = _joined(self._waiting), []
            self._take(waiting)
        self._close_cells(end=True)
        rest = [_joined(self._rest)] if self._rest else []
        table = _joined([*self._buckets, *(part.runs(self._run) for part in rest)] or [self._nothing()])
        whole = self._with_cells(table, details)
        timed = _forward(whole.times)
        return Buckets(
            whole.rows, timed, whole.counts, whole.low[:, : self._width], whole.high[:, : self._width],
            whole.high[:, _SCORE], whole.low[:, _SCORE], whole.low[:, _P], whole.high[:, _ABNORMAL] > 0,
        )  # fmt: skip

    def _take(self, judged: _Table) -> None:
        self._near = judged if self._near is None else _joined([self._near, judged])
        self._close_cells(end=False)
        self._rest.append(judged)
        if sum(part.n for part in self._rest) < self._run:
            return
        new = _joined(self._rest)
        while new.n >= self._run:
            fits = min(new.n // self._run, self._most - self._n_buckets) * self._run
            self._buckets.append(new.part(0, fits).runs(self._run))
            self._n_buckets += fits // self._run
            new = new.part(fits)
            if self._n_buckets == self._most:
                self._buckets = [_joined(self._buckets).runs(2)]
                self._n_buckets //= 2
                self._run *= 2
        self._rest = [new] if new.n else []

    def _close_cells(self, end: bool) -> None:
        """Decide for each cell whose neighbourhood is judged whether it is kept in detail."""
        while self._near is not None and self._near.n >= (1 if end else CELL + _PAD):
            near = self._near
            alarms = np.flatnonzero(near.high[: CELL + _PAD, _ABNORMAL] > 0)
            cell = near.part(0, CELL)
            close = _within(alarms, self._last_alarm - self._begin, cell.n)
            if close.any():
                self._keep(cell, close)
            inside = alarms[alarms < cell.n]
            self._last_alarm = self._begin + int(inside[-1]) if len(inside) else self._last_alarm
            self._begin += cell.n
            self._near = near.part(CELL) if near.n > CELL else None

    def _keep(self, cell: _Table, close: Bools) -> None:
        starts = np.arange(0, cell.n, _COARSE)
        fine = np.logical_or.reduceat(close, starts)
        run = 1
        while run < min(self._run, _COARSE) and fine.sum() * _COARSE // run > self._most_fine:
            run *= 2
        edges = np.flatnonzero(np.diff(np.r_[-1, fine.astype(np.int64)]) != 0)
        bounds = np.r_[edges * _COARSE, cell.n].tolist()
        # Far from alarms a cell has the runs of the whole, which only grow longer.
        runs = [run if fine[first // _COARSE] else min(self._run, _COARSE) for first in bounds[:-1]]
        self._cells[self._begin] = [
            _Zone(cell.part(first, last).runs(run), run, bool(fine[first // _COARSE]))
            for (first, last), run in zip(pairwise(bounds), runs, strict=True)
        ]
        if len(self._cells) > 2 * MOST_CELLS:
            self._cells = dict(self._worst_cells(MOST_CELLS))

    def _worst_cells(self, most: int) -> list[tuple[int, list[_Zone]]]:
        def worst(zones: list[_Zone]) -> float:
            return max(float(np.fmax.reduce(zone.table.high[:, _SCORE], initial=-np.inf)) for zone in zones)

        ranked = sorted(self._cells.items(), key=lambda one: (-worst(one[1]), one[0]))
        return ranked[:most]

    def _with_cells(self, table: _Table, details: int) -> _Table:
        """Put detailed cells in the place of the runs that they cover, the worst first, up to `details` runs."""
        if self._run == 1 or self._run > CELL or not self._cells:
            return table
        usual = min(self._run, _COARSE)
        chosen: dict[int, _Table] = {}
        for at, zones in self._worst_cells(MOST_CELLS):
            cell = _joined([zone.table if zone.fine else zone.table.runs(usual // zone.run) for zone in zones])
            details -= cell.n
            if details < 0:
                break
            chosen[at] = cell
        begin = np.cumsum(table.counts) - table.counts
        parts, done = [], 0
        for at, cell in sorted(chosen.items(), key=lambda one: one[0]):
            first = int(np.searchsorted(begin, at))
            last = int(np.searchsorted(begin, at + int(cell.counts.sum())))
            parts += [table.part(done, first), cell]
            done = last
        return _joined([*parts, table.part(done)])

    def _nothing(self) -> _Table:
        width = self._width + 3
        pair = np.empty((0, 2), dtype=np.int64)
        return _Table(pair, pair, np.empty(0, dtype=np.int64), np.empty((0, width)), np.empty((0, width)))


def _within(alarms: Ints, before: int, n: int) -> Bools:
    """Mark which of n rows lie within the pad of an alarm, at a place here or before."""
    near = np.zeros(n + 1, dtype=np.int64)
    places = np.r_[before, alarms]
    places = places[places >= -_PAD]
    np.add.at(near, np.clip(places - _PAD, 0, n), 1)
    np.add.at(near, np.clip(places + _PAD + 1, 0, n), -1)
    return np.cumsum(near)[:n] > 0


def _times(frame: pl.DataFrame) -> Ints:
    if "time" not in frame.columns:
        return np.full(len(frame), NO_TIME, dtype=np.int64)
    return frame["time"].dt.epoch("us").fill_null(NO_TIME).to_numpy().astype(np.int64)


def _forward(times: Ints) -> Ints:
    """Give times that never go back; none at all where one is missing."""
    if not len(times) or (times == NO_TIME).any():
        return np.full_like(times, NO_TIME)
    return np.maximum.accumulate(times.ravel()).reshape(times.shape)

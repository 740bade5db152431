"""What does a person who gets the alarms of a series see: what was found, how late, and how often are there alarms?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jamais.errors import ShapeMismatchError
from jamais.evaluation.series.given import checked_alarms, checked_labels
from jamais.evaluation.series.segments import segments
from jamais.types import NO_TIME, Floats, Ints

_DAY = 86_400e6  # microseconds


@dataclass(frozen=True)
class EventQuality:
    """Found stretches and the share of alarmed rows that are abnormal."""

    f1: float
    precision: float
    """Of rows: alarmed and abnormal / alarmed; 0 without an alarm."""
    recall: float
    """Of stretches: those with an alarm in them / all."""
    segments: int
    found: int


@dataclass(frozen=True)
class Delays:
    """How long after its start each abnormal stretch was alarmed; not a number where it was missed."""

    rows: Floats
    """[k] rows from the first of the stretch to its first alarm, 0 = at once."""
    seconds: Floats | None
    """[k] the same in seconds; None without times."""

    @property
    def median_rows(self) -> float:
        """Give the median over the stretches that were found; not a number if none was."""
        return _middle(self.rows)

    @property
    def median_seconds(self) -> float:
        """Give the median over the stretches that were found; not a number without times."""
        return float("nan") if self.seconds is None else _middle(self.seconds)


@dataclass(frozen=True)
class AlarmLoad:
    """How often somebody is called. Alarmed rows without a quiet row between them are one alarm."""

    rows: int
    """Alarmed rows."""
    alarms: int
    """Runs of alarmed rows."""
    per_day: float
    """Runs per day; not a number without times."""
    per_thousand_rows: float
    """Runs per thousand rows."""


def event_f1(labels: ArrayLike, alarms: ArrayLike) -> EventQuality:
    """Combine the recall of stretches with the precision of rows: [n] of 0/1, [n] of 0/1 -> EventQuality.

    TSB-AD's Event-based-F1 at fixed predictions: a stretch is found if one of its rows is alarmed, precision is that
    of rows, F1 their harmonic mean. (TSB-AD 1.5 overlooks the last row of a stretch that ends with the series; here it
    counts.) Raises InputError without abnormal or without normal rows.
    """
    truth = checked_labels(labels, "event F1")
    raised = checked_alarms(alarms, len(truth))
    spans = segments(truth)
    found = int((hits_in(spans, raised) > 0).sum())
    precision = float((raised & truth).sum() / max(int(raised.sum()), 1))
    recall = found / len(spans)
    both = precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    return EventQuality(f1=f1, precision=precision, recall=recall, segments=len(spans), found=found)


def delays(labels: ArrayLike, alarms: ArrayLike, times: ArrayLike | None = None) -> Delays:
    """Measure from the start of each abnormal stretch to its first alarm: [n], [n], [n] -> Delays.

    `times` are microseconds since 1970. An alarm before the stretch does not count.
    """
    truth = checked_labels(labels, "a delay")
    raised = checked_alarms(alarms, len(truth))
    clock = _checked_times(times, len(truth))
    spans, rows = segments(truth), np.append(np.flatnonzero(raised), len(truth))
    first = rows[np.searchsorted(rows, spans[:, 0])]
    late = np.where(first < spans[:, 1], first - spans[:, 0], np.nan)
    if clock is None:
        return Delays(rows=late, seconds=None)
    seconds = np.full(len(spans), np.nan)
    hit = first < spans[:, 1]
    seconds[hit] = (clock[first[hit]] - clock[spans[hit, 0]]) / 1e6
    return Delays(rows=late, seconds=seconds)


def alarm_load(alarms: ArrayLike, times: ArrayLike | None = None) -> AlarmLoad:
    """Count the alarms: [n] of 0/1, [n] microseconds -> AlarmLoad. A day has the rows that it has: gaps count, too."""
    raised = checked_alarms(alarms)
    clock, runs = _checked_times(times, len(raised)), len(segments(raised))
    days = float("nan")
    if clock is not None and len(clock) > 1:
        days = (int(clock[-1] - clock[0]) + float(np.median(np.diff(clock)))) / _DAY
    return AlarmLoad(
        rows=int(raised.sum()),
        alarms=runs,
        per_day=runs / days if days > 0 else float("nan"),
        per_thousand_rows=1000 * runs / len(raised),
    )


def hits_in(spans: Ints, alarms: NDArray[np.bool_]) -> Ints:
    """Count the alarmed rows of every stretch: [k, 2], [n] -> [k]."""
    counted = np.concatenate(([0], np.cumsum(alarms)))
    hits: Ints = counted[spans[:, 1]] - counted[spans[:, 0]]
    return hits


def _checked_times(times: ArrayLike | None, n: int) -> Ints | None:
    """Give times as integers, or None where a row has none: seconds cannot be told then."""
    if times is None:
        return None
    clock = np.asarray(times)
    if clock.dtype.kind == "M":
        clock = clock.astype("datetime64[us]")
    clock = clock.astype(np.int64)
    if clock.shape != (n,):
        raise ShapeMismatchError(f"there must be one time for each of {n:,} rows, got {clock.shape}")
    return None if (clock == NO_TIME).any() else clock


def _middle(delay: Floats) -> float:
    known = delay[~np.isnan(delay)]
    return float(np.median(known)) if len(known) else float("nan")

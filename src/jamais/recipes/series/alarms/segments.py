"""Which alarms are one anomaly, and when did it begin and end?"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.types import NO_TIME, Ints, StateTree, Vectors

_WANTED = {"row", "score", "abnormal", "segment_start", "channels", "shares"}


@dataclass(frozen=True)
class Placed:
    """Where a row that alarms stands in its segment."""

    row: int
    """Its number of the input."""
    start: int
    """Number of the first row that alarmed."""
    seconds: float | None
    """Since that row; None without times."""
    nth: int
    """Counts the alarms of the segment, from 1."""


class Segments:
    """Joins alarms, in the order of the rows, with at most `calm` rows between them; knows the open segment only."""

    def __init__(self, calm: int) -> None:
        self.calm = calm
        self.cause = ""
        """Of the open segment."""
        self.n_kept = 0
        """Windows of the open segment that went with verdicts."""
        self.window: Vectors = np.empty(0, dtype=np.float32)
        """The last of them [width]."""
        self._start = self._nth = 0
        self._time = NO_TIME
        self._last = -1

    def place(self, at: Ints, rows: Ints, times: Ints) -> list[Placed]:
        """Place alarms [m]: how many rows passed by before each, its number, its time."""
        placed = []
        for passed, row, time in zip(at.tolist(), rows.tolist(), times.tolist(), strict=True):
            if not self._nth or passed - self._last > self.calm + 1:
                self._start, self._time, self._nth = row, time, 0
            self._nth, self._last = self._nth + 1, passed
            timed = time != NO_TIME and self._time != NO_TIME
            placed.append(Placed(row, self._start, (time - self._time) / 1e6 if timed else None, self._nth))
        return placed

    def state_dict(self) -> StateTree:
        """Give, as JSON values, the open segment."""
        time = None if self._time == NO_TIME else self._time
        return {
            "cause": self.cause,
            "start": self._start,
            "nth": self._nth,
            "time": time,
            "last": self._last,
            "n_kept": self.n_kept,
            "window": base64.b64encode(self.window.tobytes()).decode(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        self.cause, self._start, self._nth = str(tree["cause"]), int(tree["start"]), int(tree["nth"])
        self._time = NO_TIME if tree["time"] is None else int(tree["time"])
        self._last, self.n_kept = int(tree["last"]), int(tree["n_kept"])
        self.window = np.frombuffer(base64.b64decode(tree["window"]), dtype=np.float32).copy()


def segments(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Give one row for each anomaly in verdicts of `score`, or in alarm records, in the order of time.

    Columns: `start`, `end` (rows), `rows`, `alarms`, `start_time`, `end_time`, `seconds` (null without times), `worst`
    (score), `row` (of the worst), `channels` with `shares` (means over the alarms, the most responsible first),
    `nearest` (row of what was learned at which the window most like the worst ends), `cause`, `why`.
    """
    if not set(verdicts.columns) >= _WANTED:
        raise InputError(f"segments are found in verdicts of a series, got columns {', '.join(verdicts.columns)}")
    found = [
        _told(group) for _, group in verdicts.filter(pl.col("abnormal")).group_by("segment_start", maintain_order=True)
    ]
    return pl.DataFrame(found, schema=_SCHEMA).sort("start")


_SCHEMA: dict[str, Any] = {
    "start": pl.Int64,
    "end": pl.Int64,
    "rows": pl.Int64,
    "alarms": pl.Int64,
    "start_time": pl.Datetime("us", "UTC"),
    "end_time": pl.Datetime("us", "UTC"),
    "seconds": pl.Float64,
    "worst": pl.Float64,
    "row": pl.Int64,
    "channels": pl.List(pl.String),
    "shares": pl.List(pl.Float64),
    "nearest": pl.Int64,
    "cause": pl.String,
    "why": pl.String,
}


def _told(group: pl.DataFrame) -> dict[str, Any]:
    worst = group.row(int(np.argmax(group["score"].to_numpy())), named=True)
    last = group.row(len(group) - 1, named=True)
    seconds = last["segment_seconds"]
    end_time = last["time"]
    started = None if end_time is None or seconds is None else pl.Series([end_time]).dt.offset_by(_back(seconds))[0]
    shares: dict[str, float] = {}
    for names, own in zip(group["channels"].to_list(), group["shares"].to_list(), strict=True):
        for name, share in zip(names, own, strict=True):
            shares[name] = shares.get(name, 0.0) + share / len(group)
    ranked = sorted(shares.items(), key=lambda one: -one[1])
    return {
        "start": last["segment_start"],
        "end": last["row"],
        "rows": last["row"] - last["segment_start"] + 1,
        "alarms": len(group),
        "start_time": started,
        "end_time": end_time,
        "seconds": seconds,
        "worst": worst["score"],
        "row": worst["row"],
        "channels": [name for name, _ in ranked],
        "shares": [share for _, share in ranked],
        **{name: worst.get(name) for name in ("nearest", "cause", "why")},
    }


def _back(seconds: float) -> str:
    return f"-{round(seconds * 1e6)}us"

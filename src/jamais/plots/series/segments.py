"""From when to when was a series abnormal, how badly, and which channels are responsible?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jamais.types import NO_TIME

if TYPE_CHECKING:
    import polars as pl

GUILTY = 0.15
"""Share from which on a channel is marked in a picture as one that a segment comes from."""
JOIN = 5
"""Abnormal rows with fewer normal ones between them belong to one segment."""
MOST_SEGMENTS = 500
"""Segments held at once; beyond, the mildest are forgotten (their number is still told)."""


@dataclass
class Segment:
    """A stretch of abnormal rows, and what its worst row says."""

    first_row: int
    last_row: int
    first_time: int
    """Microseconds since 1970 UTC, NO_TIME without times."""
    last_time: int
    alarms: int
    score: float
    p_value: float
    p_extrapolated: bool
    why: str
    item: str
    cause: str
    worst_row: int
    worst_time: int
    blame: dict[str, float] = field(default_factory=dict)
    """Share of each channel that was named, weighted by the scores; the sum is at most 1 once it is closed."""

    @property
    def seconds(self) -> float | None:
        """From the first abnormal row to the last; None without times."""
        return None if NO_TIME in (self.first_time, self.last_time) else (self.last_time - self.first_time) / 1e6

    def responsible(self, least: float = 0.05) -> list[tuple[str, float]]:
        """Give the channels with their shares, the most responsible first."""
        ranked = sorted(self.blame.items(), key=lambda one: -one[1])
        return [one for one in ranked if one[1] >= least] or ranked[:1]


class Segments:
    """Folds abnormal rows of verdicts, frame by frame, into segments; holds the worst of them only.

    Rows with the same `segment_start` are one segment; where the verdicts do not say it, rows near one another.
    """

    def __init__(self, join: int = JOIN, most: int = MOST_SEGMENTS) -> None:
        self._join, self._most = join, most
        self.n_rows = 0
        self.n_alarms = 0
        self.n_segments = 0
        self.blame: dict[str, float] = {}
        """Sum over all segments of share x worst score, by channel: a long segment counts no more than a short one."""
        self._closed: list[Segment] = []
        self._open: Segment | None = None
        self._weight = 0.0
        self._start: int | None = None

    def add(self, frame: pl.DataFrame) -> None:
        """Take a frame of verdicts, in order of its rows."""
        import polars as pl

        self.n_rows += len(frame)
        for row in frame.filter(pl.col("abnormal")).iter_rows(named=True):
            self._take(row)

    def close(self) -> None:
        """End the segment that is open."""
        done, self._open = self._open, None
        if done is None:
            return
        weight, self._weight = self._weight, 0.0
        done.blame = {name: share / weight for name, share in done.blame.items()} if weight > 0 else {}
        for name, share in done.blame.items():
            self.blame[name] = self.blame.get(name, 0.0) + share * max(done.score, 0.0)
        self._closed.append(done)
        if len(self._closed) > 2 * self._most:
            self._closed = self._ranked()[: self._most]

    def in_order(self) -> list[Segment]:
        """Give the worst `most` segments in order of time."""
        self.close()
        return sorted(self._ranked()[: self._most], key=lambda one: one.first_row)

    def worst_first(self) -> list[Segment]:
        """Give the worst `most` segments, the most severe first."""
        self.close()
        return self._ranked()[: self._most]

    def _ranked(self) -> list[Segment]:
        return sorted(self._closed, key=lambda one: (-one.score, one.first_row))

    def _take(self, row: dict[str, Any]) -> None:
        self.n_alarms += 1
        at, time = int(row["row"]), _microseconds(row.get("time"))
        start = row.get("segment_start")
        if self._open is not None and (
            at - self._open.last_row > self._join if start is None else start != self._start
        ):
            self.close()
        self._start = start
        if self._open is None:
            self.n_segments += 1
            self._open = Segment(at, at, time, time, 0, -float("inf"), 1.0, False, "", "", "", at, time)
        here = self._open
        here.last_row, here.last_time, here.alarms = at, time, here.alarms + 1
        score = float(row["score"])
        if score > here.score:
            here.score, here.worst_row, here.worst_time = score, at, time
            here.p_value, here.p_extrapolated = float(row["p_value"]), bool(row.get("p_extrapolated", False))
            here.why, here.item, here.cause = (str(row.get(name) or "") for name in ("why", "item", "cause"))
        self._weight += max(score, 0.0)
        for name, share in _shares(row.get("channels") or (), row.get("shares")):
            here.blame[name] = here.blame.get(name, 0.0) + share * max(score, 0.0)


def _shares(names: Iterable[str], shares: Iterable[float] | None) -> list[tuple[str, float]]:
    """Pair channels with their shares; names alone count half, a quarter, …: the first is the most responsible."""
    names = list(names)
    given = list(shares) if shares is not None else []
    if len(given) != len(names):
        given = [0.5 ** (i + 1) for i in range(len(names))]
    return list(zip(names, given, strict=True))


def _microseconds(time: datetime | None) -> int:
    if time is None:
        return NO_TIME
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

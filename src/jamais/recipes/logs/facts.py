"""What is worth remembering of the data itself: how much, from when to when, in which format?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jamais.detectors.calibration import Calibration
from jamais.types import NO_TIME

DAY = 86_400e6


@dataclass(frozen=True)
class Facts:
    """Totals over all data that was learned; times in microseconds UTC."""

    records: int = 0
    rows: int = 0
    """Lines, sessions or windows, whichever are scored."""
    first_time: int = NO_TIME
    last_time: int = NO_TIME
    span: int = 0
    """Microseconds covered by the data, gaps between what was learned one after the other left out."""
    format: str = ""
    profile: dict[str, Any] = field(default_factory=dict)
    """How the first data was read; more of it is read alike."""
    counts: dict[str, int] = field(default_factory=dict)
    """What was survived while reading: undecodable bytes, blank lines, times going back, and so on."""

    def joined(self, other: Facts) -> Facts:
        """Give the totals over both."""
        known = [time for time in (self.first_time, other.first_time) if time != NO_TIME]
        counts = {key: self.counts.get(key, 0) + other.counts.get(key, 0) for key in {**self.counts, **other.counts}}
        return replace(
            self,
            records=self.records + other.records,
            rows=self.rows + other.rows,
            first_time=min(known, default=NO_TIME),
            last_time=max(self.last_time, other.last_time),
            span=self.span + other.span,
            format=self.format or other.format,
            profile=self.profile or other.profile,
            counts=counts,
        )

    def rows_per_day(self) -> float | None:
        """The pace of the data, None without times."""
        return self.rows * DAY / self.span if self.span > 0 else None

    def meaning_of_rate(self, rate: float, calibration: Calibration) -> str:
        """Say what an alarm rate means for a person who gets the alarms."""
        pace = self.rows_per_day()
        a_day = f"about {_said(rate * pace)} false alarms a day at the pace of this data; " if pace else ""
        finest = calibration.finest_rate
        beyond = "" if rate >= finest else ", below that p-values are extrapolated"
        return f"{a_day}{calibration.n_rows:,} calibration rows support rates down to {finest:.2g}{beyond}"

    def tree(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "rows": self.rows,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "span": self.span,
            "format": self.format,
            "profile": dict(self.profile),
            "counts": dict(self.counts),
        }


def _said(number: float) -> str:
    """Write a number as people do: 8,780, 44, 1.8, 0.0011."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"

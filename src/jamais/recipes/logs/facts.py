"""What is worth remembering of the data itself: how much, from when to when, in which format?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

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
            format=self.format or other.format,
            profile=self.profile or other.profile,
            counts=counts,
        )

    def rows_per_day(self) -> float | None:
        """The pace of the data, None without times."""
        if self.first_time == NO_TIME or self.last_time <= self.first_time:
            return None
        return self.rows * DAY / (self.last_time - self.first_time)

    def tree(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "rows": self.rows,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "format": self.format,
            "profile": dict(self.profile),
            "counts": dict(self.counts),
        }

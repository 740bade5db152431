"""What is worth remembering of the data itself: how much, from when to when, at which pace, with which channels?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jamais.detectors.calibration import Calibration
from jamais.types import NO_TIME

DAY = 86_400e6


@dataclass(frozen=True)
class Facts:
    """Totals over all data that was learned; times in microseconds UTC."""

    rows: int = 0
    channels: tuple[str, ...] = ()
    """Names of the columns of the fit data; later data is read by them."""
    format: str = ""
    first_time: int = NO_TIME
    last_time: int = NO_TIME
    span: int = 0
    """Microseconds covered by the data, what lies between updates left out."""
    step: int = 0
    """Median microseconds between rows; 0 without times."""
    empty: int = 0
    """Empty rows that were put in where stamps leave a gap."""
    missing: int = 0
    """Values that were missing in rows that came."""
    looked_normal: int = 0
    """Rows that nobody vouched for and that looked normal: counted, not remembered."""
    constant: tuple[str, ...] = ()
    """Channels that never changed in the fit data."""
    counts: dict[str, int] = field(default_factory=dict)

    def joined(self, other: Facts) -> Facts:
        """Give the totals over both."""
        known = [time for time in (self.first_time, other.first_time) if time != NO_TIME]
        return replace(
            self,
            rows=self.rows + other.rows,
            first_time=min(known, default=NO_TIME),
            last_time=max(self.last_time, other.last_time),
            span=self.span + other.span,
            empty=self.empty + other.empty,
            missing=self.missing + other.missing,
        )

    def rows_per_day(self) -> float | None:
        """The pace of the data, None without times."""
        return self.rows * DAY / self.span if self.span > 0 else None

    def meaning_of_rate(self, rate: float, calibration: Calibration) -> str:
        """Say what an alarm rate means for a person who gets the alarms."""
        pace = self.rows_per_day()
        often = f"about {_said(rate * pace)} rows of false alarm a day at the pace of this data; " if pace else ""
        often = often or f"about one row of false alarm in {1 / rate:,.0f}; "
        finest = calibration.finest_rate
        beyond = "" if rate >= finest else ", below that p-values are extrapolated"
        return f"{often}{calibration.n_rows:,} calibration rows support rates down to {finest:.2g}{beyond}"

    def tree(self) -> dict[str, Any]:
        lists = {"channels": list(self.channels), "constant": list(self.constant), "counts": dict(self.counts)}
        plain = ("rows", "format", "first_time", "last_time", "span", "step", "empty", "missing", "looked_normal")
        return {**{name: getattr(self, name) for name in plain}, **lists}

    @classmethod
    def of_tree(cls, tree: dict[str, Any]) -> Facts:
        return cls(**{**tree, **{name: tuple(tree[name]) for name in ("channels", "constant")}})


def _said(number: float) -> str:
    """Write a number as people do: 8,780, 44, 1.8, 0.0011."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"

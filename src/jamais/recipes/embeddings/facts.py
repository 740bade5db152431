"""What is worth remembering of the data itself: how much, how wide, what its columns and labels are called?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jamais.detectors.calibration import Calibration


@dataclass(frozen=True)
class Facts:
    """Totals over all data that was learned."""

    rows: int = 0
    width: int = 0
    format: str = ""
    columns: tuple[str, ...] = ()
    """Names of the columns of the fit data, where it was a table; later tables are read by them."""
    labels: tuple[str, ...] = ()
    """What the label column called cluster 0, 1, …; empty without labels."""
    counts: dict[str, int] = field(default_factory=dict)

    def joined(self, rows: int) -> Facts:
        """Give the totals with so many more rows."""
        return replace(self, rows=self.rows + rows)

    def meaning_of_rate(self, rate: float, calibration: Calibration) -> str:
        """Say what an alarm rate means for a person who gets the alarms."""
        finest = calibration.finest_rate
        beyond = "" if rate >= finest else ", below that p-values are extrapolated"
        often = f"about one false alarm in {1 / rate:,.0f} rows; "
        return f"{often}{calibration.n_rows:,} calibration rows support rates down to {finest:.2g}{beyond}"

    def tree(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "width": self.width,
            "format": self.format,
            "columns": list(self.columns),
            "labels": list(self.labels),
            "counts": dict(self.counts),
        }

    @classmethod
    def of_tree(cls, tree: dict[str, Any]) -> Facts:
        lists = {name: tuple(tree[name]) for name in ("columns", "labels")}
        return cls(**{**tree, **lists})

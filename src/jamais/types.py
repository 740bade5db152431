"""Which words do the rooms use to talk to one another?"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]

# What a state tree may hold: dicts with str keys, numpy arrays for numbers in bulk, and JSON values (str, int,
# float, bool, None, list) for the rest. Nothing else survives a save.
StateTree = dict[str, Any]

NO_TIME = np.iinfo(np.int64).min
"""The time of a record that carries none, in microseconds since 1970 UTC."""


@dataclass(frozen=True)
class Event:
    """One step of long work: `done` of `total` units (`total` 0 = unknown) in a named phase."""

    phase: str
    done: int
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Be the listener of somebody who does not listen."""


class MemoryRows(NamedTuple):
    """What a memory holds, row by row, to be drawn or listed: `recipe.map_rows()` gives it."""

    rows: Vectors
    """[n, width]; a row that is kept twice stands there twice."""
    labels: Ints
    """[n] cluster ids, -1 for none. Kinds without clusters say 0 for all that is normal."""
    kinds: tuple[str, ...]
    """[n] "normal", "abnormal" (confirmed) or "waiting" (in quarantine, or pending)."""
    texts: tuple[str, ...] = ()
    """[n] what a row says, for people; or empty."""


class CancelToken:
    """A flag that long work looks at between batches."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def cancel(self) -> None:
        self._flag.set()

    @property
    def cancelled(self) -> bool:
        return self._flag.is_set()


@dataclass(frozen=True)
class Check:
    """One limit of a guarded update: what was measured, and what would have been too much."""

    name: str
    value: float
    limit: float
    setting: str = ""
    """The setting of the guard that is the limit; empty for a capacity."""

    @property
    def passed(self) -> bool:
        """Say whether the figure is within the limit; one that is no number never is."""
        return self.value <= self.limit


@dataclass(frozen=True)
class LearnReport:
    """What an update did, or would have done; prints as a table."""

    accepted: bool
    records: int
    counts: Mapping[str, int]
    checks: tuple[Check, ...] = ()
    events: tuple[str, ...] = ()
    """What happened to what is known, a line each: clusters born, drift and what changed. `history` keeps them, save
    details, which begin with a blank."""

    def __str__(self) -> str:
        width = max([44, *map(len, self.counts), *(len(check.name) for check in self.checks)]) + 2
        lines = [f"{'accepted' if self.accepted else 'refused'}: {self.records:,} records"]
        lines += [f"  {name:<{width}}{value:>10,}" for name, value in self.counts.items()]
        if self.checks:
            lines.append(f"  {'limits':<{width}}{'measured':>10}{'at most':>10}")
        lines += [
            f"  {check.name:<{width}}{_figure(check.value):>10}{_figure(check.limit):>10}  {_judged(check)}"
            for check in self.checks
        ]
        lines += [f"  {event}" for event in self.events]
        return "\n".join(lines)

    @property
    def figures(self) -> dict[str, float]:
        """Give what was measured against the settings of the guard, by setting; the worst where there are several."""
        worst: dict[str, float] = {}
        for check in self.checks:
            if check.setting:
                worst[check.setting] = max(check.value, worst.get(check.setting, check.value))
        return worst

    @property
    def limits_needed(self) -> dict[str, float]:
        """Give the limits, by setting, with which a refused update would pass; none where no limit would help."""
        broken = [check for check in self.checks if not check.passed]
        if not all(check.setting and math.isfinite(check.value) for check in broken):
            return {}
        return {check.setting: _rounded_up(self.figures[check.setting]) for check in broken}


def _figure(value: float) -> str:
    """Write 0.002183, 0.95, 300 and 10,000 as people do."""
    return f"{value:,.0f}" if math.isfinite(value) and abs(value) >= 1000 else f"{value:.4g}"


def _judged(check: Check) -> str:
    return "ok" if check.passed else "BROKEN"


def _rounded_up(value: float) -> float:
    """Give two digits that are no less than a value above 0."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.3g}")


@dataclass(frozen=True)
class DriftReport:
    """Whether normal has moved since the calibration, and what is new; prints as text."""

    drifted: bool
    rows: int
    exceedances: int
    """Rows at or beyond the tested quantile of the calibration."""
    expected: float
    """As many as chance alone would bring."""
    since: int | None = None
    """The row from which on there are too many; None without drift."""
    changes: tuple[str, ...] = ()
    """What changed, a line each, most first: new templates, shifted channels, grown clusters."""
    noticed: int | None = None
    """The row with which the drift was noticed."""
    exceedances_noticed: int = 0
    """Those among the rows from `since` to `noticed`."""

    def __str__(self) -> str:
        if self.since is None or self.noticed is None:
            return (
                f"no drift: {self.exceedances:,} of {self.rows:,} rows are far out, {self.expected:,.0f} were to be "
                "expected"
            )
        rows = self.noticed - self.since + 1
        usual = rows * self.expected / self.rows
        moved = (
            f"normal has moved since row {self.since:,}: {self.exceedances_noticed:,} of {rows:,} rows from there are "
            f"far out, {f'{usual:.1f}' if usual < 10 else f'{usual:,.0f}'} were to be expected (in all "
            f"{self.exceedances:,} of {self.rows:,})"
        )
        return "\n".join([moved, *(f"  {line}" for line in self.changes)])

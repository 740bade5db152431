"""Has normal moved? Are there more rows beyond a quantile of the calibration than chance brings?

A row exceeds when its p-value is at most 1 - quantile. While normal is what it was, that happens to at most `rate` of
the rows whatever came before, so that the likelihood ratio of a row under "it happens to a share q > rate" has an
expectation of at most 1. Sums of their products over all possible beginnings of a change (Shiryaev, Roberts), mixed
over several q, are an e-detector: it reaches B only once in B rows on average, at whatever row one looks (Shin, Ramdas
and Rinaldo 2022, "E-detectors: a nonparametric framework for sequential change detection", definition 2.2 and
proposition 2.4). The row since when is where the likeliest q began to gain (Page 1954).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, StateError
from jamais.settings import as_tree, override
from jamais.types import DriftReport, Floats, StateTree

if TYPE_CHECKING:
    import polars as pl

ODDS = (1.5, 3.0, 7.0, 20.0)
"""Times the odds of an exceedance after a change: from one hardly worth a word to nearly all rows."""
UNSURE = 0.01
"""Chance that the calibration rows were so tame that the rate allowed for is too low."""
ENOUGH = 10_000
"""Calibration rows beyond which nothing is gained by counting them."""
LONG = 256
"""Rows between two exceedances up to which what they leave is looked up."""


@dataclass(frozen=True)
class DriftSettings:
    """When it is said that normal has moved."""

    quantile: float = 0.95
    """Quantile of the calibration beyond which a row is far out. 0.95: known well from a few hundred rows, and a
    change that shows in one row of five is noticed within some fifty."""
    rows_between_false_alarms: int = 10_000
    """Rows in which chance alone says so once, on average, at most; what is allowed for a calibration of few rows makes
    it ten times as many. Each factor of ten delays by some twenty rows where one row in five is new."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.quantile < 1:
            raise ValueError("the quantile is a share from 0.5 to below 1, for example 0.95")
        if self.rows_between_false_alarms < 100:
            raise ValueError("rows between false alarms are 100 or more, for example 10000")


class Follower(Protocol):
    """Follows the verdicts of one pass, frame by frame."""

    def push(self, frame: pl.DataFrame) -> None: ...

    def report(self) -> DriftReport: ...


def whole_pass(follower: Follower, verdicts: pl.DataFrame, wanted: set[str]) -> DriftReport:
    """Let a new follower see all verdicts of one `score`, in order.

    Raises InputError where columns of `wanted` are missing, or rows, such as the normal ones.
    """
    if not set(verdicts.columns) >= wanted:
        raise InputError(f"drift wants the verdicts of score, got the columns {', '.join(verdicts.columns)}")
    ordered = verdicts if verdicts["row"].is_sorted() else verdicts.sort("row")
    rows = ordered["row"]
    if len(rows) and int(rows[-1]) - int(rows[0]) + 1 != len(rows):
        raise InputError(
            f"drift wants all rows of score, got {len(rows):,} of {int(rows[-1]) - int(rows[0]) + 1:,}: the share of "
            "those that are far out would mean nothing"
        )
    follower.push(ordered)
    return follower.report()


class ExceedanceTest:
    """Counts exceedances of a stream of p-values, in the order of time, and says since when there are too many.

    `calibration_rows` are the rows behind the p-values: of 100 of them the quantile is known only roughly, and as
    many exceedances are allowed for as one calibration in a hundred brings. None: p-values are taken as exact. Rows
    that come in bursts make more false alarms than `rows_between_false_alarms` says. `usual` is the share of normal
    rows that exceed, where it is known to be more than 1 - quantile: scores that nearly tie do that.
    """

    def __init__(
        self, settings: DriftSettings | None = None, calibration_rows: int | None = None, usual: float = 0.0
    ) -> None:
        self._set(settings or DriftSettings(), calibration_rows, usual)
        self.reset()

    def _set(self, settings: DriftSettings, calibration_rows: int | None, usual: float) -> None:
        self.settings = settings
        self.calibration_rows = calibration_rows
        self.usual = max(usual, 1.0 - settings.quantile)
        self.level = 1.0 - settings.quantile
        self.rate = allowed_rate(self.usual, calibration_rows)
        shares = [times * self.rate / (1 - self.rate + times * self.rate) for times in ODDS]
        shrinks = [(1 - share) / (1 - self.rate) for share in shares]
        self._gains = [(share / self.rate, math.log(share / self.rate)) for share in shares]
        self._quiets = [[_quiet(shrink, rows) for rows in range(LONG)] for shrink in shrinks]
        self._shrinks = shrinks

    def reset(self) -> None:
        """Begin anew, as after normal was learned again."""
        self.rows = 0
        self.exceedances = 0
        self.noticed: int | None = None
        """The row with which the drift was noticed."""
        self.since: int | None = None
        self._quiet = 0
        self._sums = [0.0] * len(ODDS)
        self._best = [0.0] * len(ODDS)
        self._begins = [0] * len(ODDS)
        self._counts = [0] * len(ODDS)
        self._exceedances_noticed = 0

    @property
    def drifted(self) -> bool:
        return self.noticed is not None

    def push(self, p_values: ArrayLike) -> bool:
        """Take the next p-values [n]; say whether normal has moved by now. Pieces give what the whole gives.

        Raises InputError, and takes none, for values that are no p-values.
        """
        values = _p_values(p_values)
        at = np.flatnonzero(values <= self.level)
        row = self.rows - 1 - self._quiet  # of the last exceedance
        for place in (at + self.rows).tolist():
            if self.drifted:
                break
            self._exceeded(place, place - row - 1)
            row = place
        self.rows += len(values)
        self.exceedances += len(at)
        last = self.rows - len(values) + int(at[-1]) if len(at) else row
        self._quiet = self.rows - 1 - last
        return self.drifted

    def _exceeded(self, row: int, quiet: int) -> None:
        """Take `quiet` rows that did not exceed, and then one that did: `row`."""
        for i, (gain, log_gain) in enumerate(self._gains):
            left, begun, lost = self._quiets[i][quiet] if quiet < LONG else _quiet(self._shrinks[i], quiet)
            self._sums[i] = gain * (left * self._sums[i] + begun + 1.0)
            before = self._best[i] + lost
            if before <= 0.0:
                before, self._begins[i], self._counts[i] = 0.0, row, 0
            self._counts[i] += 1
            self._best[i] = before + log_gain
        if sum(self._sums) / len(self._sums) >= self.settings.rows_between_false_alarms:
            self.noticed = row
            likeliest = int(np.argmax(self._best))
            self.since, self._exceedances_noticed = self._begins[likeliest], self._counts[likeliest]

    def report(self, changes: Sequence[str] = ()) -> DriftReport:
        """Say what was found, with what changed as the caller knows it."""
        expected = self.rows * self.usual
        told = tuple(changes) if self.drifted else ()
        found = (self.since, told, self.noticed, self._exceedances_noticed)
        return DriftReport(self.drifted, self.rows, self.exceedances, expected, *found)

    def state_dict(self) -> StateTree:
        """Give, as JSON values, all that is needed to go on exactly."""
        return {
            "settings": as_tree(self.settings),
            "calibration_rows": self.calibration_rows,
            "usual": self.usual,
            "rows": self.rows,
            "exceedances": self.exceedances,
            "noticed": self.noticed,
            "since": self.since,
            "quiet": self._quiet,
            "sums": list(self._sums),
            "best": list(self._best),
            "begins": list(self._begins),
            "counts": list(self._counts),
            "exceedances_noticed": self._exceedances_noticed,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Go on where another test stopped, with its settings."""
        if not all(len(tree[name]) == len(ODDS) for name in ("sums", "best", "begins", "counts")):
            raise StateError(f"a drift test follows {len(ODDS)} alternatives, saved are {len(tree['sums'])}")
        self._set(override(DriftSettings(), tree["settings"]), _maybe(tree["calibration_rows"]), float(tree["usual"]))
        self.rows, self.exceedances, self._quiet = int(tree["rows"]), int(tree["exceedances"]), int(tree["quiet"])
        self.noticed, self.since = _maybe(tree["noticed"]), _maybe(tree["since"])
        self._sums, self._best = [float(one) for one in tree["sums"]], [float(one) for one in tree["best"]]
        self._begins, self._counts = [int(one) for one in tree["begins"]], [int(one) for one in tree["counts"]]
        self._exceedances_noticed = int(tree["exceedances_noticed"])


def _quiet(shrink: float, rows: int) -> tuple[float, float, float]:
    """Give what `rows` that did not exceed leave of a sum, what those that begin with them add, and the nats lost."""
    left = shrink**rows
    return left, shrink * (1.0 - left) / (1.0 - shrink), rows * math.log(shrink)


def allowed_rate(level: float, calibration_rows: int | None) -> float:
    """Give the rate that all but one calibration in a hundred stay below where `level` is exceeded on average.

    The share of future rows beyond the k-th highest of n exchangeable ones is Beta(k, n + 1 - k).
    """
    if calibration_rows is None:
        return level
    n = min(max(int(calibration_rows), 1), ENOUGH)
    k = max(1, math.floor(level * (n + 1)))
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _fewer_than(k, n, middle) > UNSURE else (low, middle)
    return min(max(level, high), 0.9)


def _fewer_than(k: int, n: int, share: float) -> float:
    """Give P(Binomial(n, share) < k)."""
    ways = [math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) for j in range(k)]
    j = np.arange(k)
    return float(np.exp(np.array(ways) + j * math.log(share) + (n - j) * math.log1p(-share)).sum())


def _p_values(given: ArrayLike) -> Floats:
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 1 or not bool(((values >= 0) & (values <= 1)).all()):
        raise InputError("a drift test takes one p-value from 0 to 1 per row: score the rows first")
    return values


def _maybe(value: Any) -> int | None:
    return None if value is None else int(value)

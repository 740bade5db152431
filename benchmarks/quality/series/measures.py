"""How good is a score, and are the channels that it blames the right ones?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.series.sets import Cause, Series
from jamais.evaluation import average_precision
from jamais.evaluation.series import vus

Floats = NDArray[np.float64]
ROWS_PER_STRETCH = 32  # of those that are blamed, the highest scores


@dataclass(frozen=True)
class Hits:
    """Stretches with known causes, how many of them had an alarm, and HitRate over those that had."""

    segments: int
    found: int
    at_100: float
    at_150: float


def figures(series: Series, scores: Floats) -> dict[str, float]:
    """Return VUS-PR, AP and VUS-ROC of scores [m]."""
    both = vus(series.labels, scores, series.window)
    return {"vus_pr": both.pr, "ap": average_precision(series.labels, scores), "vus_roc": both.roc}


def hits(
    causes: tuple[Cause, ...],
    scores: Floats,
    alarms: NDArray[np.bool_],
    shares: Callable[[NDArray[np.int64]], Floats],
) -> Hits:
    """Judge `shares` (rows [k] -> [k, C]) on each stretch that had an alarm, by the mean over its highest rows."""
    found = [cause for cause in causes if alarms[cause.first : cause.after].any()]
    rates: list[tuple[float, float]] = []
    for cause in found:
        rows = np.arange(cause.first, cause.after)
        rows = np.sort(rows[np.argsort(-scores[rows], kind="stable")[:ROWS_PER_STRETCH]])
        blamed = shares(rows).mean(axis=0)
        rates.append((hit_rate(blamed, cause.channels, 1.0), hit_rate(blamed, cause.channels, 1.5)))
    at_100, at_150 = np.mean(rates, axis=0) if rates else (np.nan, np.nan)
    return Hits(len(causes), len(found), float(at_100), float(at_150))


def hit_rate(shares: Floats, channels: tuple[int, ...], breadth: float) -> float:
    """Return the part of the true channels among the floor(breadth * their number) most blamed (OmniAnomaly, 2019)."""
    true = set(channels)
    top = np.argsort(-shares, kind="stable")[: int(breadth * len(true))]
    return len(true.intersection(top.tolist())) / len(true)

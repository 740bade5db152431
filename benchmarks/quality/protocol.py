"""How is every method, ours included, turned into the same figures?

A baseline gets its threshold as jamais does, from the last part of its own fit data in time: a model of the
earlier part scores the last part (calibration), then a model of all of it scores the test. Labels of the test
are used for the figures only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.baselines import Baseline
from benchmarks.quality.datasets import Split
from jamais.evaluation import (
    AlarmQuality,
    Difference,
    alarm_quality,
    auroc,
    average_precision,
    best_f1,
    bootstrap_difference,
)

CALIBRATION_SHARE = 0.3
RATES = (0.001, 0.01)
RESAMPLES = 1000

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Run:
    """The scores of one method on one split and its alarms at each rate."""

    method: str
    ours: bool
    scores: Floats
    alarms: dict[float, Bools]
    n_calibration: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """The figures of one run on one view of the test."""

    run: Run
    view: str
    n_fit: int
    n_test: int
    n_abnormal: int
    average_precision: float
    auroc: float
    best_f1: float
    quality: dict[float, AlarmQuality]
    against: str = ""
    difference: Difference | None = None


def run_baseline(name: str, make: Callable[[], Baseline], split: Split) -> Run:
    """Calibrate on the last part of the fit data, fit on all of it, score the test."""
    begin = time.perf_counter()
    earlier = int(len(split.fit) * (1 - CALIBRATION_SHARE))
    held_back = make()
    held_back.fit(split.fit[:earlier])
    calibration = held_back.score(split.fit[earlier:])
    model = make()
    model.fit(split.fit)
    scores = model.score(split.test)
    return Run(
        method=name,
        ours=False,
        scores=scores,
        alarms={rate: alarms_at(rate, scores, calibration) for rate in RATES},
        n_calibration=len(calibration),
        seconds=time.perf_counter() - begin,
    )


def alarms_at(rate: float, scores: Floats, calibration: Floats) -> Bools:
    """Raise an alarm where the conformal p-value is at most `rate`: [n], [m] -> [n].

    m calibration scores cannot give a p-value below 1 / (m + 1); a smaller rate means "above all of them".
    """
    ranked = np.sort(calibration)
    if rate * (len(ranked) + 1) < 1:
        return np.asarray(scores > ranked[-1])
    return conformal(scores, ranked) <= rate


def conformal(scores: Floats, ranked: Floats) -> Floats:
    """(1 + calibration scores at or above) / (m + 1), `ranked` rising: [n], [m] -> [n]."""
    above = len(ranked) - np.searchsorted(ranked, scores, side="left")
    return np.asarray((1 + above) / (len(ranked) + 1))


def judge(runs: list[Run], split: Split, *, seed: int) -> list[Row]:
    """Compute the figures of each view; ours are compared with the best baseline of that view."""
    rows = []
    for view, chosen in split.views.items():
        judged = [_row(run, split, view, chosen) for run in runs]
        baselines = [row for row in judged if not row.run.ours]
        best = max(baselines, key=lambda row: row.average_precision, default=None)
        rows += [_compared(row, best, split.labels[chosen], chosen, seed) for row in judged]
    return rows


def _row(run: Run, split: Split, view: str, chosen: Bools) -> Row:
    labels, scores = split.labels[chosen], run.scores[chosen]
    return Row(
        run=run,
        view=view,
        n_fit=len(split.fit),
        n_test=len(labels),
        n_abnormal=int(labels.sum()),
        average_precision=average_precision(labels, scores),
        auroc=auroc(labels, scores),
        best_f1=best_f1(labels, scores).f1,
        quality={rate: alarm_quality(labels, alarms[chosen]) for rate, alarms in run.alarms.items()},
    )


def _compared(row: Row, best: Row | None, labels: NDArray[np.int64], chosen: Bools, seed: int) -> Row:
    if not row.run.ours or best is None:
        return row
    pair = row.run.scores[chosen], best.run.scores[chosen]
    difference = bootstrap_difference(labels, *pair, seed=seed, resamples=RESAMPLES)
    return Row(**{**vars(row), "against": best.run.method, "difference": difference})

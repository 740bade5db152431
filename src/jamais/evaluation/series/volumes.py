"""How well does a score find abnormal stretches, when a near miss counts a little? Volumes under the surface (VUS).

Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection",
VLDB 2022. The numbers are those of `generate_curve(..., version="opt")` in TSB-AD 1.5 (Apache-2.0, TheDatumOrg), the
benchmark that most published figures come from; the way there is another: counts per distance instead of a pass over
all rows per window and threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError
from jamais.evaluation.series.given import checked_labels, checked_scores
from jamais.evaluation.series.segments import segments
from jamais.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Volumes:
    """Mean area over all windows 0..window under the ROC curve and under the precision-recall curve."""

    roc: float
    pr: float


def vus(labels: ArrayLike, score: ArrayLike, window: int, thresholds: int = 250) -> Volumes:
    """Return VUS-ROC and VUS-PR: [n] of 0/1, [n] (higher = less normal), rows of grace, -> Volumes.

    For each width w = 0..window the labels are widened by w // 2 rows to both sides, falling off with
    sqrt(1 - distance / w), and a curve is drawn from `thresholds` scores that are evenly spaced in rank.
    `window` is usually `find_period` of the series: larger ones raise the figures, so compare only equal ones.
    Raises InputError without abnormal or without normal rows, or on a score that is not a number.
    """
    truth = checked_labels(labels, "VUS")
    values = checked_scores(score, len(truth))
    if window < 0 or thresholds < 2:
        raise InputError(f"VUS needs a window >= 0 and two thresholds or more, got {window} and {thresholds}")
    cuts = -np.sort(-values)[np.linspace(0, len(values) - 1, thresholds).astype(int)]
    # the first of the falling thresholds that a row passes; all thresholds from there on are passed too
    first: Ints = np.searchsorted(-cuts, -values, side="left").astype(np.int64)
    surface = _Surface(truth, first, thresholds, window // 2)
    curves = [surface.areas(width) for width in range(window + 1)]
    roc, pr = (sum(area) / len(curves) for area in zip(*curves, strict=True))
    return Volumes(roc=float(roc), pr=float(pr))


def vus_pr(labels: ArrayLike, score: ArrayLike, window: int, thresholds: int = 250) -> float:
    """Return VUS-PR, the headline figure for series: see `vus`."""
    return vus(labels, score, window, thresholds).pr


def vus_roc(labels: ArrayLike, score: ArrayLike, window: int, thresholds: int = 250) -> float:
    """Return VUS-ROC: see `vus`."""
    return vus(labels, score, window, thresholds).roc


class _Surface:
    """Counts from which the curve of every width follows; widths are asked for in rising order."""

    def __init__(self, truth: Bools, first: Ints, thresholds: int, reach: int) -> None:
        spans = segments(truth)
        self._starts, self._ends = spans[:, 0], spans[:, 1] - 1
        self._n, self._n_abnormal, self._k = len(truth), int(truth.sum()), thresholds
        self._passed: Ints = np.append(first, thresholds)  # one more, that no threshold lets pass: beside the series
        self._alarms = np.cumsum(np.bincount(first, minlength=thresholds)).astype(np.float64)
        self._found = np.cumsum(np.bincount(first[truth], minlength=thresholds)).astype(np.float64)
        rows = np.flatnonzero(~truth)
        nearest, second = _distances(rows, self._starts, self._ends)
        near = nearest <= reach
        self._nearest, self._second, self._bin = nearest[near], np.minimum(second[near], reach + 1), first[rows[near]]
        # rows by the distance of the nearest segment and the first threshold that they pass
        self._single = np.zeros((reach + 1, thresholds))
        np.add.at(self._single, (self._nearest, self._bin), 1)
        self._double = np.zeros(thresholds)
        self._by_second = np.argsort(self._second, kind="stable")
        self._second_ends = np.searchsorted(self._second[self._by_second], np.arange(reach + 2), side="right")
        self._half = 0
        self._best: Ints = np.minimum.reduceat(self._passed, spans.ravel())[::2]
        self._existence = self._share_found()

    def areas(self, width: int) -> tuple[float, float]:
        """Return the areas under the ROC and the precision-recall curve for one width."""
        if width // 2 > self._half:
            self._widen()
        half = self._half
        weights = np.sqrt(1 - np.arange(1, half + 1) / max(width, 1))
        # a weight is at least sqrt(1/2), so that two segments in reach make a full one: labels are cut at 1
        grace = np.cumsum(weights @ self._single[1 : half + 1] + self._double)
        hits = self._found + grace
        positives = self._n_abnormal + grace / 2
        recall = np.minimum(hits / positives, 1) * self._existence
        false_rate = (self._alarms - hits) / (self._n - positives)
        precision = hits / self._alarms
        steps = np.diff(recall, prepend=0)
        x, y = (np.concatenate(([0.0], curve, [1.0])) for curve in (false_rate, recall))
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)), float(np.sum(steps * precision))

    def _widen(self) -> None:
        """Take one more row to both sides of every segment."""
        self._half += 1
        moved = self._by_second[self._second_ends[self._half - 1] : self._second_ends[self._half]]
        np.subtract.at(self._single, (self._nearest[moved], self._bin[moved]), 1)
        self._double += np.bincount(self._bin[moved], minlength=self._k)
        left = np.maximum(self._starts - self._half, -1)  # -1 is the row beside the series
        right = np.minimum(self._ends + self._half, self._n)
        self._best = np.minimum(self._best, np.minimum(self._passed[left], self._passed[right]))
        self._existence = self._share_found()

    def _share_found(self) -> Floats:
        """Give the share of the widened segments that hold an alarm; those that touch are one: -> [thresholds]."""
        apart = self._ends[:-1] + self._half < self._starts[1:] - self._half
        groups = np.minimum.reduceat(self._best, np.flatnonzero(np.concatenate(([True], apart))))
        share: Floats = np.cumsum(np.bincount(groups, minlength=self._k)) / len(groups)
        return share


def _distances(rows: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Return how far the nearest and the second nearest segment are: normal rows [m] -> [m], [m]."""
    far = np.iinfo(np.int64).max // 4
    before = np.concatenate(([-far, -far], ends))  # the last two that ended
    after = np.concatenate((starts, [far, far]))
    place = np.searchsorted(starts, rows, side="right")  # segments that began before the row have ended, too
    gaps = np.stack([rows - before[place + 1], rows - before[place], after[place] - rows, after[place + 1] - rows])
    ordered: Ints = np.sort(gaps, axis=0)
    return ordered[0], ordered[1]

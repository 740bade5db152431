"""What does point adjustment make of alarms, and what does it make of random ones?

Point adjustment calls every row of a stretch found when one of its rows is alarmed. Kim et al., "Towards a Rigorous
Evaluation of Time-Series Anomaly Detection", AAAI 2022, show that random scores win by it: no function here gives an
adjusted figure without that of random alarms beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError
from jamais.evaluation.series.alarms import hits_in
from jamais.evaluation.series.given import checked_alarms, checked_labels
from jamais.evaluation.series.segments import segments
from jamais.types import Bools, Floats, Ints


@dataclass(frozen=True)
class PointAdjusted:
    """F1 after point adjustment, and that of alarms in as many rows drawn at random; the first means nothing alone."""

    f1: float
    random: float
    """Mean over the repeats."""
    random_range: tuple[float, float]
    """Least and most over the repeats."""

    def __str__(self) -> str:
        low, high = self.random_range
        return f"PA-F1 {self.f1:.3f}, of random alarms at the same rate {self.random:.3f} ({low:.3f} to {high:.3f})"


@dataclass(frozen=True)
class PercentAdjusted:
    """F1 where stretches count as found whole once more than K % of their rows are alarmed, for K = 0, 1, ... 100.

    K = 0 is point adjustment, K = 100 no adjustment at all.
    """

    f1: Floats
    """[101] by K."""
    random: Floats
    """[101] the mean over repeats with alarms in as many rows drawn at random."""

    @property
    def area(self) -> float:
        """Give the area under the curve, in [0, 1]."""
        return _area(self.f1)

    @property
    def random_area(self) -> float:
        """Give the area under the curve of random alarms."""
        return _area(self.random)


def point_adjusted(labels: ArrayLike, alarms: ArrayLike, *, repeats: int = 10, seed: int = 0) -> PointAdjusted:
    """Return PA-F1 and its random baseline: [n] of 0/1, [n] of 0/1 -> PointAdjusted.

    The baseline alarms on as many rows, drawn uniformly, `repeats` times. TSB-AD's PA-F1 at fixed predictions, save
    that TSB-AD 1.5 never adjusts row 0. Raises InputError without abnormal or without normal rows.
    """
    curve, drawn = _curves(labels, alarms, repeats, seed)
    chance = drawn[:, 0]
    return PointAdjusted(
        f1=float(curve[0]), random=float(chance.mean()), random_range=(float(chance.min()), float(chance.max()))
    )


def percent_adjusted(labels: ArrayLike, alarms: ArrayLike, *, repeats: int = 10, seed: int = 0) -> PercentAdjusted:
    """Return the PA%K curve of Kim et al. and that of random alarms: [n] of 0/1, [n] of 0/1 -> PercentAdjusted.

    Raises InputError without abnormal or without normal rows.
    """
    curve, drawn = _curves(labels, alarms, repeats, seed)
    return PercentAdjusted(f1=curve, random=drawn.mean(axis=0))


def _curves(labels: ArrayLike, alarms: ArrayLike, repeats: int, seed: int) -> tuple[Floats, Floats]:
    """Return the curve of the alarms and those of random ones: -> [101], [repeats, 101]."""
    truth = checked_labels(labels, "point adjustment")
    raised = checked_alarms(alarms, len(truth))
    if repeats < 1:
        raise InputError(f"a random baseline needs one repeat or more, got {repeats}")
    spans, n_alarms = segments(truth), int(raised.sum())
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(repeats):
        noise: Bools = np.zeros(len(truth), dtype=np.bool_)
        noise[generator.choice(len(truth), n_alarms, replace=False)] = True
        drawn.append(_curve(spans, noise))
    return _curve(spans, raised), np.stack(drawn)


def _curve(spans: Ints, alarms: Bools) -> Floats:
    lengths, hits = spans[:, 1] - spans[:, 0], hits_in(spans, alarms)
    whole = hits * 100 > np.arange(101)[:, None] * lengths  # in whole numbers: more than K %
    found = np.where(whole, lengths, hits).sum(axis=1)
    false_alarms = int(alarms.sum() - hits.sum())
    f1: Floats = 2 * found / (found + false_alarms + lengths.sum())
    return f1


def _area(curve: Floats) -> float:
    return float(np.trapezoid(curve) / (len(curve) - 1))

"""How well do scores put the abnormal items above the normal ones, and how good are the alarms?

Labels are 0 (normal) or 1 (abnormal), scores are floats where higher means less normal. Equal scores cannot
be told apart, so they are treated as one step: no figure here depends on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Bools, Floats, Ints


@dataclass(frozen=True)
class AlarmQuality:
    """What a person who gets these alarms sees; precision is 0 where there is no alarm."""

    f1: float
    precision: float
    recall: float
    alarms: int
    alarms_per_thousand: float


@dataclass(frozen=True)
class BestF1:
    """The F1 of the best threshold *for these labels*: an upper bound that nobody can choose beforehand."""

    f1: float
    threshold: float


@dataclass(frozen=True)
class Difference:
    """First minus second, with a percentile interval over resampled items."""

    value: float
    low: float
    high: float
    resamples: int


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Sum precision over the steps of recall, from the highest score down: [n], [n] -> one number in (0, 1].

    Raises InputError when no label is 1, and on labels other than 0 and 1 or scores that are not numbers.
    """
    truth, values = _checked(labels, scores)
    _needs(truth, abnormal=True, normal=False, figure="average precision")
    steps = _Steps(values)
    return float(_average_precisions(steps, truth, np.ones((1, len(truth))))[0])


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the chance that an abnormal item outscores a normal one, ties counting half: [n], [n] -> number.

    Raises InputError when one of the two labels is missing.
    """
    truth, values = _checked(labels, scores)
    _needs(truth, abnormal=True, normal=True, figure="AUROC")
    hits, misses = _Steps(values).totals(truth)
    above = np.concatenate(([0.0], np.cumsum(hits)[:-1]))
    return float(np.sum(misses * (above + 0.5 * hits)) / (hits.sum() * misses.sum()))


def best_f1(labels: ArrayLike, scores: ArrayLike) -> BestF1:
    """Choose the threshold that suits these labels best and return its F1, an upper bound: [n], [n].

    Raises InputError when no label is 1.
    """
    truth, values = _checked(labels, scores)
    _needs(truth, abnormal=True, normal=False, figure="best F1")
    steps = _Steps(values)
    hits, misses = (np.cumsum(total) for total in steps.totals(truth))
    f1 = 2 * hits / (hits + misses + truth.sum())
    best = int(np.argmax(f1))
    return BestF1(f1=float(f1[best]), threshold=float(values[steps.order[steps.starts[best]]]))


def at_threshold(labels: ArrayLike, scores: ArrayLike, threshold: float) -> AlarmQuality:
    """Judge the alarms of all items that score `threshold` or more: [n], [n] -> AlarmQuality."""
    truth, values = _checked(labels, scores)
    return alarm_quality(truth, values >= threshold)


def alarm_quality(labels: ArrayLike, alarms: ArrayLike) -> AlarmQuality:
    """Judge alarms that were raised elsewhere: [n] of 0/1, [n] of bool -> AlarmQuality.

    Recall is not a number when no label is 1; F1 is then 0.
    """
    raised = np.asarray(alarms)
    if raised.dtype != np.bool_:
        raise InputError(f"alarms must be true or false, got {raised.dtype}: compare scores with a threshold")
    truth, _ = _checked(labels, raised)
    n_alarms, n_abnormal = int(raised.sum()), int(truth.sum())
    found = int((raised & (truth == 1)).sum())
    return AlarmQuality(
        f1=2 * found / max(n_alarms + n_abnormal, 1),
        precision=found / max(n_alarms, 1),
        recall=found / n_abnormal if n_abnormal else float("nan"),
        alarms=n_alarms,
        alarms_per_thousand=1000 * n_alarms / len(truth),
    )


def bootstrap_difference(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int,
    resamples: int = 1000,
    coverage: float = 0.95,
) -> Difference:
    """Compare the average precision of two scores of the same items: [n], [n], [n] -> Difference.

    Items are drawn with replacement, both scores keep their items (paired). A draw without any abnormal item
    has no average precision and is left out; `resamples` of the result counts those that remain.
    """
    truth, values = _checked(labels, first)
    _, others = _checked(labels, second)
    _needs(truth, abnormal=True, normal=False, figure="a difference of average precisions")
    if resamples < 1 or not 0 < coverage < 1:
        raise InputError(f"resamples must be >= 1 and coverage in (0, 1), got {resamples} and {coverage}")
    steps = _Steps(values), _Steps(others)
    generator = np.random.default_rng(seed)
    n, drawn = len(truth), []
    for start in range(0, resamples, _CHUNK):
        picks = (generator.integers(0, n, n) for _ in range(min(_CHUNK, resamples - start)))
        weights = np.stack([np.bincount(pick, minlength=n) for pick in picks]).astype(np.float64)
        weights = weights[weights @ truth > 0]
        ours, theirs = (_average_precisions(step, truth, weights) for step in steps)
        drawn.append(ours - theirs)
    differences = np.concatenate(drawn)
    if not len(differences):
        raise InputError(f"none of {resamples} resamples held an abnormal item: too few labels")
    low, high = np.quantile(differences, [(1 - coverage) / 2, (1 + coverage) / 2])
    value = average_precision(truth, values) - average_precision(truth, others)
    return Difference(value=value, low=float(low), high=float(high), resamples=len(differences))


_CHUNK = 16  # resamples held at once: bounds the work space to 16 rows of n weights


class _Steps:
    """The items in falling order of score, cut where the score changes."""

    def __init__(self, scores: Floats) -> None:
        self.order: Ints = np.argsort(-scores, kind="stable").astype(np.int64)
        ranked = scores[self.order]
        changes = np.concatenate(([True], ranked[1:] != ranked[:-1]))
        self.starts: Ints = np.flatnonzero(changes).astype(np.int64)

    def totals(self, truth: Ints) -> tuple[Floats, Floats]:
        """Count abnormal and normal items per step: [n] -> [steps], [steps]."""
        hits = np.add.reduceat(truth[self.order].astype(np.float64), self.starts)
        sizes = np.diff(np.append(self.starts, len(truth)))
        return hits, sizes - hits


def _average_precisions(steps: _Steps, truth: Ints, weights: Floats) -> Floats:
    """Average precision where item i counts weights[r, i] times: [rows, n] -> [rows]."""
    ranked = weights[:, steps.order]
    hits = np.add.reduceat(ranked * truth[steps.order], steps.starts, axis=1)
    seen = np.cumsum(np.add.reduceat(ranked, steps.starts, axis=1), axis=1)
    precision = np.cumsum(hits, axis=1) / np.maximum(seen, 1)
    result: Floats = np.sum(precision * hits, axis=1) / hits.sum(axis=1)
    return result


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Ints, Floats]:
    truth: NDArray[Any] = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ShapeMismatchError(
            f"labels and scores must be two rows of one length, got {truth.shape} and {values.shape}"
        )
    if not len(truth):
        raise InputError("there is nothing to evaluate: got no items")
    if not _is_binary(truth):
        raise InputError("labels must be 0 (normal) or 1 (abnormal): drop the items that have no answer")
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum())} scores are not numbers: every item needs one")
    return truth.astype(np.int64), values


def _is_binary(truth: NDArray[Any]) -> bool:
    kinds: Bools = np.isin(truth, (0, 1))
    return bool(kinds.all())


def _needs(truth: Ints, *, abnormal: bool, normal: bool, figure: str) -> None:
    n_abnormal = int(truth.sum())
    if abnormal and not n_abnormal:
        raise InputError(f"{figure} needs at least one abnormal item, got 0 of {len(truth)}")
    if normal and n_abnormal == len(truth):
        raise InputError(f"{figure} needs at least one normal item, got 0 of {len(truth)}")

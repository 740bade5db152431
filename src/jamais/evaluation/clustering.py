"""How well do cluster labels agree with classes, and did labels of old rows change?

Accuracy needs scipy and NMI, ARI scikit-learn: the extra "sklearn".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, MissingExtraError
from jamais.types import Bools, Ints


class OldNew(NamedTuple):
    """Accuracies after novel classes came: on rows of old classes, of new ones, and on all."""

    old: float
    new: float
    all: float


def clustering_accuracy(classes: ArrayLike, labels: ArrayLike) -> float:
    """Return the share of rows `[n]` that are right under the best one-to-one match of labels and classes (ACC)."""
    return float(_right(*_pair(classes, labels)).mean())


def old_new_accuracy(classes: ArrayLike, labels: ArrayLike, is_new: ArrayLike) -> OldNew:
    """Return accuracies under one match over all rows `[n]`, read off for old and new classes.

    This is version 2 of the GCD protocol (Vaze et al. 2022, "Generalized Category Discovery"): an old class that
    loses its cluster to a new one counts as an error. A side without rows is NaN.
    """
    right = _right(*_pair(classes, labels))
    new: Bools = np.asarray(is_new, dtype=bool)
    if new.shape != right.shape:
        raise InputError(f"is_new says of {len(new)} rows whether their class is new, wanted {len(right)}")
    return OldNew(_mean(right[~new]), _mean(right[new]), float(right.mean()))


def label_shift(before: ArrayLike, after: ArrayLike) -> float:
    """Return the share of rows `[n]` whose label changed; no matching, so a renumbering counts as a change."""
    one, two = _pair(before, after)
    return float((one != two).mean())


def nmi(classes: ArrayLike, labels: ArrayLike) -> float:
    """Return the normalised mutual information (arithmetic mean) of classes and labels `[n]`."""
    return float(_metrics().normalized_mutual_info_score(*_pair(classes, labels)))


def ari(classes: ArrayLike, labels: ArrayLike) -> float:
    """Return the adjusted Rand index of classes and labels `[n]`."""
    return float(_metrics().adjusted_rand_score(*_pair(classes, labels)))


def _right(classes: Ints, labels: Ints) -> Bools:
    """Say of each row [n] whether its label is the one matched with its class."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as missing:
        raise MissingExtraError("the accuracy of clusters", "sklearn") from missing

    known, class_of = np.unique(classes, return_inverse=True)
    found, label_of = np.unique(labels, return_inverse=True)
    together = np.zeros((len(found), len(known)), dtype=np.int64)
    np.add.at(together, (label_of, class_of), 1)
    matched = np.full(len(found), -1, dtype=np.int64)
    rows, columns = linear_sum_assignment(together, maximize=True)
    matched[rows] = columns
    return np.asarray(matched[label_of] == class_of)


def _pair(one: ArrayLike, two: ArrayLike) -> tuple[Ints, Ints]:
    first, second = np.asarray(one), np.asarray(two)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(f"labels are two lists of equal length, got shapes {first.shape} and {second.shape}")
    return first, second


def _mean(right: Bools) -> float:
    return float(right.mean()) if len(right) else float("nan")


def _metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError as missing:
        raise MissingExtraError("NMI and ARI", "sklearn") from missing
    return metrics

"""What may an update change at most, and how is that measured?

Each function compares what was known before an update with what would be known after it, and gives a `Check`: a
figure, and the limit it must not pass. They are pure, and every kind of data uses the same. A figure that is no
number passes no limit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jamais.errors import ShapeMismatchError
from jamais.evaluation.ranking import average_precision
from jamais.types import Bools, Check, Floats


@dataclass(frozen=True)
class GuardSettings:
    """What one update may change at most; one that would change more is refused whole."""

    normals_changed: float = 0.01
    """Share of what is remembered as normal, weighted by how often it came, that may turn abnormal. One in a hundred:
    counts shift a little with every update, and more would be noticed as false alarms."""
    labels_changed: float = 0.005
    """Share of remembered and of held-out rows whose label may change, each measured alone. Labels are used outside:
    one in two hundred is what the memory is built to keep, twice over."""
    like_abnormal: float = 0.01
    """Share of the rows never seen before that may lie nearer to a confirmed abnormal one than to any normal one.
    Chance puts a few there; a hundredth is a repeat of the incident."""
    confirmed_abnormal: int = 0
    """Items confirmed abnormal that the data may hold. None: a person's answer stands until a person takes it back."""
    precision_lost: float = 0.005
    """Average precision that may be lost on what has a known label, of 1. Half a point is noise of ties."""
    looks_abnormal: float = 0.95
    """Share of the rows (of logs: records) that may have looked abnormal before. Generous: after a real change of
    normal life nearly nine in ten did (BGL). A batch with nothing known in it is not more of the same."""
    fewest_causes: int = 20
    """Different things (templates; groups of rows that lie together) that looked abnormal from which on
    `looks_abnormal` is a limit. Who vouches for a few new things knows them, however often they came."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0 or not np.isfinite(value):
                raise ValueError(f"{field.name} is a limit of 0 or more")
            if field.type == "float" and value > 1:
                raise ValueError(f"{field.name} is a share between 0 and 1, for example {field.default}")


def normals_changed(
    abnormal_before: ArrayLike,
    abnormal_after: ArrayLike,
    limits: GuardSettings,
    weights: ArrayLike | None = None,
    name: str = "normal items that would now alarm (share)",
) -> Check:
    """Measure which share of remembered normals [n] did not alarm and now would, `weights` [n] being their counts."""
    before, after = np.asarray(abnormal_before, dtype=bool), np.asarray(abnormal_after, dtype=bool)
    _alike(before, after)
    return Check(name, _share(~before & after, weights), limits.normals_changed, "normals_changed")


def labels_changed(
    labels_before: ArrayLike,
    labels_after: ArrayLike,
    limits: GuardSettings,
    weights: ArrayLike | None = None,
    name: str = "remembered rows with another label (share)",
) -> Check:
    """Measure which share of rows [n] bears another label: numbers as they are, a renumbering counts in full."""
    before, after = np.asarray(labels_before), np.asarray(labels_after)
    _alike(before, after)
    return Check(name, _share(before != after, weights), limits.labels_changed, "labels_changed")


def like_abnormal(
    to_normal: ArrayLike,
    to_abnormal: ArrayLike,
    limits: GuardSettings,
    weights: ArrayLike | None = None,
    reach: float = np.inf,
    name: str = "new rows nearer to a confirmed abnormal (share)",
) -> Check:
    """Measure which share of the new rows [n] lies nearer to a confirmed abnormal row than to any normal one.

    Both are distances to the nearest as known before the update, infinite where there is none; a tie is no reason,
    and beyond `reach` nearer is not near.
    """
    normal, abnormal = np.asarray(to_normal, dtype=np.float64), np.asarray(to_abnormal, dtype=np.float64)
    _alike(normal, abnormal)
    unclear = bool(np.isnan(normal).any() or np.isnan(abnormal).any())
    near = (abnormal < normal) & (abnormal <= reach)
    return Check(name, np.nan if unclear else _share(near, weights), limits.like_abnormal, "like_abnormal")


def confirmed_abnormal(
    n_items: int, limits: GuardSettings, name: str = "items confirmed abnormal in this data"
) -> Check:
    """Count what the data holds of items that a person has called abnormal."""
    return Check(name, float(n_items), float(limits.confirmed_abnormal), "confirmed_abnormal")


def precision_lost(
    labels: ArrayLike,
    scores_before: ArrayLike,
    scores_after: ArrayLike,
    limits: GuardSettings,
    name: str = "average precision lost on known labels",
) -> Check | None:
    """Measure how much worse rows [n] with a known label (1 = abnormal) are ranked; None while only one is known."""
    truth = np.asarray(labels, dtype=np.int64)
    before, after = np.asarray(scores_before, dtype=np.float64), np.asarray(scores_after, dtype=np.float64)
    _alike(truth, before)
    _alike(before, after)
    if not 0 < truth.sum() < len(truth):
        return None
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return Check(name, np.nan, limits.precision_lost, "precision_lost")
    lost = average_precision(truth, before) - average_precision(truth, after)
    return Check(name, lost, limits.precision_lost, "precision_lost")


def looks_abnormal(
    abnormal_before: ArrayLike,
    limits: GuardSettings,
    weights: ArrayLike | None = None,
    name: str = "rows that looked abnormal before (share)",
    causes: int | None = None,
) -> Check:
    """Measure which share of the new rows [n] alarms in the old state.

    It is always told, but a limit only from `fewest_causes` different causes on; None: each abnormal row is one.
    """
    rows = np.asarray(abnormal_before, dtype=bool)
    different = int(rows.sum()) if causes is None else causes
    limit = 1.0 if different < limits.fewest_causes else limits.looks_abnormal
    return Check(name, _share(rows, weights), limit, "looks_abnormal")


def within(name: str, size: float, capacity: float) -> Check:
    """Check that a memory fits: `size` rows, templates or bytes of at most `capacity`."""
    return Check(name, float(size), float(capacity))


def passed(checks: tuple[Check, ...]) -> bool:
    """Say whether no limit is broken."""
    return all(check.passed for check in checks)


def _share(chosen: Bools, weights: ArrayLike | None) -> float:
    """Give the weighted share of the chosen rows; 0 of none."""
    heavy: Floats = np.ones(len(chosen)) if weights is None else np.asarray(weights, dtype=np.float64)
    _alike(chosen, heavy)
    whole = float(heavy.sum())
    return float(heavy[chosen].sum()) / whole if len(chosen) and whole != 0 else 0.0


def _alike(one: NDArray[Any], two: NDArray[Any]) -> None:
    if one.shape != two.shape or one.ndim != 1:
        raise ShapeMismatchError(f"a check compares the same rows before and after, got {one.shape} and {two.shape}")

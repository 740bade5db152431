"""How near are the alarms to the abnormal stretches, and the stretches to the alarms? Affiliation precision and recall.

Huet, Navarro and Rossi, "Local Evaluation of Time Series Anomaly Detection Algorithms", KDD 2022. Row i is the interval
[i, i + 1). Each abnormal stretch J owns the zone E of all that is nearer to it than to another one; a distance counts
as the chance that a random point of E is farther away. The integrals are worked out below, for all pieces at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jamais.evaluation.series.given import checked_alarms, checked_labels
from jamais.evaluation.series.segments import segments
from jamais.types import Floats, Ints


@dataclass(frozen=True)
class Affiliation:
    """Precision (not a number without an alarm), recall and their harmonic mean; 0.5 or more is easy to have by chance.

    Alarms in rows drawn at random reach about 0.7, so look at a random score beside it.
    """

    precision: float
    recall: float
    f1: float


def affiliation(labels: ArrayLike, alarms: ArrayLike) -> Affiliation:
    """Judge alarms that were raised elsewhere by their distance to the truth: [n] of 0/1, [n] of 0/1 -> Affiliation.

    The numbers of `pr_from_events` (Huet et al.) and of TSB-AD's Affiliation-F at fixed predictions; F1 is 0 where
    there is no alarm. Raises InputError without abnormal or without normal rows.
    """
    truth = checked_labels(labels, "affiliation")
    raised = checked_alarms(alarms, len(truth))
    real = segments(truth).astype(np.float64)
    edges = np.concatenate(([0.0], (real[:-1, 1] + real[1:, 0]) / 2, [float(len(truth))]))
    pieces = _Pieces(segments(raised).astype(np.float64), edges)
    if not len(pieces.zone):
        return Affiliation(precision=float("nan"), recall=0.0, f1=0.0)
    precisions, recalls = _precisions(real, pieces), _recalls(real, pieces)
    precision, recall = float(precisions.mean()), float(recalls.mean())
    both = precision + recall
    return Affiliation(precision=precision, recall=recall, f1=2 * precision * recall / both if both else 0.0)


class _Pieces:
    """The alarmed intervals, cut where zones meet: all arrays [pieces], in order of time."""

    def __init__(self, alarmed: Floats, edges: Floats) -> None:
        first = np.searchsorted(edges, alarmed[:, 0], side="right") - 1
        last = np.searchsorted(edges, alarmed[:, 1], side="left") - 1
        source = np.repeat(np.arange(len(alarmed)), last - first + 1)
        nth = np.arange(len(source)) - np.repeat(np.cumsum(last - first + 1) - (last - first + 1), last - first + 1)
        self.zone: Ints = (first[source] + nth).astype(np.int64)
        self.zone_start, self.zone_end = edges[self.zone], edges[self.zone + 1]
        self.start = np.maximum(alarmed[source, 0], self.zone_start)
        self.end = np.minimum(alarmed[source, 1], self.zone_end)


def _precisions(real: Floats, pieces: _Pieces) -> Floats:
    """Average the chance over the alarms of each zone that has any: -> [zones with alarms]."""
    low, high = real[pieces.zone, 0], real[pieces.zone, 1]
    width = pieces.zone_end - pieces.zone_start
    nearer = np.minimum(low - pieces.zone_start, pieces.zone_end - high)

    def chance(distance: Floats) -> Floats:
        """Integrate 1 - (|J| + t + min(t, nearer)) / |E| over t = 0..distance."""
        both_sides = np.minimum(distance, nearer) ** 2 / 2 + nearer * np.maximum(distance - nearer, 0)
        farther: Floats = distance - ((high - low) * distance + distance**2 / 2 + both_sides) / width
        return farther

    before = chance(np.maximum(low - pieces.start, 0)) - chance(np.maximum(low - pieces.end, 0))
    after = chance(np.maximum(pieces.end - high, 0)) - chance(np.maximum(pieces.start - high, 0))
    inside = np.maximum(np.minimum(pieces.end, high) - np.maximum(pieces.start, low), 0)
    total = np.bincount(pieces.zone, before + inside + after)
    length = np.bincount(pieces.zone, pieces.end - pieces.start)
    result: Floats = total[length > 0] / length[length > 0]
    return result


def _recalls(real: Floats, pieces: _Pieces) -> Floats:
    """Average the chance over the rows of each abnormal stretch: -> [stretches], 0 where its zone has no alarm."""
    same = pieces.zone[1:] == pieces.zone[:-1]
    middle = (pieces.end[:-1] + pieces.start[1:]) / 2
    left = np.concatenate(([0.0], np.where(same, middle, pieces.zone_start[1:])))
    right = np.concatenate((np.where(same, middle, pieces.zone_end[:-1]), [np.inf]))
    low, high = np.maximum(real[pieces.zone, 0], left), np.minimum(real[pieces.zone, 1], right)
    high = np.maximum(low, high)  # the part of the stretch that is nearest to this piece, or nothing
    width = pieces.zone_end - pieces.zone_start
    before = _walk(pieces.start - low, pieces.start - high, pieces.start - pieces.zone_start)
    after = _walk(high - pieces.end, low - pieces.end, pieces.zone_end - pieces.end)
    total = np.bincount(pieces.zone, high - low - (before + after) / width, minlength=len(real))
    result: Floats = total / (real[:, 1] - real[:, 0])
    return result


def _walk(far: Floats, near: Floats, room: Floats) -> Floats:
    """Integrate t + min(t, room - t) over t = near..far, none of it below 0."""

    def upto(distance: Floats) -> Floats:
        distance = np.maximum(distance, 0)
        walked: Floats = np.where(distance <= room / 2, distance**2, room * distance - room**2 / 4)
        return walked

    return upto(far) - upto(near)

"""How would a remembered row score if it had not been learned?

The clusters, who belongs to which and which are suspects stay; from the sums the row is taken out: the centre
moves to (n c - x) / (n - 1), and of the squared deviations n / (n - 1) |x - c|² go, column by column.
"""

from __future__ import annotations

import numpy as np

from jamais.detectors.cluster.groups import Groups, scales
from jamais.types import Bools, Floats, Ints, Vectors

_AT_ONCE = 500_000  # numbers of one block: 4 MB


def unlearned_scores(groups: Groups, normal: Bools, rows: Vectors, own_rows: Vectors, labels: Ints) -> Floats:
    """Score `rows` [n, width] without `own_rows` [n, width], the exemplars that stand for them. -> [n]

    `labels` [n] are the clusters of these, -1 where none holds the row; `normal` [k] says which clusters count.
    A row that is alone in its cluster is scored against the others, suspects included if there are no others.
    """
    scores = np.empty(len(rows))
    step = max(1, _AT_ONCE // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scores[part] = _block(groups, normal, rows[part], own_rows[part], labels[part])
    return scores


def _block(groups: Groups, normal: Bools, rows: Vectors, own_rows: Vectors, labels: Ints) -> Floats:
    width = rows.shape[1]
    deviations, centres = groups.deviations(), groups.centres()
    held = labels >= 0
    n = groups.counts[labels].astype(np.float64)
    apart = own_rows.astype(np.float64) - centres[labels]
    alone = held & (n < 2)
    lost = np.where(alone[:, None], deviations[labels], (n / np.maximum(n - 1, 1))[:, None] * apart * apart)
    lost[~held] = 0.0
    whole = np.add.reduce(np.add.reduce(deviations, axis=1))
    rest = np.maximum(groups.counts.sum() - held, 1)
    pooled = np.maximum(whole - np.add.reduce(lost, axis=1), 0.0) / (rest * width)

    squares = np.full((len(centres), len(rows)), np.inf)
    needed = _needed(groups, normal, rows, np.where(held, labels, -1), pooled, whole)
    for j in range(len(centres)):
        own = held & (labels == j)
        taken = np.flatnonzero(own)
        left = np.maximum(deviations[j] - lost[taken], 0.0)
        moved = centres[j] - apart[taken] / np.maximum(n[taken] - 1, 1)[:, None]
        scale = scales(left, n[taken] - 1, pooled[taken], groups.resolution)
        squares[j, taken] = _mean_square(rows[taken], moved, scale)
        squares[j, own & alone] = np.inf
        other = np.flatnonzero(needed[j] & ~own)
        left = np.broadcast_to(deviations[j], (len(other), width))
        scale = scales(left, np.full(len(other), groups.counts[j]), pooled[other], groups.resolution)
        squares[j, other] = _mean_square(rows[other], centres[j], scale)
    best = squares[normal].min(axis=0)
    return np.asarray(np.sqrt(np.where(np.isfinite(best), best, squares.min(axis=0))), dtype=np.float64)


def _needed(groups: Groups, normal: Bools, rows: Vectors, labels: Ints, pooled: Floats, whole: float) -> Bools:
    """Say which clusters [k, n] may be nearest to a row among those that do not hold it.

    Taking a row out of another cluster changes no more than the pooled variance here. If that changes by a factor
    f, every scale changes by a factor between f^-2 and f^2: so clusters farther by more than that are out.
    """
    k = len(groups.counts)
    centres, scale = groups.centres(), groups.scales()
    far = np.array([_mean_square(rows, centres[j], scale[j]) for j in range(k)])
    far[labels[labels >= 0], np.flatnonzero(labels >= 0)] = np.inf
    before = max(whole / (groups.counts.sum() * rows.shape[1]), groups.resolution)
    play = 2 * np.abs(np.log(np.maximum(pooled, groups.resolution) / before)) + 1e-9  # and some for rounding
    with np.errstate(over="ignore"):
        limit = far[normal].min(axis=0) * np.exp(2 * play)
    return np.asarray((far <= limit) | ~np.isfinite(limit), dtype=bool)


def _mean_square(rows: Vectors, centre: Floats, scale: Floats) -> Floats:
    apart = np.subtract(rows, centre, dtype=np.float64)
    apart *= apart
    apart /= scale
    return np.asarray(np.add.reduce(apart, axis=1) / rows.shape[1], dtype=np.float64)

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

    nearest = np.full((2, len(rows)), np.inf)  # among normal clusters, among suspects
    for j in range(len(centres)):
        own = held & (labels == j)
        squares = np.subtract(rows, centres[j], dtype=np.float64)
        left = np.broadcast_to(deviations[j], squares.shape)
        counts = np.full(len(rows), groups.counts[j], dtype=np.float64)
        if own.any():
            left, counts = np.where(own[:, None], np.maximum(deviations[j] - lost, 0.0), deviations[j]), counts - own
            moved = centres[j] - apart[own] / np.maximum(n[own] - 1, 1)[:, None]
            squares[own] = rows[own].astype(np.float64) - moved
        squares *= squares
        squares /= scales(left, counts, pooled, groups.resolution)
        far = np.add.reduce(squares, axis=1) / width
        far[own & alone] = np.inf
        kind = 0 if normal[j] else 1
        nearest[kind] = np.minimum(nearest[kind], far)
    return np.asarray(np.sqrt(np.where(np.isfinite(nearest[0]), nearest[0], nearest[1])), dtype=np.float64)

"""Which columns set a row apart?"""

from __future__ import annotations

import numpy as np

from jamais.detectors.iforest.scoring import Paths
from jamais.types import Codes, Floats, Ints, Vectors

_PAIRS = 65_536  # of a row and a tree, looked at at once


def credits(paths: Paths, rows: Vectors, nearest: Vectors) -> Floats:
    """Return how much each column did to isolate each of `rows` [n, width], [n, width].

    A split that leaves a row with n of the m sampled rows earns log2(m/n) bits, over its level counted from 1: a
    row that is cut off alone at the root is abnormal by that column. An oblique split passes them on by how far its
    columns move the row from its `nearest` [n, width].
    """
    step = max(1, _PAIRS // (paths.n_trees * paths.k))
    parts = [_part(paths, rows[i : i + step], nearest[i : i + step]) for i in range(0, len(rows), step)]
    return np.concatenate(parts) if parts else np.empty(rows.shape)


def _part(paths: Paths, rows: Vectors, nearest: Vectors) -> Floats:
    n, width = rows.shape
    which, trees = np.repeat(np.arange(n), paths.n_trees), np.tile(np.arange(paths.n_trees), n)
    rows_at = paths.trees.rows_at()
    credit = np.zeros(n * width)
    above = np.zeros(len(which), dtype=np.intp)
    for level, at in enumerate(paths.walk(rows, which, trees)):
        place = at - (trees * paths.n_nodes + 2 ** (level + 1) - 1)
        # Sampled rows came to both sides of every split, so neither number is 0.
        bits = np.log2(rows_at[level][trees, above] / rows_at[level + 1][trees, place]) / (level + 1)
        nodes = above + 2**level - 1
        columns = paths.trees.columns[trees, nodes]
        parts = _parts(paths, rows, nearest, which, columns, paths.trees.weights[trees, nodes])
        credit += np.bincount((which[:, None] * width + columns).ravel(), (bits[:, None] * parts).ravel(), n * width)
        above = place
    return credit.reshape(n, width)


def _parts(paths: Paths, rows: Vectors, nearest: Vectors, which: Ints, columns: Codes, weights: Floats) -> Floats:
    """Return which part [pairs, k] of a split is each column's."""
    if paths.k == 1:
        return np.ones(columns.shape)
    moves = np.abs(weights * np.subtract(rows, nearest, dtype=np.float64)[which[:, None], columns])
    moves += 1e-300  # a row that repeats its nearest is moved by none: then all have the same part
    return np.asarray(moves / moves.sum(axis=1, keepdims=True))

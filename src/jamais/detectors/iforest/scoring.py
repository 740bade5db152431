"""How long is the path of a row through each tree? With numpy, level by level, for many rows at once.

Path lengths are multiples of 2^-18, so that their sums are exact: no order of adding, no batch and no compiler can
change the last bit of a score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.iforest import compiled
from jamais.detectors.iforest.blocks import Steps, block_sums
from jamais.detectors.iforest.trees import Trees
from jamais.types import Floats, Vectors

_UNIT = 2.0**-18
_PAIRS = 16_384  # of a row and a tree, stepping down together: their books stay in the cache
_MANY_ROWS = 3_000  # from here on, and if the rows are not wide, blocks are faster
_WIDE = 512


def mean_path(n: Any) -> Floats:
    """Return the mean path length [..] of an unsuccessful search in a binary tree of `n` rows (Liu et al., eq. 1)."""
    n = np.asarray(n, dtype=np.float64)
    many = np.maximum(n, 3.0)
    means = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.asarray(np.where(n > 2.0, means, np.where(n == 2.0, 1.0, 0.0)))


class Paths:
    """The paths through a forest, made ready for scoring rows of a width."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.n_trees, self.n_nodes, self.k = trees.columns.shape
        self.depth = trees.depth
        self.lengths = _lengths(trees)
        """[trees, leaves]: the level at which each branch ends, and the mean path among the rows that ended there."""
        self._columns: Steps = np.ascontiguousarray(trees.columns.reshape(-1, self.k).T, dtype=np.intp)
        self._thresholds = trees.thresholds.ravel()
        self._weights = np.ascontiguousarray(trees.weights.reshape(-1, self.k).T)
        self._firsts: Steps = np.arange(self.n_trees, dtype=np.intp) * self.n_nodes

    def sums(self, rows: Vectors) -> Floats:
        """Return the sum of the path lengths in all trees for each of `rows` [n, width]."""
        kernel = compiled.kernel(len(rows) * self.n_trees * self.k, self.k)
        if kernel is not None:
            sums, trees = np.empty(len(rows)), self.trees
            kernel(np.ascontiguousarray(rows), trees.columns, trees.weights, trees.thresholds, self.lengths, sums)
            return sums
        if self.k == 1 and len(rows) >= _MANY_ROWS and rows.shape[1] <= _WIDE:
            return block_sums(self.trees, self.lengths, rows)
        step = max(1, _PAIRS // self.n_trees)
        parts = [self._together(rows[start : start + step]) for start in range(0, len(rows), step)]
        return np.concatenate(parts) if parts else np.empty(0)

    def leaves(self, rows: Vectors, which: Steps | int, trees: Steps) -> Steps:
        """Return the leaf [pairs] at which the rows `which` [pairs] arrive in `trees` [pairs]."""
        at = self._firsts[trees]
        shift = 1 - at
        for nodes in self.walk(rows, which, trees):
            at = nodes
        return np.asarray(at + shift - self.n_nodes - 1)

    def walk(self, rows: Vectors, which: Steps | int, trees: Steps) -> Any:
        """Give the places [pairs] that rows reach, from the first level's on, as nodes of the flat forest.

        The last are leaves; their places are those of nodes that a further level would have.
        """
        flat, base = rows.ravel(), which * rows.shape[1]
        at = self._firsts[trees]
        shift = 1 - at
        for _ in range(self.depth):
            at = 2 * at + shift + (self._values(flat, base, at) > self._thresholds.take(at))
            yield at

    def _values(self, flat: Vectors, base: Any, at: Steps) -> NDArray[Any]:
        """Return what nodes compare with their thresholds."""
        if self.k == 1:
            found: NDArray[Any] = flat.take(self._columns[0].take(at) + base)
            return found
        values = np.zeros(len(at))
        for columns, weights in zip(self._columns, self._weights, strict=True):
            values += weights.take(at) * flat.take(columns.take(at) + base)
        return values

    def _together(self, rows: Vectors) -> Floats:
        n = len(rows)
        trees = np.tile(np.arange(self.n_trees, dtype=np.intp), n)
        which = np.repeat(np.arange(n, dtype=np.intp), self.n_trees) if n > 1 else 0
        leaves = self.leaves(rows, which, trees)
        lengths = self.lengths.ravel().take(leaves + trees * (self.n_nodes + 1))
        return np.asarray(lengths.reshape(n, self.n_trees).sum(axis=1))


def _lengths(trees: Trees) -> Floats:
    ends = np.zeros((len(trees.sizes), 1))
    for level in range(trees.depth):
        ends = np.repeat(ends + trees.splits_at(level), 2, axis=1)
    return np.asarray(np.rint((ends + mean_path(trees.sizes)) / _UNIT) * _UNIT)

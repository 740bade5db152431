"""How long is the path of a row through each tree? With numpy, level by level, for many rows at once.

Path lengths are multiples of 2^-18, so that their sums are exact: no order of adding, no batch and no compiler can
change the last bit of a score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.iforest import compiled
from jamais.detectors.iforest.trees import Trees
from jamais.types import Bools, Floats, Ints, Vectors

_UNIT = 2.0**-18
_FEW_ROWS = 3_000  # up to here all trees step down together, beyond each tree takes a block of rows
_PAIRS = 16_384  # of a row and a tree, stepping down together: their books stay in the cache
_BLOCK_ROWS = 10_240  # large, since each step of a block costs a call
_BLOCK_CELLS = 4_000_000
_DENSE = 3  # levels that look at all their nodes for all rows: no gathering, and few nodes

Steps = NDArray[np.intp]


def mean_path(n: Any) -> Floats:
    """Return the mean path length [..] of an unsuccessful search in a binary tree of `n` rows (Liu et al., eq. 1)."""
    n = np.asarray(n, dtype=np.float64)
    many = np.maximum(n, 3.0)
    means = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n > 2.0, means, np.where(n == 2.0, 1.0, 0.0))


class Paths:
    """The paths through a forest, made ready for scoring rows of a width."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.n_trees, self.n_nodes, self.k = trees.columns.shape
        self.depth = trees.depth
        self.lengths = _lengths(trees)
        """[trees, leaves]: the level at which each branch ends, and the mean path among the rows that ended there."""
        self._columns: Steps = trees.columns.reshape(-1, self.k).T.astype(np.intp)
        self._thresholds = trees.thresholds.ravel()
        self._weights = np.ascontiguousarray(trees.weights.reshape(-1, self.k).T)
        self._firsts: Steps = np.arange(self.n_trees, dtype=np.intp) * self.n_nodes

    def sums(self, rows: Vectors) -> Floats:
        """Return the sum of the path lengths in all trees for each of `rows` [n, width]."""
        kernel = compiled.kernel(len(rows) * self.n_trees * self.k, self.k)
        if kernel is not None:
            sums, trees = np.empty(len(rows)), self.trees
            kernel(rows, trees.columns, trees.weights, trees.thresholds, self.lengths, sums)
            return sums
        if self.k == 1 and len(rows) > _FEW_ROWS:
            step = min(_BLOCK_ROWS, max(_FEW_ROWS, _BLOCK_CELLS // rows.shape[1]))
            parts = [self._block(rows[start : start + step]) for start in range(0, len(rows), step)]
        else:
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
            return flat.take(self._columns[0].take(at) + base)
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

    def _block(self, rows: Vectors) -> Floats:
        """Let one tree after the other take all `rows`, column by column."""
        turned = np.ascontiguousarray(rows.T)
        books = _Books(turned)
        sums = np.zeros(len(rows))
        starts = (self._columns[0] * len(rows)).reshape(self.n_trees, self.n_nodes)
        for tree in range(self.n_trees):
            thresholds = self.trees.thresholds[tree]
            dense = min(_DENSE, self.depth)
            books.look_at_all(self.trees.columns[tree, :, 0].tolist(), thresholds.tolist(), dense)
            for level in range(dense, self.depth):
                nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
                books.step(starts[tree, nodes], thresholds[nodes])
            books.add_to(sums, self.lengths[tree])
        return sums


class _Books:
    """Where all rows of a block are in one tree, as numbers within the level; every array is used again."""

    def __init__(self, turned: Vectors) -> None:
        n = turned.shape[1]
        self._turned = list(turned)
        self._flat = turned.ravel()
        self._rows: Steps = np.arange(n, dtype=np.intp)
        self._sides: Bools = np.empty((2 ** max(_DENSE - 1, 0), n), dtype=np.bool_)
        self._changed = np.empty_like(self._sides)
        self._bits: Bools = np.empty((max(_DENSE, 1), n), dtype=np.bool_)
        self._at: Steps = np.empty(n, dtype=np.intp)
        self._step: Steps = np.empty(n, dtype=np.intp)
        self._values = np.empty(n, dtype=np.float32)
        self._thresholds = np.empty(n, dtype=np.float32)
        self._lengths = np.empty(n)
        self._narrow = np.empty(n, dtype=np.uint16)

    def look_at_all(self, columns: list[int], thresholds: list[float], levels: int) -> None:
        """Go down the first levels: ask all nodes of a level, then keep the answer of each row's own node."""
        node = 0
        for level in range(levels):
            sides = self._sides[: 2**level]
            for side in sides:
                np.greater(self._turned[columns[node]], thresholds[node], out=side)
                node += 1
            for above in range(level):  # the answers of the first or of the second half, by the bit above
                half = len(sides) // 2
                first, changed = sides[:half], self._changed[:half]
                np.bitwise_xor(first, sides[half:], out=changed)
                np.bitwise_and(changed, self._bits[above], out=changed)
                sides = np.bitwise_xor(first, changed, out=first)
            self._bits[level] = sides[0]
        self._narrow[:] = self._bits[0]
        for level in range(1, levels):
            self._down(self._bits[level])

    def step(self, starts: Steps, thresholds: NDArray[Any]) -> None:
        """Go down one level whose nodes have columns that start here in the flat block."""
        np.copyto(self._at, self._narrow)
        starts.take(self._at, out=self._step, mode="clip")
        np.add(self._step, self._rows, out=self._step)
        self._flat.take(self._step, out=self._values, mode="clip")
        thresholds.take(self._at, out=self._thresholds, mode="clip")
        self._down(np.greater(self._values, self._thresholds, out=self._bits[0]))

    def add_to(self, sums: Floats, lengths: Floats) -> None:
        np.copyto(self._at, self._narrow)
        lengths.take(self._at, out=self._lengths, mode="clip")
        np.add(sums, self._lengths, out=sums)

    def _down(self, second: Bools) -> None:
        np.add(self._narrow, self._narrow, out=self._narrow)
        np.bitwise_or(self._narrow, second.view(np.uint8), out=self._narrow)


def _lengths(trees: Trees) -> Floats:
    ends = np.zeros((len(trees.sizes), 1))
    for level in range(trees.depth):
        ends = np.repeat(ends + trees.splits_at(level), 2, axis=1)
    return np.asarray(np.rint((ends + mean_path(trees.sizes)) / _UNIT) * _UNIT)

"""How do thousands of rows go down one tree after the other, at the least cost for each row?

The first levels ask all their few nodes, which takes a comparison with one number per row and node, then keep the
answer of each row's own node by bit operations. Only below are thresholds and values gathered for each row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.iforest.trees import Trees
from jamais.types import Bools, Floats, Vectors

_ROWS = 10_240  # of a block; large, since each step of a block costs a call
_DENSE = 3  # levels that ask all their nodes
_TURNED = 256  # rows written as columns at once: what is read stays in the cache

Steps = NDArray[np.intp]


def block_sums(trees: Trees, lengths: Floats, rows: Vectors) -> Floats:
    """Sum the path lengths of `rows` [n, width], n > 0, through trees that split along one column, [n].

    `lengths` [trees, leaves] are those of whole paths.
    """
    sums = np.zeros(len(rows))
    n_blocks = -(-len(rows) // _ROWS)
    for start, stop in zip(*_bounds(len(rows), n_blocks), strict=True):
        block = _Block(rows[start:stop])
        for columns, thresholds, of_leaves in zip(trees.columns[:, :, 0], trees.thresholds, lengths, strict=True):
            block.add_paths(columns, thresholds, of_leaves, trees.depth, sums[start:stop])
    return sums


def _bounds(n: int, parts: int) -> tuple[list[int], list[int]]:
    bounds = [n * i // parts for i in range(parts + 1)]
    return bounds[:-1], bounds[1:]


class _Block:
    """Rows as columns, and where each is in the current tree, as a number within the level; all is used again."""

    def __init__(self, rows: Vectors) -> None:
        n, width = rows.shape
        turned = np.empty((width, n), dtype=np.float32)
        for start in range(0, n, _TURNED):
            turned[:, start : start + _TURNED] = rows[start : start + _TURNED].T
        self._columns = list(turned)
        self._flat = turned.ravel()
        self._rows: Steps = np.arange(n, dtype=np.intp)
        self._sides: Bools = np.empty((2 ** (_DENSE - 1), n), dtype=np.bool_)
        self._changed = np.empty_like(self._sides)
        self._bits: Bools = np.empty((_DENSE, n), dtype=np.bool_)
        self._place = np.empty(n, dtype=np.uint16)
        self._at: Steps = np.empty(n, dtype=np.intp)
        self._where: Steps = np.empty(n, dtype=np.intp)
        self._values = np.empty(n, dtype=np.float32)
        self._thresholds = np.empty(n, dtype=np.float32)
        self._lengths = np.empty(n)

    def add_paths(
        self, columns: NDArray[Any], thresholds: NDArray[Any], lengths: Floats, depth: int, sums: Floats
    ) -> None:
        """Send all rows down one tree, and add the lengths of their paths to `sums` [n]."""
        dense = min(_DENSE, depth)
        self._ask_all(columns[: 2**dense - 1].tolist(), thresholds[: 2**dense - 1].tolist(), dense)
        starts: Steps = columns * np.intp(len(self._rows))
        for level in range(dense, depth):
            nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            self._ask_own(starts[nodes], thresholds[nodes])
        np.copyto(self._at, self._place)
        lengths.take(self._at, out=self._lengths, mode="clip")
        np.add(sums, self._lengths, out=sums)

    def _ask_all(self, columns: list[int], thresholds: list[float], levels: int) -> None:
        """Go down the first levels."""
        node = 0
        for level in range(levels):
            sides = self._sides[: 2**level]
            for side in sides:
                np.greater(self._columns[columns[node]], thresholds[node], out=side)
                node += 1
            for above in range(level):  # of two halves, keep the one that the bit above names
                half = len(sides) // 2
                first, changed = sides[:half], self._changed[:half]
                np.bitwise_xor(first, sides[half:], out=changed)
                np.bitwise_and(changed, self._bits[above], out=changed)
                sides = np.bitwise_xor(first, changed, out=first)
            self._bits[level] = sides[0]
        self._place[:] = 0
        for level in range(levels):
            self._go_down(self._bits[level])

    def _ask_own(self, starts: Steps, thresholds: NDArray[Any]) -> None:
        """Go down one level, whose nodes look at columns that start here in the flat block."""
        np.copyto(self._at, self._place)
        starts.take(self._at, out=self._where, mode="clip")
        np.add(self._where, self._rows, out=self._where)
        self._flat.take(self._where, out=self._values, mode="clip")
        thresholds.take(self._at, out=self._thresholds, mode="clip")
        self._go_down(np.greater(self._values, self._thresholds, out=self._bits[0]))

    def _go_down(self, second: Bools) -> None:
        np.add(self._place, self._place, out=self._place)
        np.bitwise_or(self._place, second.view(np.uint8), out=self._place)

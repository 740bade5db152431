"""What is a forest, once grown? Plain arrays that any later version can read, and that are checked when read.

A tree is a heap: node i has children 2i+1 and 2i+2, and its row goes to the second where `x > threshold`. All leaves
sit at the last level; a branch that ends above goes on with thresholds of +infinity, always to the first child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import Bools, Codes, Floats, Ints, StateTree


@dataclass(frozen=True)
class Trees:
    """Heaps with `nodes` = 2^depth - 1 and `leaves` = 2^depth, all of one depth."""

    columns: Codes
    """[trees, nodes, k]: which columns a node looks at; k is 1 for splits along one column."""
    weights: Floats
    """[trees, nodes, k]: what the columns are multiplied by; all 1 for k = 1."""
    thresholds: NDArray[Any]
    """[trees, nodes], float32 for k = 1, else float64; +infinity where no split is."""
    sizes: Codes
    """[trees, leaves]: how many sampled rows ended there; 0 where no branch ends."""

    @property
    def depth(self) -> int:
        return int(self.sizes.shape[1]).bit_length() - 1

    @classmethod
    def bare(cls, n_trees: int, depth: int, k: int) -> Trees:
        """Give trees without any split and with empty leaves."""
        nodes = 2**depth - 1
        return cls(
            np.zeros((n_trees, nodes, k), dtype=np.int32),
            np.ones((n_trees, nodes, k)) if k == 1 else np.zeros((n_trees, nodes, k)),
            np.full((n_trees, nodes), np.inf, dtype=np.float32 if k == 1 else np.float64),
            np.zeros((n_trees, nodes + 1), dtype=np.int32),
        )

    def put(self, places: Ints, others: Trees) -> None:
        """Put other trees into these places."""
        for name in ("columns", "weights", "thresholds", "sizes"):
            getattr(self, name)[places] = getattr(others, name)

    def copied(self) -> Trees:
        return Trees(self.columns.copy(), self.weights.copy(), self.thresholds.copy(), self.sizes.copy())

    def rows_at(self) -> list[Ints]:
        """Return how many sampled rows came to each node: one array [trees, 2^level] per level, leaves last."""
        levels = [self.sizes.astype(np.int64)]
        while levels[0].shape[1] > 1:
            levels.insert(0, levels[0][:, 0::2] + levels[0][:, 1::2])
        return levels

    def splits_at(self, level: int) -> Bools:
        """Say which nodes [trees, 2^level] of a level split."""
        return np.asarray(np.isfinite(self.thresholds[:, 2**level - 1 : 2 ** (level + 1) - 1]))

    def tree(self) -> StateTree:
        state: StateTree = {
            "columns": self.columns.copy(),
            "thresholds": self.thresholds.copy(),
            "sizes": self.sizes.copy(),
        }
        return state if self.columns.shape[2] == 1 else {**state, "weights": self.weights.copy()}

    @classmethod
    def of_tree(cls, tree: StateTree, n_trees: int, depth: int, k: int, width: int, n_sampled: int) -> Trees:
        """Copy from a state; raise `CorruptStateError` naming the leaf unless these are trees over such rows."""
        wanted = cls.bare(n_trees, depth, k)
        trees = cls(
            _leaf(tree, "columns", wanted.columns),
            _leaf(tree, "weights", wanted.weights) if k > 1 else wanted.weights,
            _leaf(tree, "thresholds", wanted.thresholds),
            _leaf(tree, "sizes", wanted.sizes),
        )
        if trees.columns.min() < 0 or trees.columns.max() >= width:
            raise CorruptStateError(f"engine.columns: outside of 0 … {width - 1}: load another version")
        if not np.isfinite(trees.weights).all():
            raise CorruptStateError("engine.weights: not finite: load another version")
        if np.isnan(trees.thresholds).any() or np.isneginf(trees.thresholds).any():
            raise CorruptStateError("engine.thresholds: NaN or -infinity: load another version")
        if trees.sizes.min() < 0 or (trees.sizes.sum(axis=1, dtype=np.int64) != n_sampled).any():
            raise CorruptStateError(f"engine.sizes: not {n_sampled} rows in each tree: load another version")
        trees._check_branches()
        return trees

    def _check_branches(self) -> None:
        """Raise `CorruptStateError` unless rows came to both sides of each split, and to one side of all else."""
        rows_at = self.rows_at()
        for level in range(self.depth):
            splits, below = self.splits_at(level), rows_at[level + 1]
            first, second = below[:, 0::2], below[:, 1::2]
            if not (np.where(splits, first > 0, True).all() and ((second > 0) == splits).all()):
                raise CorruptStateError(
                    "engine.thresholds and engine.sizes: not the same branches: load another version"
                )


def _leaf(tree: StateTree, name: str, like: NDArray[Any]) -> NDArray[Any]:
    array = tree.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != like.dtype or array.shape != like.shape:
        got = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptStateError(
            f"engine.{name}: saved {got}, here {like.dtype}{list(like.shape)}: load another version"
        )
    return np.array(array, order="C")

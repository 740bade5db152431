"""How far is a row from the nearest rows that were normal?

The score is the distance to the k nearest remembered rows, where an exemplar that stands for c rows counts as
c neighbours: remembering a row twice or raising its count is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jamais.detectors.detector import Detector
from jamais.errors import SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.memory.incoming import checked_rows
from jamais.memory.spaces import METRICS, in_space
from jamais.types import Floats, Ints, Vectors

_METHODS = ("largest", "mean", "median")


class KNN(Detector):
    """Score rows by their distance to the nearest remembered rows (Ramaswamy et al., SIGMOD 2000).

    `method` joins the `n_neighbors` distances: `largest`, `mean` or `median`. `metric` is `euclidean` or `cosine`.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        method: str = "largest",
        metric: str = "euclidean",
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
    ) -> None:
        super().__init__(contamination, memory)
        if n_neighbors < 1:
            raise SettingsError(f"KNN wants n_neighbors >= 1, got {n_neighbors}")
        if method not in _METHODS:
            raise SettingsError(f"KNN knows methods {', '.join(_METHODS)}, got {method!r}")
        if metric not in METRICS:
            raise SettingsError(f"KNN knows metrics {', '.join(METRICS)}, got {metric!r}")
        self.n_neighbors = int(n_neighbors)
        self.method = method
        self.metric = metric
        self.fewest_rows = self.n_neighbors
        self.fewest_to_fit = self.n_neighbors + 1

    def settings(self) -> dict[str, Any]:
        names = ("n_neighbors", "method", "metric", "contamination")
        return {name: getattr(self, name) for name in names}

    def nearest(self, X: ArrayLike) -> tuple[Floats, Ints]:
        """Return distances [n, k] and ids [n, k] of the nearest distinct exemplars, whatever their counts.

        k is `n_neighbors`, or the number of exemplars if that is less.
        """
        distances, slots = self._search(checked_rows(X, self.memory.width, self.name), self.n_neighbors)
        return distances, self.memory.ids[slots]

    def _refit(self) -> None:
        """Nothing to derive: the memory holds the search."""

    def _scores(self, rows: Vectors) -> Floats:
        distances, slots = self._search(rows, self.n_neighbors)
        return _join(distances, self.memory.counts[slots], self.n_neighbors, self.method)

    def _unseen_scores(self, rows: Vectors) -> Floats:
        """Score rows with the exemplar that stands for each lowered by one: the nearest, where it is in reach."""
        distances, slots = self._search(rows, self.n_neighbors + 1)
        weights = self.memory.counts[slots]
        own = _own_exemplar(self.memory, rows, distances, slots, self.metric)
        weights[own, 0] -= 1
        return _join(distances, weights, self.n_neighbors, self.method)

    def _search(self, rows: Vectors, k: int) -> tuple[Floats, Ints]:
        distances, slots = self.memory.index(self.metric).nearest(in_space(rows, self.metric), k)
        if self.metric == "cosine":
            distances = distances * distances / 2.0  # unit vectors: |x - y|² = 2 (1 - cos)
        return distances, slots


def _own_exemplar(memory: FeatureMemory, rows: Vectors, distances: Floats, slots: Ints, metric: str) -> Any:
    """Say of which rows [n] the nearest exemplar is the one that stands for them."""
    reach = memory.normal.reach
    if metric == "euclidean":
        return distances[:, 0] <= reach
    from jamais.memory.nearest import squared_differences

    return squared_differences(rows, memory.rows[slots[:, 0]]) <= reach * reach


def _join(distances: Floats, weights: Ints, k: int, method: str) -> Floats:
    """Join the k nearest distances, the one in column j taken `weights[:, j]` times."""
    upto = np.minimum(weights.cumsum(axis=1), k)
    if method == "mean":
        taken = np.diff(upto, axis=1, prepend=0)
        return np.asarray(np.add.reduce(distances * taken, axis=1) / k, dtype=np.float64)
    # The i-th nearest with repeats sits in the first column whose cumulated weight reaches i.
    ranks = [k, k] if method == "largest" else [(k + 1) // 2, k // 2 + 1]
    every = np.arange(len(distances))
    low, high = (distances[every, (upto >= rank).argmax(axis=1)] for rank in ranks)
    return np.asarray((low + high) / 2.0, dtype=np.float64)

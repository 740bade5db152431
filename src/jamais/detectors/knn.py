"""How far is a row from the nearest rows that were normal?

The score is the distance to the k nearest remembered rows, where an exemplar that stands for c rows counts as
c neighbours: remembering a row twice or raising its count is the same.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from jamais.detectors.detector import Detector
from jamais.detectors.training import Training
from jamais.errors import CorruptStateError, JamaisError, SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.memory.incoming import checked_rows
from jamais.memory.search.device import device_of
from jamais.memory.spaces import METRICS, in_space
from jamais.types import Floats, Ints, StateTree, Vectors

_DEVICE: ContextVar[str] = ContextVar("where the rows that are scored came from", default="")
_METHODS = ("largest", "mean", "median")


class KNN(Detector):
    """Score rows by their distance to the nearest remembered rows (Ramaswamy et al., SIGMOD 2000).

    `method` joins the `n_neighbors` distances: `largest`, `mean` or `median`. `metric` is `euclidean` or `cosine`
    (1 - cos; a zero vector is 1 away from all others). An exemplar with a count of c is c neighbours.

    - Exact: distances are those of direct differences in float64, so an exact repeat scores 0 (with
      `n_neighbors=1`, or a count that reaches it), and a row's score never depends on its batch.
    - Rows given as a torch tensor on a device are searched for on that device; scores have the same bits.
    - `approximate=True` lets faiss (`pip install 'jamais[ann]'`) name the candidates in memories of 50,000 rows and
      more: some 6 times faster on rows in clusters, useless on rows without structure. Scores can only be too
      high; `memory.index(metric).recall(rows, k)` tells how often. The index is made from the memory, never saved.
    - `fit`, `partial_fit`, `forget` and scoring raise what `Detector` says; the engine is the memory, so learning
      costs what appending costs, and a loaded detector needs no refit.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        method: str = "largest",
        metric: str = "euclidean",
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        *,
        approximate: bool = False,
    ) -> None:
        super().__init__(contamination, memory)
        if n_neighbors < 1:
            raise SettingsError(f"KNN wants n_neighbors >= 1, got {n_neighbors}")
        if method not in _METHODS:
            raise SettingsError(f"KNN knows methods {', '.join(_METHODS)}, got {method!r}")
        if metric not in METRICS:
            raise SettingsError(f"KNN knows metrics {', '.join(METRICS)}, got {metric!r}")
        if not isinstance(approximate, bool | np.bool_):
            raise SettingsError(f"KNN wants approximate True or False, got {approximate!r}")
        self.n_neighbors = int(n_neighbors)
        self.method = method
        self.metric = metric
        self.approximate = bool(approximate)
        self.fewest_rows = self.n_neighbors
        self.fewest_to_fit = self.n_neighbors + 1

    def settings(self) -> dict[str, Any]:
        names = ("n_neighbors", "method", "metric", "contamination", "approximate")
        return {name: getattr(self, name) for name in names}

    def decision_function(self, X: Any) -> Floats:
        """Return a score [n] for each row of `X` [n, width], on the device of `X` if that is a tensor elsewhere."""
        before = _DEVICE.set(device_of(X))
        try:
            return super().decision_function(X)
        finally:
            _DEVICE.reset(before)

    def nearest(self, X: Any) -> tuple[Floats, Ints]:
        """Return distances [n, k] and ids [n, k] of the nearest distinct exemplars, whatever their counts.

        k is `n_neighbors`, or the number of exemplars if that is less.
        """
        rows = checked_rows(X, self.memory.width, self.name)
        distances, slots = self._search(rows, self.n_neighbors, device_of(X))
        return distances, self.memory.ids[slots]

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the detector of a state, one of jamais 0.2 included; raise `CorruptStateError` and change nothing."""
        old = isinstance(tree, dict) and "training_scores" in tree
        super().load_state_dict(_of_0_2(tree) if old else tree)

    def _refit(self) -> None:
        """Nothing to derive: the memory holds the search."""

    def _scores(self, rows: Vectors) -> Floats:
        distances, slots = self._search(rows, self.n_neighbors, _DEVICE.get())
        return _join(distances, self.memory.counts[slots], self.n_neighbors, self.method)

    def _unseen_scores(self, rows: Vectors) -> Floats:
        """Score rows with the exemplar that stands for each lowered by one: the nearest, where it is in reach."""
        distances, slots = self._search(rows, self.n_neighbors + 1)
        weights = self.memory.counts[slots]
        weights[slots == _own_exemplars(self.memory, rows)[:, None]] -= 1
        return _join(distances, weights, self.n_neighbors, self.method)

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Share each squared distance among the columns; for cosine, that of unit vectors to the nearest by angle."""
        if self.metric == "cosine":
            nearest = self.memory.rows[self._search(rows, 1)[1][:, 0]]
        left, right = (in_space(one, self.metric)[:, : rows.shape[1]] for one in (rows, nearest))
        return np.asarray(np.square(np.subtract(left, right, dtype=np.float64)))

    def _search(self, rows: Vectors, k: int, device: str = "") -> tuple[Floats, Ints]:
        index, spaced = self.memory.index(self.metric), in_space(rows, self.metric)
        distances, slots = index.nearest(spaced, k, device=device, approximate=self.approximate)
        if self.metric == "cosine":
            distances = distances * distances / 2.0  # unit vectors: |x - y|² = 2 (1 - cos)
        return distances, slots


def _of_0_2(tree: StateTree) -> StateTree:
    """Turn a state of jamais 0.2 into one of today: the memory gets parts, training scores become a few figures."""
    memory = FeatureMemory()
    try:
        memory.normal.load_state_dict(tree["memory"])
        memory.draw_calibration()
        training = None
        if tree["fitted"]:
            scores = np.array(tree["training_scores"], dtype=np.float64)
            training = replace(Training.of(scores, tree["contamination"]), threshold=float(tree["threshold"])).tree()
        settings = {name: tree[name] for name in ("n_neighbors", "method", "metric", "contamination")}
    except (KeyError, TypeError, ValueError, IndexError, JamaisError) as error:
        raise CorruptStateError(f"not the state of a KNN of jamais 0.2 ({error}): load another version") from None
    engine: StateTree = {}
    parts = {"settings": settings, "memory": memory.state_dict(), "engine": engine}
    return {**parts, "training": training, "alarm_rate": None}


def _own_exemplars(memory: FeatureMemory, rows: Vectors) -> Ints:
    """Return the slot [n] of the exemplar that stands for each row, -1 where none is in reach.

    That is a matter of the memory, whose reach is Euclidean, whatever the metric of the scores.
    """
    distances, slots = memory.index().nearest(rows, 1)
    return np.where(distances[:, 0] <= memory.normal.reach, slots[:, 0], -1)


def _join(distances: Floats, weights: Ints, k: int, method: str) -> Floats:
    """Join the k nearest distances, the one in column j taken `weights[:, j]` times.

    Where the weights do not reach k, those that there are.
    """
    upto = np.minimum(weights.cumsum(axis=1), k)
    if method == "mean":
        taken = np.diff(upto, axis=1, prepend=0)
        joined = np.add.reduce(distances * taken, axis=1) / np.maximum(upto[:, -1], 1)
        return np.asarray(joined, dtype=np.float64)
    n = upto[:, -1]
    ranks = (n, n) if method == "largest" else ((n + 1) // 2, n // 2 + 1)
    every = np.arange(len(distances))
    # The i-th nearest with repeats sits in the first column whose cumulated weight reaches i.
    low, high = (distances[every, (upto >= rank[:, None]).argmax(axis=1)] for rank in ranks)
    return np.asarray((low + high) / 2.0, dtype=np.float64)

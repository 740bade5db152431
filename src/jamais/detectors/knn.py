"""How far is a row from the nearest rows that were normal?

The score is the distance to the k nearest remembered rows, where an exemplar that stands for c rows counts as
c neighbours: remembering a row twice or raising its count is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.memory.cover import CoverMemory
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, StateTree, Vectors

_METHODS = ("largest", "mean", "median")
_METRICS = ("euclidean", "cosine")
_DEFAULT_CAPACITY = 10_000  # exact search over so many rows of width 256 costs 0.07 CPU-ms per query


class KNN:
    """Score rows by their distance to the nearest remembered rows, in PyOD's convention.

    `method` joins the k distances: `largest`, `mean` or `median`. `memory` is a capacity or a `CoverMemory`,
    which may already be filled; then no `fit` is needed to score.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        method: str = "largest",
        metric: str = "euclidean",
        contamination: float = 0.1,
        memory: CoverMemory | int | None = None,
    ) -> None:
        if n_neighbors < 1:
            raise SettingsError(f"KNN wants n_neighbors >= 1, got {n_neighbors}")
        if method not in _METHODS or metric not in _METRICS:
            raise SettingsError(
                f"KNN knows methods {', '.join(_METHODS)} and metrics {', '.join(_METRICS)}, got {method}, {metric}"
            )
        if not 0.0 < contamination <= 0.5:
            raise SettingsError(f"KNN wants 0 < contamination <= 0.5, got {contamination}")
        self.n_neighbors = n_neighbors
        self.method = method
        self.metric = metric
        self.contamination = contamination
        self.memory = _as_memory(memory)
        self._training_scores: Floats | None = None
        self._threshold = 0.0
        self._index: tuple[int, NearestRows] | None = None

    def fit(self, X: ArrayLike, y: object = None) -> KNN:
        """Forget everything, remember the rows `X` [n, width] and set `decision_scores_` and `threshold_`.

        Raise `NotReadyError` if there are not more rows than neighbours.
        """
        rows = _rows(X, None)
        if len(rows) <= self.n_neighbors:
            raise NotReadyError(
                f"KNN needs more than {self.n_neighbors} rows to fit, got {len(rows)}: lower n_neighbors"
            )
        self.memory.clear()
        own = self.memory.add(rows)
        self._training_scores = self._score(rows, without=own)
        self._threshold = float(np.quantile(self._training_scores, 1.0 - self.contamination))
        return self

    def partial_fit(
        self, X: ArrayLike, y: object = None, *, counts: Ints | None = None, times: Ints | None = None
    ) -> KNN:
        """Remember the rows `X` [n, width] as well; `threshold_` stays as `fit` set it."""
        self.memory.add(_rows(X, self.memory.width), counts, times)
        return self

    def forget(self, ids: ArrayLike) -> int:
        """Drop remembered rows by id; return how many there were."""
        return self.memory.forget(np.asarray(ids, dtype=np.int64))

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return a score [n] for each row of `X` [n, width]; higher is less normal, a row's own bits only."""
        return self._score(_rows(X, self.memory.width), without=None)

    def predict(self, X: ArrayLike) -> Ints:
        """Return 1 [n] for rows whose score exceeds `threshold_`, else 0."""
        return (self.decision_function(X) > self.threshold_).astype(np.int64)

    def nearest(self, X: ArrayLike) -> tuple[Floats, Ints]:
        """Return distances [n, k] and ids [n, k] of the nearest distinct exemplars, whatever their counts.

        k is `n_neighbors`, or the number of exemplars if that is less.
        """
        distances, slots = self._search(_rows(X, self.memory.width), self.n_neighbors)
        return distances, self.memory.ids[slots]

    @property
    def decision_scores_(self) -> Floats:
        """Scores [n] of the rows given to `fit`, each against all the others."""
        return self._fitted().copy()

    @property
    def threshold_(self) -> float:
        """The score above which `contamination` of the training rows lie."""
        self._fitted()
        return self._threshold

    @property
    def labels_(self) -> Ints:
        """1 [n] for training rows above the threshold, else 0."""
        return (self._fitted() > self._threshold).astype(np.int64)

    def state_dict(self) -> StateTree:
        """Return settings, memory and what `fit` found."""
        scores = self._training_scores
        return {
            "n_neighbors": self.n_neighbors,
            "method": self.method,
            "metric": self.metric,
            "contamination": self.contamination,
            "threshold": self._threshold,
            "fitted": scores is not None,
            "training_scores": np.empty(0) if scores is None else scores.copy(),
            "memory": self.memory.state_dict(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the detector of a state, settings included; raise `CorruptStateError` and change nothing."""
        try:
            loaded = KNN(tree["n_neighbors"], tree["method"], tree["metric"], tree["contamination"])
            loaded.memory.load_state_dict(tree["memory"])
            scores = np.array(tree["training_scores"], dtype=np.float64)
            threshold, fitted = float(tree["threshold"]), bool(tree["fitted"])
        except (KeyError, TypeError, SettingsError) as error:
            raise CorruptStateError(f"this is not the state of a KNN ({error}): load another version") from None
        self.__dict__.update(loaded.__dict__)
        self._threshold = threshold
        self._training_scores = scores if fitted else None

    def _fitted(self) -> Floats:
        if self._training_scores is None:
            raise NotReadyError("KNN has no threshold yet: call fit() first")
        return self._training_scores

    def _score(self, rows: Vectors, without: Ints | None) -> Floats:
        """Score rows; `without` names the exemplar [n] that each row itself raised, to be lowered by one."""
        n_rows = int(self.memory.counts.sum())
        k = self.n_neighbors
        if n_rows < k:
            raise NotReadyError(f"KNN needs {k} remembered rows, has {n_rows}: call fit() or partial_fit() first")
        distances, slots = self._search(rows, k if without is None else k + 1)
        weights = self.memory.counts[slots]
        if without is not None:
            weights -= self.memory.ids[slots] == without[:, None]
        return _join(distances, weights, k, self.method)

    def _search(self, rows: Vectors, k: int) -> tuple[Floats, Ints]:
        distances, slots = self._rows_index().nearest(_in_space(rows, self.metric), k)
        if self.metric == "cosine":
            distances = distances * distances / 2.0  # unit vectors: |x - y|² = 2 (1 - cos)
        return distances, slots

    def _rows_index(self) -> NearestRows:
        """Derive the search from the memory once per change of it."""
        current = self._index
        if current is None or current[0] != self.memory.changes:
            current = (self.memory.changes, NearestRows(_in_space(self.memory.rows, self.metric)))
            self._index = current
        return current[1]


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


def _in_space(rows: Vectors, metric: str) -> NDArray[Any]:
    """Map rows to where the metric is Euclidean.

    Cosine: unit vectors in float64 with one more coordinate, which only zero vectors use: their distance is 1
    to all others and 0 to one another.
    """
    if metric == "euclidean":
        return rows
    wide = rows.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    zero = norms == 0.0
    return np.concatenate([wide / np.where(zero, 1.0, norms)[:, None], zero[:, None]], axis=1)


def _rows(X: ArrayLike, width: int | None) -> Vectors:
    with np.errstate(over="ignore"):
        rows = np.array(X, dtype=np.float32, order="C")
    if rows.ndim != 2 or rows.shape[1] == 0 or width not in (None, rows.shape[1]):
        raise ShapeMismatchError(f"KNN wants rows [n, {width or 'width'}], got {tuple(rows.shape)}")
    if not np.isfinite(rows).all():
        raise InputError("KNN wants finite 32-bit numbers, got NaN or infinity: drop or fill those rows")
    return rows


def _as_memory(memory: CoverMemory | int | None) -> CoverMemory:
    if isinstance(memory, CoverMemory):
        return memory
    return CoverMemory(_DEFAULT_CAPACITY if memory is None else memory)

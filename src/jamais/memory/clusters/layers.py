"""Which exemplars of clusters born together are nearest to a row, and which of the clusters do they vote for?"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.space import Points, Space
from jamais.memory.nearest import NearestRows
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

LOCAL = 8
"""Exemplars whose mean a row is compared with, beside its distances to the nearest ones."""
REACH = 2.0
"""Rows so many times farther from new exemplars than from known ones are not asked at all."""
_TINY = 1e-30
_AT_ONCE = 256  # rows whose neighbours are looked up at once: they stay in the cache


class Near(NamedTuple):
    """The nearest exemplars: distances [n, k] rising, clusters [n, k] and exemplar ids [n, k]."""

    distances: Floats
    clusters: Ints
    ids: Ints

    def mean(self, k: int) -> Floats:
        """Mean distance [n] to the first k."""
        first = np.ascontiguousarray(self.distances[:, :k])
        return np.asarray(np.add.reduce(first, axis=1) / max(1, first.shape[1]))

    def vote(self, k: int) -> Ints:
        """Return the cluster [n] of most of the first k exemplars, of several the one of the nearest exemplar."""
        clusters = self.clusters[:, :k]
        votes = (clusters[:, :, None] == clusters[:, None, :]).sum(axis=2)
        return np.take_along_axis(clusters, votes.argmax(axis=1)[:, None], axis=1)[:, 0]

    def joined(self, other: Near) -> Near:
        """Return the nearest of both, as many as the longer one has; ties go to this one."""
        k = max(self.distances.shape[1], other.distances.shape[1])
        distances = np.concatenate([self.distances, other.distances], axis=1)
        best = np.argsort(distances, axis=1, kind="stable")[:, :k]
        clusters = np.concatenate([self.clusters, other.clusters], axis=1)
        ids = np.concatenate([self.ids, other.ids], axis=1)
        return Near(
            np.take_along_axis(distances, best, axis=1),
            np.take_along_axis(clusters, best, axis=1),
            np.take_along_axis(ids, best, axis=1),
        )

    def below(self, other: Near, most: int) -> Near:
        """Put the rows of `other` below these, and keep the last `most`."""
        return Near(
            np.concatenate([self.distances, other.distances])[-most:],
            np.concatenate([self.clusters, other.clusters])[-most:],
            np.concatenate([self.ids, other.ids])[-most:],
        )

    def take(self, which: Ints | Bools | slice) -> Near:
        return Near(self.distances[which], self.clusters[which], self.ids[which])

    def without(self, own: Bools) -> Near:
        """Leave out one exemplar of each row, marked in `own` [n, k]: that of an exemplar that asks for itself."""
        n, k = self.distances.shape
        shape = (n, k - 1)
        return Near(
            self.distances[~own].reshape(shape), self.clusters[~own].reshape(shape), self.ids[~own].reshape(shape)
        )


class Layer:
    """Exemplars [m] of clusters that one update found, and rows that came to them later. Arrays are not written again.

    `ids` [m] are places among the exemplars of all layers. A row is taken by the layer if its `contrast` with all
    layers before it is above `bar`.
    """

    def __init__(self, points: Points, clusters: Ints, ids: Ints, bar: float, share: float = 0.0) -> None:
        self.points = points
        self.rows = points.rows
        self.clusters = clusters
        self.ids = ids
        self.bar = float(bar)
        self.share = float(share)
        """Of the known rows may pass the bar."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def search(self) -> NearestRows:
        return NearestRows(self.rows)

    def with_rows(self, points: Points, clusters: Ints, ids: Ints, bar: float) -> Layer:
        """Return a layer with more exemplars, and its new bar."""
        more = self.points.below(points, len(self) + len(points))
        return Layer(more, np.concatenate([self.clusters, clusters]), np.concatenate([self.ids, ids]), bar, self.share)

    def near(self, rows: Vectors, k: int) -> Near:
        distances, slots = self.search.nearest(rows, k)
        return Near(distances, self.clusters[slots], self.ids[slots])

    def state_dict(self) -> StateTree:
        return {
            "rows": self.points.raw,
            "clusters": self.clusters,
            "ids": self.ids,
            "bar": self.bar,
            "share": self.share,
        }

    @classmethod
    def from_state(cls, tree: StateTree, space: Space) -> Layer:
        rows, clusters, ids = (tree.get(name) for name in ("rows", "clusters", "ids"))
        if (
            not (isinstance(rows, np.ndarray) and isinstance(clusters, np.ndarray) and isinstance(ids, np.ndarray))
            or rows.dtype != np.float32
            or rows.shape != (len(rows), len(space.centre))
            or not len(rows)
            or not np.isfinite(rows).all()
            or any(one.shape != (len(rows),) or one.dtype != np.int64 or (one < 0).any() for one in (clusters, ids))
            or not np.isfinite(float(tree["bar"]))
        ):
            raise CorruptStateError("rows, clusters and ids of a layer do not fit together: load another version")
        bar, share = float(tree["bar"]), float(tree["share"])
        return cls(space.points(np.array(rows, order="C")), clusters.copy(), ids.copy(), bar, share)


def contrast(rows: Vectors, which: Ints, known: Near, of_known: Vectors, new: Near, of_new: Vectors, k: int) -> Floats:
    """Say of `rows[which]` how much nearer they are to new exemplars than to known ones [len(which)].

    The log of a ratio of distances: of the mean one to the k nearest times the one to the mean of the 8 nearest
    (Mitani and Hamamoto 2006, "A local mean-based nonparametric classifier"). The first follows thin clusters, the
    second is less noisy in many dimensions; together they were better than either.
    """
    far, near = known.mean(k)[which], new.mean(k)[which]
    ratios = np.log(np.maximum(far, _TINY)) - np.log(np.maximum(near, _TINY))
    return np.asarray(ratios + _log_gap(rows, which, known.ids, of_known) - _log_gap(rows, which, new.ids, of_new))


def _log_gap(rows: Vectors, which: Ints, ids: Ints, exemplars: Vectors) -> Floats:
    """Log of the distance of `rows[which]` to the mean of their first exemplars [len(which)], row by row."""
    k = min(LOCAL, ids.shape[1])
    squares = np.empty(len(which), dtype=np.float64)
    for start in range(0, len(which), _AT_ONCE):
        part = which[start : start + _AT_ONCE]
        middle = exemplars[ids[part, 0]].astype(np.float64)
        for i in range(1, k):
            middle += exemplars[ids[part, i]]
        middle /= k
        middle -= rows[part]
        np.multiply(middle, middle, out=middle)
        squares[start : start + _AT_ONCE] = np.add.reduce(middle, axis=1)
    return np.asarray(0.5 * np.log(np.maximum(squares, _TINY)))

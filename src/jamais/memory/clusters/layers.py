"""Which exemplars of clusters born together are nearest to a row, and which of the clusters do they vote for?"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, StateTree, Vectors


class Near(NamedTuple):
    """The nearest exemplars of a layer: distances [n, k] rising, clusters [n, k] and exemplar ids [n, k]."""

    distances: Floats
    clusters: Ints
    ids: Ints

    @property
    def mean(self) -> Floats:
        """Mean distance [n]."""
        return np.asarray(np.add.reduce(self.distances, axis=1) / max(1, self.distances.shape[1]))

    def vote(self) -> Ints:
        """Return the cluster [n] of most of the exemplars, of several the one of the nearest exemplar."""
        votes = (self.clusters[:, :, None] == self.clusters[:, None, :]).sum(axis=2)
        return np.take_along_axis(self.clusters, votes.argmax(axis=1)[:, None], axis=1)[:, 0]

    def joined(self, other: Near, k: int) -> Near:
        """Return the k nearest of both; ties go to this one."""
        both = [np.concatenate(parts, axis=1) for parts in zip(self, other, strict=True)]
        best = np.argsort(both[0], axis=1, kind="stable")[:, :k]
        return Near(*(np.take_along_axis(part, best, axis=1) for part in both))


class Layer:
    """Exemplars `rows` [m, width] of clusters that one update gave birth to. Its arrays are never written again.

    A row is taken by the layer if it is more than `bar` times nearer to it than to all layers before it.
    """

    def __init__(self, rows: Vectors, clusters: Ints, ids: Ints, bar: float) -> None:
        self.rows = rows
        self.clusters = clusters
        self.ids = ids
        self.bar = float(bar)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def search(self) -> NearestRows:
        return NearestRows(self.rows)

    def near(self, rows: Vectors, k: int) -> Near:
        distances, slots = self.search.nearest(rows, k)
        return Near(distances, self.clusters[slots], self.ids[slots])

    def state_dict(self) -> StateTree:
        return {"rows": self.rows, "clusters": self.clusters, "ids": self.ids, "bar": self.bar}

    @classmethod
    def from_state(cls, tree: StateTree) -> Layer:
        rows, clusters, ids = (tree.get(name) for name in ("rows", "clusters", "ids"))
        if (
            not (isinstance(rows, np.ndarray) and isinstance(clusters, np.ndarray) and isinstance(ids, np.ndarray))
            or rows.ndim != 2
            or rows.dtype != np.float32
            or not np.isfinite(rows).all()
            or any(one.shape != (len(rows),) or one.dtype != np.int64 or (one < 0).any() for one in (clusters, ids))
            or not float(tree["bar"]) >= 0.0
        ):
            raise CorruptStateError("rows, clusters and ids of a layer do not fit together: load another version")
        return cls(np.array(rows, order="C"), clusters.copy(), ids.copy(), float(tree["bar"]))

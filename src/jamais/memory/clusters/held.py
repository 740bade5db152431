"""Which known rows are held out to see whether their labels stay?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.space import Points, Space
from jamais.types import Bools, Ints, StateTree

_COLUMNS = ("told", "first", "labels")


@dataclass(frozen=True)
class Held:
    """Rows [h] that no decision was made from, what an outer model told of them, and their labels [h]."""

    points: Points
    told: Ints
    first: Ints
    """The label when the row came."""
    labels: Ints
    """The label now."""

    @classmethod
    def of(cls, points: Points, told: Ints, labels: Ints) -> Held:
        return cls(points, told, labels, labels)

    def __len__(self) -> int:
        return len(self.points)

    def more(self, other: Held) -> Held:
        return Held(
            self.points.below(other.points, len(self) + len(other)),
            np.concatenate([self.told, other.told]),
            np.concatenate([self.first, other.first]),
            np.concatenate([self.labels, other.labels]),
        )

    def relabelled(self, labels: Ints) -> Held:
        return replace(self, labels=labels)

    def moved(self) -> Bools:
        return np.asarray(self.first != self.labels)

    def state_dict(self) -> StateTree:
        return {"rows": self.points.raw, "told": self.told, "first": self.first, "labels": self.labels.copy()}

    @classmethod
    def from_state(cls, tree: StateTree, space: Space) -> Held:
        rows, columns = tree["rows"], [tree[name] for name in _COLUMNS]
        if (
            rows.dtype != np.float32
            or rows.shape != (len(rows), len(space.centre))
            or not np.isfinite(rows).all()
            or any(one.dtype != np.int64 or one.shape != (len(rows),) for one in columns)
        ):
            raise CorruptStateError("held-out rows of a cluster memory do not fit together: load another version")
        told, first, labels = (one.copy() for one in columns)
        return cls(space.points(np.array(rows, order="C")), told, first, labels)

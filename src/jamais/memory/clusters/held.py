"""Which known rows are held out to see whether their labels stay?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Bools, Ints, StateTree, Vectors

_COLUMNS = ("told", "first", "labels")


class Held(NamedTuple):
    """Rows [h, width] that no decision was made from, what an outer model told of them, and their labels [h]."""

    rows: Vectors
    told: Ints
    first: Ints
    """The label when the row came."""
    labels: Ints
    """The label now."""

    @classmethod
    def of(cls, rows: Vectors, told: Ints, labels: Ints) -> Held:
        return cls(rows, told, labels, labels)

    def more(self, other: Held, most: int) -> Held:
        """Add rows, as long as there are at most `most`."""
        room = max(0, most - len(self.rows))
        return Held(
            np.concatenate([self.rows, other.rows[:room]]),
            np.concatenate([self.told, other.told[:room]]),
            np.concatenate([self.first, other.first[:room]]),
            np.concatenate([self.labels, other.labels[:room]]),
        )

    def relabelled(self, labels: Ints) -> Held:
        return self._replace(labels=labels)

    def moved(self) -> Bools:
        return np.asarray(self.first != self.labels)

    def state_dict(self) -> StateTree:
        return self._asdict()

    @classmethod
    def from_state(cls, tree: StateTree, width: int) -> Held:
        rows, columns = tree["rows"], [tree[name] for name in _COLUMNS]
        if (
            rows.dtype != np.float32
            or rows.shape != (len(rows), width)
            or not np.isfinite(rows).all()
            or any(one.dtype != np.int64 or one.shape != (len(rows),) for one in columns)
        ):
            raise CorruptStateError("held-out rows of a cluster memory do not fit together: load another version")
        return cls(np.array(rows, order="C"), *(one.copy() for one in columns))

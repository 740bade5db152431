"""How are kept rows and their books stored, so that one more is cheap and a view stays true?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import NO_TIME, Ints, StateTree, Vectors

_COLUMNS = ("counts", "ids", "first_seen", "last_seen", "source_codes")


@dataclass
class Exemplars:
    """Rows [room, width] with columns [room] beside them; the first `size` are in use.

    Rows in use are never written again: appending goes behind them, removing makes a new object.
    """

    rows: Vectors
    counts: Ints
    ids: Ints
    first_seen: Ints
    last_seen: Ints
    source_codes: Ints
    size: int

    @classmethod
    def empty(cls, width: int) -> Exemplars:
        columns = [np.empty(0, dtype=np.int64) for _ in _COLUMNS]
        return cls._of(np.empty((0, width), dtype=np.float32), columns)

    @classmethod
    def _of(cls, rows: Vectors, columns: list[Ints]) -> Exemplars:
        counts, ids, first_seen, last_seen, source_codes = columns
        return cls(rows, counts, ids, first_seen, last_seen, source_codes, len(rows))

    @classmethod
    def joined(cls, left: Exemplars, right: Exemplars) -> Exemplars:
        """Join two objects into a new one, in the order of their ids."""
        order = np.argsort(np.concatenate([left.ids[: left.size], right.ids[: right.size]]), kind="stable")
        columns = [
            np.concatenate([getattr(left, name)[: left.size], getattr(right, name)[: right.size]])[order]
            for name in _COLUMNS
        ]
        return cls._of(np.concatenate([left.rows[: left.size], right.rows[: right.size]])[order], columns)

    @property
    def n_bytes(self) -> int:
        return int(self.rows.nbytes + sum(getattr(self, name).nbytes for name in _COLUMNS))

    def take(self, slots: Ints) -> Exemplars:
        """Copy the named slots into a new object without spare room."""
        columns = [getattr(self, name)[slots] for name in _COLUMNS]
        return self._of(self.rows[slots], columns)

    def append(self, other: Exemplars, slot: int, own_id: int) -> None:
        """Copy one slot of `other` behind the last, under `own_id`."""
        if self.size == len(self.rows):
            self._make_room()
        self.rows[self.size] = other.rows[slot]
        for name in _COLUMNS:
            getattr(self, name)[self.size] = getattr(other, name)[slot]
        self.ids[self.size] = own_id
        self.size += 1

    def add_to(self, slot: int, other: Exemplars, other_slot: int) -> None:
        """Let `slot` stand for what a slot of `other` stands for, too."""
        self.counts[slot] += other.counts[other_slot]
        early = int(other.first_seen[other_slot])
        if early != NO_TIME and (self.first_seen[slot] == NO_TIME or early < self.first_seen[slot]):
            self.first_seen[slot] = early
        # NO_TIME is the smallest of all, so here it needs no care.
        self.last_seen[slot] = max(self.last_seen[slot], other.last_seen[other_slot])

    def to_state(self) -> StateTree:
        kept = self.take(np.arange(self.size))
        return {"rows": kept.rows, **{name: getattr(kept, name) for name in _COLUMNS}}

    @classmethod
    def from_state(cls, tree: StateTree) -> Exemplars:
        """Copy from a state; raise `CorruptStateError` naming the leaf that does not fit."""
        rows = _leaf(tree, "rows", np.dtype(np.float32), 2)
        columns = [_leaf(tree, name, np.dtype(np.int64), 1) for name in _COLUMNS]
        for name, column in zip(_COLUMNS, columns, strict=True):
            if len(column) != len(rows):
                raise CorruptStateError(f"memory.{name}: saved [{len(column)}], rows are [{len(rows)}]")
        return cls._of(rows, columns)

    def _make_room(self) -> None:
        room = max(16, 2 * len(self.rows))
        rows = np.empty((room, self.rows.shape[1]), dtype=np.float32)
        rows[: self.size] = self.rows[: self.size]
        self.rows = rows
        for name in _COLUMNS:
            column = np.empty(room, dtype=np.int64)
            column[: self.size] = getattr(self, name)[: self.size]
            setattr(self, name, column)


def _leaf(tree: StateTree, name: str, dtype: np.dtype[Any], n_dimensions: int) -> NDArray[Any]:
    array = tree.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != n_dimensions:
        got = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptStateError(f"memory.{name}: saved {got}, wanted {dtype} with {n_dimensions} dimensions")
    return np.array(array, order="C")

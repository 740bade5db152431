"""How are kept rows and their books stored, so that one more is cheap and a view stays true?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import NO_TIME, Bools, Ints, StateTree, Vectors

_COLUMNS = ("counts", "ids", "first_seen", "last_seen", "source_codes")
_NEVER = np.iinfo(np.int64).max
BOOK_BYTES = 8 * len(_COLUMNS)
"""Bytes of one slot beside its row."""


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

    @property
    def n_bytes(self) -> int:
        return int(self.rows.nbytes + sum(getattr(self, name).nbytes for name in _COLUMNS))

    def take(self, slots: Ints) -> Exemplars:
        """Copy the named slots into a new object without spare room."""
        columns = [getattr(self, name)[slots] for name in _COLUMNS]
        return self._of(self.rows[slots], columns)

    def without(self, gone: Bools) -> Exemplars:
        """Copy all slots but those marked in `gone` [size] into a new object with the same room."""
        stay = np.flatnonzero(~gone)
        made = self.empty(self.rows.shape[1])
        made._make_room(len(self.rows))
        np.take(self.rows, stay, axis=0, out=made.rows[: len(stay)], mode="clip")
        for name in _COLUMNS:
            getattr(made, name)[: len(stay)] = getattr(self, name)[stay]
        made.size = len(stay)
        return made

    def append(self, other: Exemplars, slots: Ints, ids: Ints, most: int) -> None:
        """Copy the named slots of `other` behind the last, under `ids`; never make room for more than `most`."""
        size = self.size + len(slots)
        if size > len(self.rows):
            self._make_room(max(size, min(max(16, 2 * len(self.rows)), most)))
        part = slice(self.size, size)
        np.take(other.rows, slots, axis=0, out=self.rows[part], mode="clip")
        for name in _COLUMNS:
            getattr(self, name)[part] = getattr(other, name)[slots]
        self.ids[part] = ids
        self.size = size

    def add_to(self, slots: Ints, other: Exemplars, other_slots: Ints) -> None:
        """Let each of `slots` stand for what the one beside it in `other_slots` of `other` stands for, too."""
        np.add.at(self.counts, slots, other.counts[other_slots])
        # NO_TIME is the smallest of all: as a latest time it needs no care, as an earliest it must lose.
        np.maximum.at(self.last_seen, slots, other.last_seen[other_slots])
        early = other.first_seen[other_slots]
        dated = early != NO_TIME
        slots, early = slots[dated], early[dated]
        self.first_seen[slots] = np.where(self.first_seen[slots] == NO_TIME, _NEVER, self.first_seen[slots])
        np.minimum.at(self.first_seen, slots, early)

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

    def check(self, next_id: int, n_sources: int) -> None:
        """Raise `CorruptStateError` where the columns cannot be those of a memory."""
        broken = {
            "rows": not np.isfinite(self.rows).all(),
            "counts": (self.counts < 1).any(),
            "ids": (np.diff(self.ids) <= 0).any() or (self.ids < 0).any() or (self.ids >= next_id).any(),
            "source_codes": (self.source_codes < 0).any() or (self.source_codes >= n_sources).any(),
        }
        for name, is_broken in broken.items():
            if is_broken:
                raise CorruptStateError(f"memory.{name}: not what a memory can hold: load another version")

    def _make_room(self, room: int) -> None:
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

"""Which of these rows repeat a kept one, or one another, bit for bit?

Rows are told apart by 64-bit numbers made of all their bits, a million rows of 256 columns in about a second.
Equal numbers are only a guess: the rows themselves are compared. Should two rows share a number, all numbers are
drawn anew, so the answer is exact whatever rows come.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.memory.kept.exemplars import Exemplars
from jamais.types import Ints, Vectors

Marks = NDArray[np.uint64]

REPEAT_BYTES = 16
"""Bytes of one row in the table."""
_AT_ONCE = 32_768  # numbers mixed at once: they stay in the processor's cache
_COMPARED = 1_000_000  # numbers compared at once


class Repeats:
    """The table of marks and ids of kept rows, sorted by mark; the rows stay with their `Exemplars`."""

    def __init__(self, kept: Exemplars | None = None) -> None:
        self._salt = 0
        self._marks: Marks = np.empty(0, dtype=np.uint64)
        self._ids: Ints = np.empty(0, dtype=np.int64)
        if kept is not None and kept.size:
            self._draw(kept)

    @property
    def n_bytes(self) -> int:
        return self._marks.nbytes + self._ids.nbytes

    def marked(self, kept: Exemplars, rows: Vectors) -> tuple[Marks, Ints, Ints]:
        """Return of `rows` [n, width] the marks, the slots of the kept rows they repeat (-1: none), and their firsts.

        The first of a row is the place in `rows` where it comes for the first time.
        """
        while True:
            marks = _marks(rows, self._salt)
            slots, firsts = self._slots(kept, marks), _firsts(marks)
            hit, again = np.flatnonzero(slots >= 0), np.flatnonzero(firsts != np.arange(len(rows)))
            if _same(rows, hit, kept.rows, slots[hit]) and _same(rows, again, rows, firsts[again]):
                return marks, slots, firsts
            self._salt += 1
            self._draw(kept)

    def add(self, marks: Marks, ids: Ints) -> None:
        """Enter rows that are not in the table yet."""
        order = np.argsort(marks, kind="stable")
        places = np.searchsorted(self._marks, marks[order])
        self._marks = np.insert(self._marks, places, marks[order])
        self._ids = np.insert(self._ids, places, ids[order])

    def drop(self, rows: Vectors) -> None:
        """Take out `rows`, all of which are in the table."""
        places = np.searchsorted(self._marks, _marks(rows, self._salt))
        self._marks, self._ids = np.delete(self._marks, places), np.delete(self._ids, places)

    def _slots(self, kept: Exemplars, marks: Marks) -> Ints:
        if not len(self._marks):
            return np.full(len(marks), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._marks, marks), len(self._marks) - 1)
        slots = np.searchsorted(kept.ids[: kept.size], self._ids[places])
        return np.where(self._marks[places] == marks, slots, -1)

    def _draw(self, kept: Exemplars) -> None:
        """Mark all kept rows anew; raise `CorruptStateError` where two of them are equal, as only a wrong state has."""
        while True:
            marks = _marks(kept.rows[: kept.size], self._salt)
            order = np.argsort(marks, kind="stable")
            self._marks, self._ids = marks[order], kept.ids[: kept.size][order]
            alike = np.flatnonzero(self._marks[1:] == self._marks[:-1])
            if not len(alike):
                return
            if _same(kept.rows, order[alike[:1]], kept.rows, order[alike[:1] + 1]):
                raise CorruptStateError(f"memory.rows: row {order[alike[0]]} stands there twice: load another version")
            self._salt += 1


def _marks(rows: Vectors, salt: int) -> Marks:
    """Mix all bits of each row into one number [n]."""
    n, width = rows.shape
    if width % 2:
        rows = np.concatenate([rows, np.zeros((n, 1), dtype=np.float32)], axis=1)
    lanes = np.ascontiguousarray(rows).view(np.uint64)
    drawn = _drawn(salt, lanes.shape[1])
    marks = np.empty(n, dtype=np.uint64)
    step = max(1, _AT_ONCE // lanes.shape[1])
    for start in range(0, n, step):
        x = lanes[start : start + step] ^ drawn[0]
        for factors in drawn[1:]:
            x *= factors
            x ^= x >> np.uint64(32)
        np.add.reduce(x, axis=1, out=marks[start : start + step])
    return marks


@functools.lru_cache(maxsize=32)
def _drawn(salt: int, n_lanes: int) -> NDArray[np.uint64]:
    return np.random.default_rng([salt, n_lanes]).integers(0, 2**64, (3, n_lanes), dtype=np.uint64) | np.uint64(1)


def _firsts(marks: Marks) -> Ints:
    _, first, which = np.unique(marks, return_index=True, return_inverse=True)
    return np.asarray(first[which], dtype=np.int64)


def _same(left: Vectors, left_slots: Ints, right: Vectors, right_slots: Ints) -> bool:
    """Say whether the named rows are equal bit for bit, in pairs."""
    step = max(1, _COMPARED // max(1, left.shape[1]))
    for start in range(0, len(left_slots), step):
        part = slice(start, start + step)
        if (left[left_slots[part]].view(np.int32) != right[right_slots[part]].view(np.int32)).any():
            return False
    return True

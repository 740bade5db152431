"""How do exemplars stand for all rows in their reach, row after row, at the price of a batch?"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from typing import Self

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.kept.books import Books
from jamais.memory.kept.exemplars import BOOK_BYTES, Exemplars
from jamais.memory.kept.nearby import Nearby
from jamais.memory.kept.repeats import REPEAT_BYTES, Marks
from jamais.memory.nearest import squared_differences
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

_FEWEST, _MOST = 32, 1024  # rows whose distances are looked up at once; changes no result

RIPE = 5
"""Rows that an exemplar stands for, before it is thought to be one of many."""

Moves = dict[int, int]
"""The ids of exemplars that went to the ids of those that stand for them now."""


class Covering(Books):
    """A row in reach of the nearest exemplar raises its count, any other row is kept itself.

    An exemplar reaches as far as `radius`, and `farther` times that when it is ripe: few rows may be all that is
    known of something rare, so they are told apart more finely. When the memory is full, the policy makes room.
    """

    farther = 1.0
    """The reach of exemplars that stand for `RIPE` rows or more, in radii."""

    def __init__(self, capacity: int | None, max_bytes: int | str | None) -> None:
        super().__init__(capacity, max_bytes)
        self.radius = 0.0
        self._nearby = Nearby()
        self._at_once = _FEWEST

    @abstractmethod
    def _make_room(self) -> Moves:
        """Grow the radius, and let fewer exemplars stand for the rest."""

    @abstractmethod
    def _reach_out(self, radius: float) -> None:
        """Grow the radius to that of a memory that is merged."""

    @property
    def reach(self) -> float:
        """Up to this distance an exemplar stands for a row; 0 when only for exact repeats."""
        return self.radius * self.farther

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows, their books and what finds them."""
        return super().ram_bytes + self._nearby.n_bytes

    def _bytes_per_row(self, width: int) -> int:
        # The search holds the rows again, with two numbers for each.
        return 8 * width + 8 + BOOK_BYTES + REPEAT_BYTES

    def _own_state(self) -> StateTree:
        return {"radius": self.radius}

    def _load_own(self, tree: StateTree) -> None:
        self.radius = float(tree["radius"])
        if not 0.0 <= self.radius < np.inf:
            raise CorruptStateError(f"memory.radius: saved {self.radius}, wanted a finite number >= 0")

    def _merge_in(self, other: Self, batch: Exemplars) -> Ints:
        if other.radius > self.radius:
            self._reach_out(other.radius)
        return self._take_in(batch)

    def _replace(self, kept: Exemplars) -> None:
        super()._replace(kept)
        self._nearby = Nearby()

    def _drop(self, gone: Bools) -> None:
        super()._drop(gone)
        self._nearby = Nearby()

    def _take_in(self, batch: Exemplars) -> Ints:
        given = np.full(batch.size, -1, dtype=np.int64)
        start = 0
        while start < batch.size:
            stop = batch.size if self.radius == 0.0 else min(start + self._at_once, batch.size)
            done = self._absorb(batch, start, stop, given)
            self._at_once = min(2 * self._at_once, _MOST)
            if done < stop:  # full: make room, then look the rest up anew
                moved = self._make_room()
                assert self._kept.size < self.capacity, "making room freed no slot"
                given[:done] = _moved(given[:done], moved)
                self._at_once = _FEWEST
            start = done
        self.changes += 1
        return given

    def _absorb(self, batch: Exemplars, start: int, stop: int, given: Ints) -> int:
        """Take in rows start … stop; return where it had to end because the memory was full."""
        block = batch.rows[start:stop]
        marks, slots, firsts = self._repeats.marked(self._kept, block)
        if self.radius == 0.0:
            kept, slots = _unlike(slots, firsts, self._kept.size, self.capacity)
        else:
            kept, slots = self._unreached(block, batch.counts[start:stop], slots)
        self._keep(batch, start, kept, marks)
        done = len(slots)
        others = np.delete(np.arange(done), kept)
        self._kept.add_to(slots[others], batch, start + others)
        given[start : start + done] = self._kept.ids[slots]
        return start + done

    def _unreached(self, block: Vectors, counts: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Return which rows of a block are to be kept, and the slot that stands for each row, up to where it is full.

        Rows that repeat an exemplar have its slot already, others -1.
        """
        size, distances, nearest = self._kept.size, np.zeros(len(block)), slots.copy()
        asked = np.flatnonzero(slots < 0)
        distances[asked], nearest[asked] = self._nearby.nearest(self._kept, block[asked])
        known = self._kept.counts[nearest] if size else np.zeros(len(block), dtype=np.int64)
        # In reach of a ripe exemplar it does not matter who comes first; all others take turns.
        waits = (distances > self.reach) | (known < RIPE)
        turns, held, kept = np.flatnonzero(waits).tolist(), dict[int, int](), list[int]()
        while turns:
            row = heapq.heappop(turns)
            slot = int(nearest[row])
            count = held.get(slot, int(known[row]))
            if distances[row] <= self.radius * (self.farther if count >= RIPE else 1.0):
                held[slot] = count + int(counts[row])
                continue
            slot = size + len(kept)
            if slot == self.capacity:
                return np.array(kept, dtype=np.int64), nearest[:row]
            for later in _follow_one(block, row, slot, distances, nearest).tolist():
                if not waits[later]:
                    waits[later] = True
                    heapq.heappush(turns, later)
            held[slot] = int(counts[row])
            kept.append(row)
        return np.array(kept, dtype=np.int64), nearest

    def _keep(self, batch: Exemplars, start: int, kept: Ints, marks: Marks) -> None:
        if not len(kept):
            return
        own = batch.ids[start + kept]
        ids = own if own[0] >= 0 else self._new_ids(len(kept))
        self._kept.append(batch, start + kept, ids, self.capacity)
        self._repeats.add(marks[kept], ids)


def _unlike(slots: Ints, firsts: Ints, size: int, capacity: int) -> tuple[Ints, Ints]:
    """Return which rows are unlike all before them, and the slot of each row, up to where `capacity` is reached."""
    is_new = (slots < 0) & (firsts == np.arange(len(slots)))
    kept = np.flatnonzero(is_new)
    stop = len(slots) if len(kept) <= capacity - size else int(kept[capacity - size])
    kept, slots, firsts = kept[: capacity - size], slots[:stop], firsts[:stop]
    slots[kept] = size + np.arange(len(kept))
    return kept, slots[firsts]


def _follow_one(rows: Vectors, row: int, slot: int, distances: Floats, nearest: Ints) -> Ints:
    """Let a row that is kept in `slot` be nearest to those after it that it is nearest to; return which."""
    later = rows[row:]
    gaps = np.sqrt(squared_differences(later, np.broadcast_to(rows[row], later.shape)))
    nearer = row + np.flatnonzero(gaps < distances[row:])
    distances[nearer], nearest[nearer] = gaps[nearer - row], slot
    return nearer


def _moved(ids: Ints, moved: Moves) -> Ints:
    """Give the ids that stand now for those that once did."""
    if not moved:
        return ids
    old = np.array(sorted(moved), dtype=np.int64)
    new = np.array([moved[one] for one in old.tolist()], dtype=np.int64)
    places = np.minimum(np.searchsorted(old, ids), len(old) - 1)
    return np.where(old[places] == ids, new[places], ids)

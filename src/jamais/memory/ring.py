"""Which rows were seen last?"""

from __future__ import annotations

from collections import OrderedDict
from typing import Self

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.kept.books import Books
from jamais.memory.kept.exemplars import Exemplars
from jamais.types import Bools, Ints, StateTree


class RingMemory(Books):
    """Keep the `capacity` different rows seen most lately; what was not seen for longest gives way.

    A repeat renews its row and raises its count, which begins anew when a row comes back that had given way.
    `refresh` renews, too. Merging takes `other` for the later half: the rows kept are those of one pass, their
    counts lie between those of one pass and all that were seen.
    """

    def __init__(self, capacity: int | None = None, *, max_bytes: int | str | None = None) -> None:
        super().__init__(capacity, max_bytes)
        self._order: OrderedDict[int, None] = OrderedDict()
        """Ids by when their rows were seen last."""

    @property
    def reach(self) -> float:
        """Always 0: an exemplar stands for its own repeats."""
        return 0.0

    def _take_in(self, batch: Exemplars) -> Ints:
        marks, slots, firsts = self._repeats.marked(self._kept, batch.rows)
        owners, entered, now, left = self._run(
            np.where(slots >= 0, self._kept.ids[slots] if self._kept.size else -1, -1), firsts
        )
        if len(left):
            self._drop(np.isin(self._kept.ids[: self._kept.size], left))
        alive = np.array([own in self._order for own in owners.tolist()], dtype=np.bool_)
        entered = entered[alive[entered]]
        self._kept.append(batch, entered, owners[entered], self.capacity)
        self._repeats.add(marks[entered], owners[entered])
        others = np.setdiff1d(np.flatnonzero(alive), entered)
        self._kept.add_to(self._slots_of(owners[others]), batch, others)
        self.changes += 1
        return np.where([own in self._order for own in now.tolist()], now, -1)

    def _run(self, known: Ints, firsts: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Let rows come one after the other.

        Return the id [n] of each as it came, the rows that entered, the last id [n] of each, and ids that gave way.
        """
        owners, entered, left = np.empty(len(firsts), dtype=np.int64), [], []
        ids = dict(enumerate(known.tolist()))
        for row, first in enumerate(firsts.tolist()):
            own = ids[first]
            if own in self._order:
                self._order.move_to_end(own)
            else:
                if len(self._order) == self.capacity:
                    left.append(self._order.popitem(last=False)[0])
                own = ids[first] = self._next_id
                self._next_id += 1
                self._order[own] = None
                entered.append(row)
            owners[row] = own
        now = np.array([ids[first] for first in firsts.tolist()], dtype=np.int64)
        return owners, np.array(entered, dtype=np.int64), now, np.array(left, dtype=np.int64)

    def _merge_in(self, other: Self, batch: Exemplars) -> Ints:
        """Take in the newest rows of `other`; of ours only those give way that have no place among the newest."""
        newest = np.arange(max(0, batch.size - self.capacity), batch.size)
        known = self.ids_of(batch.rows[newest])
        n_over = self._kept.size + int((known < 0).sum()) - self.capacity
        renewed = set(known.tolist())
        self.forget([own for own in self._order if own not in renewed][: max(0, n_over)])
        given = np.full(batch.size, -1, dtype=np.int64)
        given[newest] = self._take_in(batch.take(newest))
        return given

    def _refresh(self, slots: Ints, batch: Exemplars) -> None:
        super()._refresh(slots, batch)
        for own in self._kept.ids[slots].tolist():
            self._order.move_to_end(own)

    def _in_order(self) -> Ints:
        return self._slots_of(np.array(list(self._order), dtype=np.int64))

    def _drop(self, gone: Bools) -> None:
        for own in self._kept.ids[: self._kept.size][gone].tolist():
            self._order.pop(own, None)  # what gave way has left it already
        super()._drop(gone)

    def _replace(self, kept: Exemplars) -> None:
        super()._replace(kept)
        self._order = OrderedDict.fromkeys(kept.ids[: kept.size].tolist())

    def _own_state(self) -> StateTree:
        return {"order": np.array(list(self._order), dtype=np.int64)}

    def _load_own(self, tree: StateTree) -> None:
        order = tree["order"]
        if not isinstance(order, np.ndarray) or order.dtype != np.int64 or sorted(order.tolist()) != self.ids.tolist():
            raise CorruptStateError("memory.order: does not name each id once: load another version")
        self._order = OrderedDict.fromkeys(order.tolist())

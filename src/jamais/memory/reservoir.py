"""Which rows are a fair sample of all rows ever added?"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Self

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.kept.books import Books
from jamais.memory.kept.exemplars import BOOK_BYTES, Exemplars
from jamais.memory.kept.repeats import REPEAT_BYTES
from jamais.memory.sample import Priorities, priorities_of, redrawn
from jamais.types import Bools, Ints, StateTree

_AT_ONCE = 4096  # draws whose priorities are looked at together; changes no result
_DRAW_BYTES = 304  # of a pair of numbers in the heap, and of an entry of the table of counts


class ReservoirMemory(Books):
    """Keep `capacity` rows drawn uniformly from all rows added; a row with a count of c draws c times.

    Every draw has a pseudo-random priority made of its place in the stream and `seed`, and the smallest stay, so it
    does not matter in which batches rows come (bottom-k, see `Sample`). Repeats share an exemplar, whose count says
    how many of the draws it holds. Merging gives a uniform sample of all rows that either has seen. `refresh`
    renews dates only: counts are those of the sample. After `forget`, free places go to the rows that come next.
    """

    def __init__(self, capacity: int | None = None, seed: int = 0, *, max_bytes: int | str | None = None) -> None:
        super().__init__(capacity, max_bytes)
        self.seed = int(seed)
        self._n_drawn = 0
        self._draws: list[tuple[int, int]] = []
        """A heap of (-priority, id of the exemplar): the worst comes first."""
        self._held: dict[int, int] = {}
        """How many draws each exemplar holds."""

    @property
    def reach(self) -> float:
        """Always 0: an exemplar stands for its own repeats."""
        return 0.0

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows, their books and what finds them."""
        return super().ram_bytes + _DRAW_BYTES * len(self._draws)

    def _bytes_per_row(self, width: int) -> int:
        return 4 * width + BOOK_BYTES + REPEAT_BYTES + _DRAW_BYTES

    def _take_in(self, batch: Exemplars) -> Ints:
        upto = np.cumsum(batch.counts)
        n_drawn = int(upto[-1]) if batch.size else 0
        for start in range(0, n_drawn, _AT_ONCE):
            places = np.arange(start, min(start + _AT_ONCE, n_drawn))
            priorities = priorities_of(places + self._n_drawn, self.seed)
            if len(self._draws) == self.capacity:
                better = priorities < np.uint64(-self._draws[0][0])
                places, priorities = places[better], priorities[better]
            self._compete(batch, np.searchsorted(upto, places, side="right"), priorities)
        self._n_drawn += n_drawn
        self.changes += 1
        return self.ids_of(batch.rows)

    def _compete(self, batch: Exemplars, owners: Ints, priorities: Priorities) -> None:
        """Let draws [n] of the rows `owners` [n] of a batch take places."""
        if not len(owners):
            return
        drawn = batch.take(owners)
        drawn.counts[:] = 0  # how many draws a row holds is written below
        marks, slots, firsts = self._repeats.marked(self._kept, drawn.rows)
        known = np.where(slots >= 0, self._kept.ids[slots] if self._kept.size else -1, -1)
        ids, entered, changed = self._run(priorities.tolist(), known, firsts)
        gone = np.isin(self._kept.ids[: self._kept.size], [own for own in changed if own not in self._held])
        if gone.any():
            super()._drop(gone)
        alive = np.array([own in self._held for own in ids.tolist()], dtype=np.bool_)
        entered = entered[alive[entered]]
        self._kept.append(drawn, entered, ids[entered], self.capacity)
        self._repeats.add(marks[entered], ids[entered])
        others = np.setdiff1d(np.flatnonzero(alive), entered)
        self._kept.add_to(self._slots_of(ids[others]), drawn, others)
        stays = np.array(sorted(changed & self._held.keys()), dtype=np.int64)
        self._kept.counts[self._slots_of(stays)] = [self._held[own] for own in stays.tolist()]

    def _run(self, priorities: list[int], known: Ints, firsts: Ints) -> tuple[Ints, Ints, set[int]]:
        """Let draws come one after the other.

        Return the id [n] of each (-1: it won no place), the draws that made a new id, and whose counts changed.
        """
        ids = dict(enumerate(known.tolist()))
        given, entered, changed = np.full(len(firsts), -1, dtype=np.int64), [], set()
        for draw, (priority, first) in enumerate(zip(priorities, firsts.tolist(), strict=True)):
            if len(self._draws) == self.capacity:
                if priority >= -self._draws[0][0]:
                    continue
                changed.add(self._give_up())
            if ids[first] not in self._held:
                ids[first] = self._next_id
                self._next_id += 1
                entered.append(draw)
            own = given[draw] = ids[first]
            heapq.heappush(self._draws, (-priority, own))
            self._held[own] = self._held.get(own, 0) + 1
            changed.add(own)
        return given, np.array(entered, dtype=np.int64), changed

    def _give_up(self) -> int:
        """Take the worst draw out; return the id that it belonged to."""
        _, own = heapq.heappop(self._draws)
        self._held[own] -= 1
        if not self._held[own]:
            del self._held[own]
        return own

    def _refresh(self, slots: Ints, batch: Exemplars) -> None:
        batch.counts[:] = 0
        self._kept.add_to(slots, batch, np.arange(batch.size))

    def _drop(self, gone: Bools) -> None:
        dropped = set(self._kept.ids[: self._kept.size][gone].tolist())
        self._hold([draw for draw in self._draws if draw[1] not in dropped])
        super()._drop(gone)

    def _replace(self, kept: Exemplars) -> None:
        super()._replace(kept)
        self._hold([])

    def _hold(self, draws: list[tuple[int, int]]) -> None:
        heapq.heapify(draws)
        self._draws, self._held = draws, dict(Counter(own for _, own in draws))

    def _merge_in(self, other: Self, batch: Exemplars) -> Ints:
        """Let the draws of `other` compete under new priorities: those of one seed would be the same as ours."""
        draws = np.array(sorted(other._draws, reverse=True), dtype=object).reshape(-1, 2)
        fresh = np.array([-int(draw) for draw in draws[:, 0]], dtype=np.uint64)
        if self._n_drawn:
            fresh = redrawn(other._n_drawn, len(draws), (self.seed, self._n_drawn))
        slots = np.searchsorted(other.ids, draws[:, 1].astype(np.int64))
        self._compete(batch, slots, fresh)
        self._n_drawn += other._n_drawn
        self.changes += 1
        return self.ids_of(batch.rows)

    def _own_state(self) -> StateTree:
        draws = sorted(self._draws, reverse=True)
        return {
            "seed": self.seed,
            "n_drawn": self._n_drawn,
            "priorities": np.array([-priority for priority, _ in draws], dtype=np.uint64),
            "draws": np.array([own for _, own in draws], dtype=np.int64),
        }

    def _load_own(self, tree: StateTree) -> None:
        self.seed, self._n_drawn = int(tree["seed"]), int(tree["n_drawn"])
        priorities, draws = tree["priorities"], tree["draws"]
        if (
            not (isinstance(priorities, np.ndarray) and isinstance(draws, np.ndarray))
            or priorities.dtype != np.uint64
            or draws.dtype != np.int64
            or not priorities.shape == draws.shape == (int(self.counts.sum()),)
            or not len(draws) <= min(self.capacity, self._n_drawn)
        ):
            raise CorruptStateError("memory.draws: do not fit the counts of the rows: load another version")
        self._hold([(-priority, own) for priority, own in zip(priorities.tolist(), draws.tolist(), strict=True)])
        if [self._held.get(own) for own in self.ids.tolist()] != self.counts.tolist():
            raise CorruptStateError("memory.draws: do not fit the counts of the rows: load another version")

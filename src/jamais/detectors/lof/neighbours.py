"""Who are the nearest others of every remembered row, while rows come and go?

Every row has a list of its nearest others, somewhat longer than needed. Rows that go are struck off the lists,
rows that come are written into those that they are near enough for; only a list that has become too short is made
anew. Order is by (distance, id) throughout, so what a list names never depends on how it came about.
"""

from __future__ import annotations

import numpy as np

from jamais.detectors.lof.candidates import STEP, Candidates, distances
from jamais.detectors.lof.saved import checked_lists
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

SLACK = 12
"""How many more than needed a new list names: so many may go before it is made anew."""
_STALE = 4  # times as many rows written as there are: by then they may lie elsewhere


class NeighbourLists:
    """Name the nearest others of `rows` [m, width] with rising `ids` [m]: at least `depth` each, or all there are.

    A row keeps its slot while it stays; `slots` [m] leads from rows to slots. `near` [room, columns] (slots) and
    `far` [room, columns] (their distances) are right in the first `known` [room] columns; behind these, and in
    empty slots, a list names its own slot.
    """

    def __init__(self, rows: Vectors, ids: Ints, depth: int) -> None:
        m = len(ids)
        self.depth = depth
        self.n_asked = 0
        """How many lists were made by a search. Not state."""
        self.rows, self.ids = rows, ids
        self.slots: Ints = np.empty(0, dtype=np.int64)
        self._free: Ints = self.slots
        self._lay_out(m, np.zeros((m, 0), dtype=np.int64), np.zeros((m, 0)), np.zeros(m, dtype=np.int64))
        self._gather()
        self._ask(self.slots)

    @property
    def n_bytes(self) -> int:
        """Bytes held beside the rows."""
        return self.near.nbytes + self.far.nbytes + self._candidates.n_bytes

    def nearest(self, rows: Vectors, k: int) -> tuple[Floats, Ints]:
        """Return distances [n, k] rising and slots [n, k] of what is nearest to `rows` [n, width]; k is cut to all."""
        return self._search(rows, min(k, len(self.ids)), None, None)

    def places(self, slots: Ints) -> Ints:
        """Say which of `rows` is in each of `slots`."""
        return self._rank[slots]

    def follow(self, rows: Vectors, ids: Ints) -> bool:
        """Become the lists of other `rows` [m, width] with `ids` [m]; return False where a new object is cheaper."""
        places = ids.searchsorted(self.ids)
        stays = ids[np.minimum(places, len(ids) - 1)] == self.ids
        is_new = np.ones(len(ids), dtype=bool)
        is_new[places[stays]] = False
        gone, (new,) = self.slots[~stays], is_new.nonzero()
        if 2 * (len(gone) + len(new)) > len(ids):
            return False
        if len(gone):
            self._remove(gone)
        old = self.slots[stays]
        room = len(self._rank)
        moves = len(new) > len(self._free) or room > 2 * len(ids) + 4 * STEP
        if moves:
            self._rank[old] = np.arange(len(old))
            self._lay_out(len(ids) + len(ids) // 16, self._rank[self.near[old]], self.far[old], self.known[old])
            old = self.slots
        self.rows, self.ids, self.slots = rows, ids, np.empty(len(ids), dtype=np.int64)
        self.slots[~is_new], self.slots[new] = old, self._free[: len(new)]
        self._free = self._free[len(new) :]
        self._rank[self.slots] = np.arange(len(ids))
        stale = moves or self._candidates.n_written > _STALE * len(ids)
        if stale or not self._candidates.write(self.slots[new], rows[new]):
            self._gather()
        if len(new):
            self._insert(self.slots[new], rows[new], old)
        short = self.slots[self.known[self.slots] < min(self.depth, len(ids) - 1)]
        if len(short):
            self._ask(short)
        return True

    def state(self) -> StateTree:
        """Return the lists in the order of the rows: whom they name [m, columns] (-1 behind what is known), how far."""
        known = self.known[self.slots]
        columns = int(known.max(initial=0))
        beyond = np.arange(columns) >= known[:, None]
        near = self._rank[self.near[self.slots, :columns]].astype(np.int32)
        far = self.far[self.slots, :columns]
        near[beyond], far[beyond] = -1, 0.0
        return {"near": near, "far": far}

    @classmethod
    def of_state(cls, tree: StateTree, rows: Vectors, ids: Ints, depth: int) -> NeighbourLists:
        """Give the lists of a state for `rows` [m, width]; raise `CorruptStateError` where they cannot be theirs."""
        near, far, known = checked_lists(tree, len(rows), depth, depth + SLACK)
        made = cls.__new__(cls)
        made.depth, made.n_asked, made.rows, made.ids = depth, 0, rows, ids
        made._lay_out(len(ids), near, far, known)
        made._gather()
        return made

    def _lay_out(self, m: int, near: Ints, far: Floats, known: Ints) -> None:
        """Make room for `m` rows, and give the first slots to lists [n, columns] of one another."""
        n = len(near)
        room = -(-(m + 1) // STEP) * STEP
        columns = min(self.depth + SLACK, room)
        self.slots = np.arange(n)
        self.known: Ints = np.zeros(room, dtype=np.int64)
        self.known[:n] = known
        self.near: Ints = np.repeat(np.arange(room)[:, None], columns, axis=1)
        self.far: Floats = np.zeros((room, columns))
        self.far[:n] = np.inf
        at, column = np.nonzero(np.arange(near.shape[1]) < known[:, None])
        self.near[at, column], self.far[at, column] = near[at, column], far[at, column]
        self._rank: Ints = np.arange(room)
        self._free = np.arange(n, room)

    def _gather(self) -> None:
        self._candidates = Candidates(self.rows, len(self._rank))
        self._candidates.write(self.slots, self.rows)

    def _ask(self, slots: Ints) -> None:
        """Make the lists of `slots` [n] by a search."""
        self.n_asked += len(slots)
        k = min(self.near.shape[1], len(self.ids) - 1)
        self._write(slots, *self._search(self.rows[self._rank[slots]], k, slots, None))

    def _insert(self, new: Ints, rows: Vectors, old: Ints) -> None:
        """Make the lists of the slots `new` [n] with `rows` [n, width], and write them into those of `old` [m]."""
        k = min(self.near.shape[1], len(self.ids) - 1)
        self._write(new, *self._search(rows, k, new, old))

    def _search(self, rows: Vectors, k: int, own: Ints | None, old: Ints | None) -> tuple[Floats, Ints]:
        """Find the k nearest of `rows` [n, width], their slots `own` [n] left out; write these into lists of `old`."""
        far, near = np.empty((len(rows), k)), np.empty((len(rows), k), dtype=np.int64)
        if not k:
            return far, near
        limits = None if old is None else self._limits(old)
        for start, stop, (at, slot), (to, owner) in self._candidates.near(rows, k, own, limits):
            part = rows[start:stop]
            exact = distances(part, self.rows, (at, self._rank[slot]))
            far[start:stop], near[start:stop] = self._sorted(*_table(at, len(part), exact, slot), k)
            if own is not None and old is not None and len(to):
                exact = distances(part, self.rows, (to, self._rank[owner]))
                self._join(own[start:stop][to], owner, exact, len(old) + start)
        return far, near

    def _sorted(self, far: Floats, near: Ints, k: int) -> tuple[Floats, Ints]:
        """Return the first k [n, k] of each row of a table by (distance, id)."""
        order = far.argsort(axis=1)
        every = np.arange(len(far))[:, None]
        sorted_far = far[every, order]
        head = sorted_far[:, : k + 1]
        (tied,) = ((head[:, 1:] == head[:, :-1]) & (head[:, 1:] < np.inf)).any(axis=1).nonzero()
        if len(tied):
            order[tied] = np.lexsort((self._rank[near[tied]], far[tied]), axis=-1)
        return sorted_far[:, :k], near[every, order[:, :k]]

    def _write(self, slots: Ints, far: Floats, near: Ints) -> None:
        k = far.shape[1]
        self.far[slots, :k], self.near[slots, :k] = far, near
        self.far[slots, k:], self.near[slots, k:] = np.inf, slots[:, None]
        self.known[slots] = k

    def _remove(self, gone: Ints) -> None:
        """Strike the slots `gone` [n] off all lists, and empty them."""
        self._candidates.empty(gone)
        self.near[gone], self.far[gone], self.known[gone] = gone[:, None], 0.0, 0
        dead = np.zeros(len(self._rank), dtype=bool)
        dead[gone] = True
        hit = dead.take(self.near) if len(gone) > 1 else self.near == gone[0]
        hit[gone] = False
        touched = hit.ravel().nonzero()[0] // hit.shape[1]
        touched = touched[_firsts(touched)]
        hit = hit[touched]
        order = hit.argsort(axis=1, kind="stable")
        self.known[touched] -= hit.sum(axis=1)
        self._keep(touched, self.far[touched[:, None], order], self.near[touched[:, None], order])
        self._free = np.concatenate([gone, self._free])

    def _keep(self, slots: Ints, far: Floats, near: Ints) -> None:
        """Take over lists [n, columns] of `slots` [n] as far as they are known."""
        beyond = np.arange(far.shape[1]) >= self.known[slots][:, None]
        self.far[slots], self.near[slots] = np.where(beyond, np.inf, far), np.where(beyond, slots[:, None], near)

    def _limits(self, old: Ints) -> Floats:
        """Up to which distance [room] do the lists of `old` [m] take in another row? -1 where they do not."""
        known = self.known[old]
        limits = np.full(len(self._rank), -1.0)
        limits[old] = np.where(known > 0, self.far[old, np.maximum(known, 1) - 1], -1.0)
        limits[old[known == len(old) - 1]] = np.inf  # they name all there are
        return limits

    def _join(self, new: Ints, owner: Ints, far: Floats, n_before: int) -> None:
        """Write the slots `new` [p], `far` [p] away, into the lists of `owner` [p], which know of `n_before` rows."""
        known = self.known[owner]
        last = np.maximum(known, 1) - 1
        last_far, last_rank = self.far[owner, last], self._rank[self.near[owner, last]]
        belongs = (far < last_far) | ((far == last_far) & (self._rank[new] < last_rank)) | (known == n_before - 1)
        (order,) = belongs.nonzero()
        if not len(order):
            return
        order = order[owner[order].argsort(kind="stable")]
        owner = owner[order]
        first = _firsts(owner)
        touched, at = owner[first], first.cumsum() - 1
        more_far, more = _table(at, len(touched), far[order], new[order])
        columns = self.near.shape[1]
        both = np.concatenate([self.far[touched], more_far], axis=1), np.concatenate([self.near[touched], more], axis=1)
        self.known[touched] = np.minimum(self.known[touched] + np.bincount(at), columns)
        self._keep(touched, *self._sorted(*both, columns))


def _table(at: Ints, n: int, far: Floats, near: Ints) -> tuple[Floats, Ints]:
    """Set pairs, by rising row `at` [p] of n, as a table [n, most]; unused places are infinitely far."""
    n_each = np.bincount(at, minlength=n)
    if n * n_each[0] == len(at) and n_each.min() == n_each[0]:
        return far.reshape(n, -1), near.reshape(n, -1)
    column = np.arange(len(at)) - np.repeat(np.cumsum(n_each) - n_each, n_each)
    table = np.full((n, int(n_each.max())), np.inf), np.zeros((n, int(n_each.max())), dtype=np.int64)
    table[0][at, column], table[1][at, column] = far, near
    return table


def _firsts(rising: Ints) -> Bools:
    """Say which of `rising` [n] are the first of their value."""
    first = np.ones(len(rising), dtype=bool)
    np.not_equal(rising[1:], rising[:-1], out=first[1:])
    return first

"""Which remembered rows has each tree seen, and which tree is the oldest?

A tree is known by its birth number: with the seed it gives the generator that draws the sample and grows the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.feature_memory import FeatureMemory
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

_PAIRS = 65_536  # of a row and a tree that has drawn it, given at once


@dataclass(frozen=True)
class Samples:
    """For each tree, the ids [trees, size] that it drew, rising, and its birth number [trees]."""

    ids: Ints
    births: Ints

    @classmethod
    def empty(cls) -> Samples:
        return cls(np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64))

    @property
    def size(self) -> int:
        return int(self.ids.shape[1])

    def to_replace(self, n_oldest: int, ids: Ints) -> Ints:
        """Return the places of trees that drew rows other than `ids` [m], rising; of the oldest up to `n_oldest`."""
        stale = ~np.asarray(_is_in(self.ids, ids)).all(axis=1)
        oldest_first = np.lexsort((self.births, ~stale))
        return np.sort(oldest_first[: max(n_oldest, int(stale.sum()))])

    def replaced(self, places: Ints, new: Samples) -> Samples:
        """Give samples with those of `new` in these places."""
        ids, births = self.ids.copy(), self.births.copy()
        ids[places], births[places] = new.ids, new.births
        return Samples(ids, births)

    def holding(self, rows: Vectors, memory: FeatureMemory) -> Iterator[tuple[Ints, Ints, Floats]]:
        """Give, in parts, which of `rows` [n, width] were drawn by which trees, and the chance that it was them.

        Where an exemplar stands for c rows and k of them were drawn, that chance is k/c.
        """
        drawn, trees, shares = self._drawn(memory)
        known = self._own_ids(rows, memory, np.unique(drawn))
        first, last = np.searchsorted(drawn, known, "left"), np.searchsorted(drawn, known, "right")
        n = last - first
        upto = np.cumsum(n)
        start = 0
        while start < len(rows):
            before = int(upto[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(upto, before + _PAIRS, "right")))
            which = np.repeat(np.arange(start, stop), n[start:stop])
            within = np.arange(len(which)) - np.repeat(upto[start:stop] - n[start:stop] - before, n[start:stop])
            at = np.repeat(first[start:stop], n[start:stop]) + within
            yield which, trees[at], shares[at]
            start = stop

    def tree(self) -> StateTree:
        return {"samples": self.ids.copy(), "births": self.births.copy()}

    @classmethod
    def of_tree(cls, tree: StateTree, n_trees: int, size: int, ids: Ints) -> Samples:
        """Copy from a state; `ids` [m] are those that exist. Raise `CorruptStateError` naming the leaf."""
        given, births = tree.get("samples"), tree.get("births")
        if not isinstance(given, np.ndarray) or given.dtype != np.int64 or given.shape != (n_trees, size):
            raise CorruptStateError(f"engine.samples: wanted int64 [{n_trees}, {size}]: load another version")
        if not isinstance(births, np.ndarray) or births.dtype != np.int64 or births.shape != (n_trees,):
            raise CorruptStateError(f"engine.births: wanted int64 [{n_trees}]: load another version")
        if births.min() < 0 or births.max() >= 2**62 or len(np.unique(births)) != n_trees:
            raise CorruptStateError("engine.births: wanted distinct numbers from 0: load another version")
        if not _is_in(given, ids).all() or (np.diff(given, axis=1) < 0).any():
            raise CorruptStateError("engine.samples: ids that the memory does not hold: load another version")
        return cls(given.copy(), births.copy())

    def _drawn(self, memory: FeatureMemory) -> tuple[Ints, Ints, Floats]:
        """Return each pair of a drawn id and a tree once, in order of the ids, and which share of it was drawn."""
        order = np.argsort(self.ids, axis=None, kind="stable")  # equal ids of one tree stay together
        ids, trees = self.ids.ravel()[order], order // max(self.size, 1)
        new = np.ones(len(ids), dtype=bool)
        new[1:] = (ids[1:] != ids[:-1]) | (trees[1:] != trees[:-1])
        firsts = np.flatnonzero(new)
        n_drawn = np.diff(firsts, append=len(ids))
        counts = memory.counts[np.searchsorted(memory.ids, ids[firsts])]
        return ids[firsts], trees[firsts], n_drawn / counts

    def _own_ids(self, rows: Vectors, memory: FeatureMemory, drawn: Ints) -> Ints:
        """Return the id of the exemplar that stands for each of `rows` [n, width], if it was drawn; else -1."""
        kept = memory.rows[np.searchsorted(memory.ids, drawn)]
        likely, maybe = _alike(kept, rows)
        table = {kept[i].tobytes(): int(drawn[i]) for i in likely.tolist()}
        own = np.full(len(rows), -1, dtype=np.int64)
        own[maybe] = [table.get(rows[i].tobytes(), -1) for i in maybe.tolist()]
        missing = np.flatnonzero(own < 0)
        if memory.normal.reach > 0.0 and len(missing):
            distances, slots = memory.index().nearest(rows[missing], 1)
            own[missing] = np.where(distances[:, 0] <= memory.normal.reach, memory.ids[slots[:, 0]], -1)
        return own


def draw(
    memory: FeatureMemory, births: Ints, size: int, seed: int, *, spare: bool = False
) -> tuple[Samples, Ints, list[np.random.Generator]]:
    """Draw `size` of the remembered rows for each birth number, without putting back.

    `spare` trees have chances apart. Return the samples, their slots [trees, size] in the memory, and the generators,
    to go on with.
    """
    upto = np.cumsum(memory.counts)
    generators = [np.random.default_rng([seed, birth, 1] if spare else [seed, birth]) for birth in births.tolist()]
    picked = [one.choice(int(upto[-1]), size, replace=False, shuffle=False) for one in generators]
    slots = np.searchsorted(upto, np.sort(np.stack(picked), axis=1), side="right")
    return Samples(memory.ids[slots], births), slots, generators


def _is_in(some: Ints, rising: Ints) -> Bools:
    places = np.minimum(np.searchsorted(rising, some), len(rising) - 1)
    return np.asarray(rising[places] == some)


def _alike(left: Vectors, right: Vectors) -> tuple[Ints, Ints]:
    """Return which rows of each side may equal one of the other: those whose bits add up to the same number."""
    sums = [np.add.reduce(np.ascontiguousarray(rows).view(np.int32), axis=1, dtype=np.int64) for rows in (left, right)]
    return np.flatnonzero(np.isin(sums[0], sums[1])), np.flatnonzero(np.isin(sums[1], sums[0]))

"""Does this event usually come after that one? Bigram surprise with back-off."""

from __future__ import annotations

import numpy as np

from jamais.types import Floats, Ints, StateTree

START = -1
"""Stands before the first event of a session."""
PAIR_BITS = 24
MOST_IN_TABLE = 1_000


class Order:
    """How often each event followed each other one within a session.

    The surprise is `-log p(next | before)` with Witten-Bell back-off (1991) to the share of `next` among all
    events. Counts add, so two halves merge into the whole.
    """

    def __init__(self) -> None:
        self.keys: Ints = np.empty(0, dtype=np.int64)
        self.counts: Floats = np.empty(0)
        self._derive()

    def add(self, before: Ints, after: Ints) -> None:
        """Count that `after: [n]` came after `before: [n]` (START where nothing came before)."""
        keys, counts = np.unique(_key(before, after), return_counts=True)
        self._merge(keys, counts.astype(np.float64))

    def nats(self, before: Ints, after: Ints) -> Floats:
        """Give the surprise `[n]` of `after: [n]` right after `before: [n]`."""
        if not len(self.keys):
            return np.zeros(len(after))
        place = np.minimum(np.searchsorted(self.keys, _key(before, after)), len(self.keys) - 1)
        pair = np.where(self.keys[place] == _key(before, after), self.counts[place], 0.0)
        total, kinds = _at(self._total, before + 1), _at(self._kinds, before + 1)
        share = (_at(self._share, after) + self._n_kinds / (self._n_kinds + 20.0)) / (self._n + self._n_kinds)
        backed_off = np.where(total > 0, (pair + kinds * share) / np.maximum(total + kinds, 1.0), share)
        return -np.log(backed_off)

    def table(self, n_events: int) -> Floats | None:
        """Give the surprise of every pair of events, `[n_events + 1, n_events]` with START first; None if too many."""
        if n_events > MOST_IN_TABLE:
            return None
        before, after = np.meshgrid(np.arange(-1, n_events), np.arange(n_events), indexing="ij")
        return self.nats(before.ravel(), after.ravel()).reshape(n_events + 1, n_events)

    def fold(self, canonical: Ints) -> None:
        """Rename events: `canonical: [n]` names the survivor of each."""
        before, after = (self.keys >> PAIR_BITS) - 1, self.keys & ((1 << PAIR_BITS) - 1)
        renamed = np.where(before < 0, before, canonical[np.maximum(before, 0)])
        keys, place = np.unique(_key(renamed, canonical[after]), return_inverse=True)
        self.counts = np.bincount(place.ravel(), self.counts, minlength=len(keys)).astype(np.float64)
        self.keys = keys
        self._derive()

    def _merge(self, keys: Ints, counts: Floats) -> None:
        both = np.concatenate([self.keys, keys])
        self.keys, place = np.unique(both, return_inverse=True)
        weights = np.concatenate([self.counts, counts])
        self.counts = np.bincount(place.ravel(), weights, minlength=len(self.keys)).astype(np.float64)
        self._derive()

    def _derive(self) -> None:
        before, after = self.keys >> PAIR_BITS, self.keys & ((1 << PAIR_BITS) - 1)
        self._total: Floats = np.bincount(before, self.counts).astype(np.float64)
        self._kinds: Floats = np.bincount(before).astype(np.float64)
        self._share: Floats = np.bincount(after, self.counts).astype(np.float64)
        self._n, self._n_kinds = float(self.counts.sum()), float((self._share > 0).sum())

    def state_dict(self) -> StateTree:
        return {"keys": self.keys, "counts": self.counts}

    def load_state_dict(self, tree: StateTree) -> None:
        self.keys = np.asarray(tree["keys"], dtype=np.int64)
        self.counts = np.asarray(tree["counts"], dtype=np.float64)
        self._derive()


def _key(before: Ints, after: Ints) -> Ints:
    return (before.astype(np.int64) + 1) << PAIR_BITS | after.astype(np.int64)


def _at(table: Floats, places: Ints) -> Floats:
    """Look up, 0 beyond the end."""
    if not len(table):
        return np.zeros(len(places))
    return np.where(places < len(table), table[np.minimum(places, len(table) - 1)], 0.0)

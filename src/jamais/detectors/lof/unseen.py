"""What outlier factor would a remembered row have had, had it not been learned?

Taking one row out moves the k-distances of those that have it among their k nearest by one rank, the densities of
these and of those that reach them, and nothing else: the lists of the neighbours hold it all.
"""

from __future__ import annotations

import numpy as np

from jamais.detectors.lof.densities import Densities, at_rank, densities, factors, up_to
from jamais.types import Bools, Floats, Ints

_AT_ONCE = 400_000  # neighbours of neighbours in one block


class LeftOut:
    """Score rows as if one copy of the exemplar that stands for them had not been there.

    `k` is the number of neighbours then. A copy taken from the k nearest of a row makes the next one the k-th; where
    k was all the others there is no next one, and only where the last is taken the one before it is the k-th.
    """

    def __init__(self, known: Densities, k: int) -> None:
        self._known = known
        self._k = k
        self._uses_all = k < known.k
        weights, repeats = known.counts[known.near], known.counts - 1
        taken = up_to(weights, known.k - np.minimum(repeats, known.k)) > 0.0
        if self._uses_all:
            last = taken.sum(axis=1, keepdims=True) - 1
            taken &= np.arange(taken.shape[1]) == last
        self._moves = np.where(taken, known.near, -1)
        self._moved = at_rank(known.far, weights, repeats, k if self._uses_all else k + 1)

    def scores(self, far: Floats, near: Ints, own: Ints) -> Floats:
        """Score rows [n], `far` [n, columns] from their nearest `near`, without one copy of the slot `own` [n]."""
        scores = np.empty(len(far))
        step = max(1, _AT_ONCE // max(1, near.shape[1] * self._known.near.shape[1]))
        for start in range(0, len(far), step):
            part = slice(start, start + step)
            scores[part] = self._block(far[part], near[part], own[part])
        return scores

    def _block(self, far: Floats, near: Ints, own: Ints) -> Floats:
        taken = up_to(self._weights(near, own), np.int64(self._k))
        reach = self._reach(near, own)
        others = self._known.near[near]
        repeats = np.clip(self._known.counts[near] - 1 - (near == own[:, None]), 0, self._k)
        others_taken = up_to(self._weights(others, own), self._k - repeats)
        others_reach = np.maximum(self._known.far[near], self._reach(others, own))
        density = densities(others_reach, others_taken, repeats * reach, self._k)
        return factors(density, np.maximum(far, reach), taken, self._k)

    def _weights(self, slots: Ints, own: Ints) -> Ints:
        return np.asarray(self._known.counts[slots] - (slots == _beside(own, slots)), dtype=np.int64)

    def _reach(self, slots: Ints, own: Ints) -> Floats:
        """Give the k-distances of `slots` [n, ...] without `own` [n]."""
        return np.where(self._is_moved(slots, _beside(own, slots)), self._moved[slots], self._known.reach[slots])

    def _is_moved(self, slots: Ints, own: Ints) -> Bools:
        found = (self._moves[slots] == own[..., None]).any(axis=-1)
        return np.asarray(found if self._uses_all else found | (slots == own), dtype=np.bool_)


def _beside(own: Ints, slots: Ints) -> Ints:
    return own.reshape(-1, *[1] * (slots.ndim - 1))

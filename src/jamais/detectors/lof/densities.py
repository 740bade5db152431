"""How dense is it around each remembered row, and around a new one?

Breunig et al., "LOF: identifying density-based local outliers", SIGMOD 2000; with k-distances of the remembered rows
as scikit-learn takes them for new ones. A row with a count of c is c rows: its repeats are its nearest neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.types import Floats, Ints

_LEAST_REACH = 1e-10
"""Added to the mean reachability, as scikit-learn does: repeats have a finite density."""


@dataclass(frozen=True)
class Densities:
    """What neighbour lists `near`, `far` [room, columns], all known, and `counts` [room] say at some `k`."""

    near: Ints
    far: Floats
    counts: Ints
    repeated: bool
    """Whether any count is above 1."""
    k: int
    reach: Floats
    """k-distance [room]: how far it is to the k-th nearest other row (definition 3)."""
    density: Floats
    """Local reachability density [room] (definition 6)."""

    @classmethod
    def of(cls, near: Ints, far: Floats, counts: Ints, k: int) -> Densities:
        repeated = bool(counts.max() > 1)
        if not repeated:  # the sums below, without what would add or multiply by 0 and 1
            reach = far[:, k - 1].copy()
            density = densities(np.maximum(far[:, :k], reach.take(near[:, :k])), None, None, k)
            return cls(near, far, counts, repeated, k, reach, density)
        reach = at_rank(far, counts[near], counts - 1, k)
        repeats = np.minimum(counts - 1, k)
        near_k, far_k = near[:, :k], far[:, :k]
        taken = up_to(counts[near_k], k - repeats)
        density = densities(np.maximum(far_k, reach[near_k]), taken, repeats * reach, k)
        return cls(near, far, counts, repeated, k, reach, density)

    def factors(self) -> Floats:
        """Give the outlier factor [room] of each remembered row among the others (definition 7)."""
        near, repeats = self.near[:, : self.k], np.minimum(self.counts - 1, self.k)
        total = np.add.reduce(self.density[near] * up_to(self.counts[near], self.k - repeats), axis=1)
        return np.asarray((total + repeats * self.density) / self.k / self.density, dtype=np.float64)

    def scores(self, far: Floats, near: Ints) -> Floats:
        """Give the outlier factor [n] of rows not remembered, whose nearest are `near` at `far` [n, k or more]."""
        near, far = near[:, : self.k], far[:, : self.k]
        taken = up_to(self.counts[near], np.int64(self.k)) if self.repeated else None
        return factors(self.density.take(near), np.maximum(far, self.reach.take(near)), taken, self.k)


def factors(density: Floats, reach: Floats, taken: Floats | None, k: int) -> Floats:
    """Compare densities of neighbours with that of a row which reaches them at `reach`; all [n, columns] -> [n]."""
    total = np.add.reduce(density if taken is None else density * taken, axis=1)
    return np.asarray(total / k / densities(reach, taken, None, k), dtype=np.float64)


def densities(reach: Floats, taken: Floats | None, more: Floats | None, k: int) -> Floats:
    """Turn distances [..., columns], each `taken` times, and the sum of some `more` [...] into densities [...]."""
    total = np.add.reduce(reach if taken is None else reach * taken, axis=-1)
    return np.asarray(1.0 / ((total if more is None else total + more) / k + _LEAST_REACH), dtype=np.float64)


def up_to(weights: Ints, budget: Ints | np.int64) -> Floats:
    """Say how often each neighbour [..., columns] counts when, from the left, `budget` [...] rows are taken."""
    total = np.minimum(np.cumsum(weights, axis=-1), np.expand_dims(budget, -1))
    taken = total.astype(np.float64)
    taken[..., 1:] -= total[..., :-1]
    return taken


def at_rank(far: Floats, weights: Ints, repeats: Ints, rank: int) -> Floats:
    """Give the distance [n] of the row of a rank among neighbours [n, columns], before whom come `repeats` [n] at 0."""
    if rank < 1 or not far.shape[1]:
        return np.zeros(len(far))
    before = np.cumsum(weights, axis=1) < (rank - repeats)[:, None]
    column = np.minimum(before.sum(axis=1), far.shape[1] - 1)
    return np.where(repeats >= rank, 0.0, far[np.arange(len(far)), column])

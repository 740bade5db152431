"""Which recent rows lie where there are more recent rows than the known ones explain?

A two-sample test by neighbours (Henze 1988; Schilling 1986): among the nearest rows of a recent row, in the union of
recent and known ones, how many are recent? One-class novelty asks only how far the known ones are, and sees at 1 %
false alarms 39 % of new digits where this sees 90 %.
"""

from __future__ import annotations

import numpy as np

from jamais.memory.clusters.layers import Near
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, Vectors

NEIGHBORS = 15
_ROUNDS = 5  # of asking the neighbours how unexplained they are
_NOBODY = -1


def unexplained(recent: Vectors, near: Near, held: Vectors, held_near: Near, weights: Floats) -> tuple[Floats, Floats]:
    """Return how unexplained `recent` [n, width] and `held` [h, width] rows are, in 0..1, as [n] and [h].

    `near` and `held_near` are their 15 nearest known exemplars; `weights` [exemplars] say how many recent rows each
    exemplar is expected to explain, where that is more than one. Held rows were known, and say how high
    explained rows get.
    """
    k = min(NEIGHBORS, len(recent) - 1)
    search = NearestRows(recent)
    distances, slots = search.nearest(recent, k + 1)
    own = slots == np.arange(len(recent))[:, None]
    own[~own.any(axis=1), -1] = True  # among many equal rows the row itself may be missing
    distances, slots = distances[~own].reshape(-1, k), slots[~own].reshape(-1, k)
    mixed, weight = _mixed(distances, slots, near, weights)
    values = np.ones(len(recent))
    for _ in range(_ROUNDS - 1):
        values = _ask(mixed, weight, values)
    held_mixed, held_weight = _mixed(*search.nearest(held, k), held_near, weights)
    return _ask(mixed, weight, values), _ask(held_mixed, held_weight, values)


def _mixed(distances: Floats, slots: Ints, near: Near, weights: Floats) -> tuple[Ints, Floats]:
    """Return of recent and known rows the nearest [n, k] (a slot, or -1 for a known row) and their weights [n, k]."""
    k = distances.shape[1]
    both = np.concatenate([near.distances[:, :k], distances], axis=1)
    best = np.argsort(both, axis=1, kind="stable")[:, :k]
    nobody = np.full(near.ids[:, :k].shape, _NOBODY)
    which = np.concatenate([nobody, slots], axis=1)
    weight = np.concatenate([weights[near.ids[:, :k]], np.ones(slots.shape)], axis=1)
    return np.take_along_axis(which, best, axis=1), np.take_along_axis(weight, best, axis=1)


def _ask(mixed: Ints, weight: Floats, values: Floats) -> Floats:
    told = np.where(mixed == _NOBODY, 0.0, values[mixed])
    return np.asarray(told.sum(axis=1) / weight.sum(axis=1))

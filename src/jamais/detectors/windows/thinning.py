"""Which of many windows need not be remembered, because one that is much the same is?"""

from __future__ import annotations

import numpy as np

from jamais.types import Floats, Ints, Vectors

_AT_ONCE = 256


def thinned(places: Vectors, known: Vectors, reach: float, capacity: int) -> tuple[Ints, Ints]:
    """Let `places` [n, width] come one after the other to the `known` ones [m, width]; at most `capacity` stay in all.

    One within `reach` of one that is there is stood for by the nearest; any other stays while there is room. Gives
    the places that stay, and of each place the slot of what stands for it [n], -1 for none; slots count the known
    first (leader clustering, Hartigan 1975).
    """
    stood = np.full(len(places), -1, dtype=np.int64)
    stay: list[int] = []
    there = known
    for start in range(0, len(places), _AT_ONCE):
        block = places[start : start + _AT_ONCE]
        distance, slot = _nearest(block, there)
        among = np.sqrt(_squares(block, block))
        for at in range(len(block)):
            if distance[at] <= reach:
                stood[start + at] = slot[at]
            elif len(known) + len(stay) < capacity:
                mine = len(known) + len(stay)
                stay.append(start + at)
                stood[start + at] = mine
                nearer = among[at] < distance
                distance[nearer], slot[nearer] = among[at][nearer], mine
        there = np.concatenate([known, places[stay]])
    return np.array(stay, dtype=np.int64), stood


def _nearest(asked: Vectors, there: Vectors) -> tuple[Floats, Ints]:
    if not len(there):
        return np.full(len(asked), np.inf), np.full(len(asked), -1, dtype=np.int64)
    squares = _squares(asked, there)
    slot = squares.argmin(axis=1)
    return np.sqrt(squares[np.arange(len(asked)), slot]), slot


def _squares(left: Vectors, right: Vectors) -> Floats:
    norms = [np.einsum("ij,ij->i", one, one, dtype=np.float64) for one in (left, right)]
    return np.asarray(np.maximum(norms[0][:, None] + norms[1] - 2.0 * (left @ right.T).astype(np.float64), 0.0))

"""Which of these rows have been seen before, bit for bit?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jamais.types import Ints, Vectors

_AT_ONCE = 1_000_000  # numbers


def places_of(rows: Vectors, among: Vectors) -> Ints:
    """Return the place [n] of each of `rows` [n, width] in `among` [m, width] (the first, if several), or -1."""
    if len(rows) == len(among) and np.array_equal(rows, among):
        return np.arange(len(rows))
    keys, asked = _keys(among), _keys(rows)
    order = np.argsort(keys, kind="stable")
    found = np.searchsorted(keys[order], asked)
    places = order[np.minimum(found, len(order) - 1)]
    # Two rows with one key are as good as impossible by chance; on purpose, the worst is a row not found.
    same = (keys[places] == asked) & (among[places] == rows).all(axis=1)
    return np.where(same, places, -1)


def _keys(rows: Vectors) -> NDArray[np.uint64]:
    """Multiply and add the bits of each row [n, width] into one key [n] (Carter & Wegman, 1979)."""
    width = rows.shape[1]
    factors = np.random.default_rng(width).integers(1, 2**63, width, dtype=np.uint64) | np.uint64(1)
    keys = np.empty(len(rows), dtype=np.uint64)
    step = max(1, _AT_ONCE // width)
    for start in range(0, len(rows), step):
        bits = np.ascontiguousarray(rows[start : start + step]).view(np.uint32)
        keys[start : start + step] = np.add.reduce(bits * factors, axis=1)
    return keys

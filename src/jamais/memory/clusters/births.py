"""Which of the recent rows form clusters that are not known yet?"""

from __future__ import annotations

import numpy as np

from jamais.memory.nearest import NearestRows
from jamais.types import Bools, Ints, Vectors

_LINKS = 5


def groups_among(rows: Vectors, smallest: int) -> list[Ints]:
    """Return the places of rows that are linked by being near to each other both ways; largest group first."""
    n = len(rows)
    if n < max(2, smallest):
        return []
    _, near = NearestRows(rows).nearest(rows, min(_LINKS + 1, n))
    links: Bools = np.zeros((n, n), dtype=np.bool_)
    np.put_along_axis(links, near, True, axis=1)
    root = np.arange(n)
    for one, other in np.argwhere(links & links.T).tolist():
        a, b = _root(root, one), _root(root, other)
        root[max(a, b)] = min(a, b)
    roots = np.array([_root(root, one) for one in range(n)])
    found = [np.flatnonzero(roots == one) for one in np.unique(roots)]
    return sorted((group for group in found if len(group) >= smallest), key=len, reverse=True)


def _root(root: Ints, one: int) -> int:
    while root[one] != one:
        root[one] = root[root[one]]
        one = int(root[one])
    return one

"""Which of these rows belong together, if nobody says how many groups there are?

Rows are linked to their nearest ones and start in groups of chained nearest neighbours (Sarfraz et al. 2019, "FINCH").
Groups that share most links, as a share of the links of the smaller one, are merged first, as long as they share
as many as parts of one group do. Links have no scale, so that no distance must be set.
"""

from __future__ import annotations

import numpy as np

from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, Vectors

_FEWEST_LINKS, _LINKS, _MORE_LINKS = 4, 10, 15
_LARGE = 200  # rows of a group
_PER_LINK = 4  # rows of a group, or its links would leave it
_MIXED = 0.09
"""Of the links that parts of one group would share if they were mixed at random, so many say that they are one.

In digits, MNIST and CLINC150 a bar of .1 was wrong about 7 of 129 pairs of groups, as few as any other measure."""
_MOST = 600  # groups to start from: the work goes with their square


def groups_of(rows: Vectors, expected: float, fixed: Ints) -> Ints:
    """Return the group [n] of each row; `expected` is about how many rows a group has.

    Rows with the same `fixed` [n] >= 0 are one group from the start, and groups with different ones stay apart.
    """
    links = _LINKS if expected < _LARGE else _MORE_LINKS
    k = min(max(_FEWEST_LINKS, min(links, int(expected / _PER_LINK))), len(rows) - 1)
    if k < 1:
        return np.zeros(len(rows), dtype=np.int64)
    _, slots = NearestRows(rows).nearest(rows, k + 1)
    own = slots == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    linked = slots[~own].reshape(-1, k)
    one, place = np.nonzero((linked[linked] == np.arange(len(rows))[:, None, None]).any(axis=2))
    pairs = one, linked[one, place]  # links both ways
    start = _chains(linked[:, 0], fixed)
    while start.max() >= _MOST:
        start = _coarser(start, pairs, fixed)
    names = np.full(int(start.max()) + 1, -1)
    names[start[fixed >= 0]] = fixed[fixed >= 0]
    merged = _merge(_links(start, pairs), names, len(one) * min(1.0, expected / len(rows)))
    return np.unique(merged[start], return_inverse=True)[1].astype(np.int64)


def _chains(to: Ints, fixed: Ints) -> Ints:
    """Return numbered groups [n] of rows that point at each other, directly or in chains; fixed rows by name."""
    n = len(to)
    free = np.flatnonzero((fixed < 0) & (fixed[to] < 0))
    root = np.arange(n)
    for one, other in zip(free.tolist(), to[free].tolist(), strict=True):
        a, b = _root(root, one), _root(root, other)
        root[max(a, b)] = min(a, b)
    roots = np.array([_root(root, one) for one in range(n)])
    for name in np.unique(fixed[fixed >= 0]).tolist():
        roots[fixed == name] = np.flatnonzero(fixed == name)[0]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _coarser(groups: Ints, pairs: tuple[Ints, Ints], fixed: Ints) -> Ints:
    """Join every group with the one it shares most links with."""
    links = _links(groups, pairs)
    np.fill_diagonal(links, -1.0)
    names = np.full(len(links), -1)
    names[groups[fixed >= 0]] = fixed[fixed >= 0]
    return _chains(links.argmax(axis=1), names)[groups]


def _links(groups: Ints, pairs: tuple[Ints, Ints]) -> Floats:
    """Count the links [m, m] between groups."""
    m = int(groups.max()) + 1
    counts = np.bincount(groups[pairs[0]] * m + groups[pairs[1]], minlength=m * m)
    return counts.reshape(m, m).astype(np.float64)


def _merge(links: Floats, names: Ints, whole: float) -> Ints:
    """Merge groups, those that share most first; return where each went [m]. A group has about `whole` link ends."""
    m = len(links)
    goes, volume = np.arange(m), np.maximum(links.sum(axis=1), 1.0)
    shared = np.stack([_shared(links[one], volume, volume[one], whole) for one in range(m)])
    shared[(names[:, None] >= 0) & (names[None, :] >= 0)] = -1.0
    np.fill_diagonal(shared, -1.0)
    for _ in range(m - 1):
        one, other = divmod(int(shared.argmax()), m)
        if shared[one, other] < 0.0:
            break
        links[one] += links[other]
        links[:, one] += links[:, other]
        links[other], links[:, other] = 0.0, 0.0
        volume[one] += volume[other]
        volume[other] = 1.0
        names[one] = max(names[one], names[other])
        goes[goes == other] = one
        row = _shared(links[one], volume, volume[one], whole)
        row[(goes != np.arange(m)) | ((names >= 0) & (names[one] >= 0))] = -1.0
        row[one] = -1.0
        shared[one], shared[:, one] = row, row
        shared[other], shared[:, other] = -1.0, -1.0
    return goes


def _shared(links: Floats, volume: Floats, its: float, whole: float) -> Floats:
    """Return the share of links [m] of the smaller group that go to the other, -1 where they are too few."""
    mixed = links * np.maximum(whole, volume + its) / (volume * its)
    return np.where((mixed >= _MIXED) & (links > 0.0), links / np.minimum(volume, its), -1.0)


def _root(root: Ints, one: int) -> int:
    while root[one] != one:
        root[one] = root[root[one]]
        one = int(root[one])
    return one

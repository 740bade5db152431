"""Which of these rows belong together, if nobody says how many groups there are?

Rows are linked to their nearest ones, start in groups of chained nearest neighbours (Sarfraz et al. 2019, "FINCH")
and the two groups that share most links, as a share of the links of the smaller one, are merged until none share
enough. Links have no scale, so that no distance must be set.
"""

from __future__ import annotations

import numpy as np

from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, Vectors

_LINKS = 10
_ENOUGH = 0.075  # of the links of the smaller group, for large groups;
_BORDER = 0.25  # the more, the more of a group is border: this times links per expected row of a group
_MOST = 600  # groups to start from: the work goes with their square


def groups_of(rows: Vectors, expected: float, fixed: Ints) -> Ints:
    """Return the group [n] of each row; `expected` is about how many rows a group has.

    Rows with the same `fixed` [n] >= 0 are one group from the start, and groups with different ones stay apart.
    """
    k = min(_LINKS if expected < 200 else 15, len(rows) - 1)
    if k < 1:
        return np.zeros(len(rows), dtype=np.int64)
    _, slots = NearestRows(rows).nearest(rows, k + 1)
    own = slots == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    linked = slots[~own].reshape(-1, k)
    start = _chains(linked[:, 0], fixed)
    while start.max() >= _MOST:
        start = _coarser(start, linked, fixed)
    names = np.full(int(start.max()) + 1, -1)
    names[start[fixed >= 0]] = fixed[fixed >= 0]
    enough = min(0.5, _ENOUGH + _BORDER * k / max(expected, 1.0))
    merged = _merge(_links(start, linked), names, enough)
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


def _coarser(groups: Ints, linked: Ints, fixed: Ints) -> Ints:
    """Join every group with the one it shares most links with."""
    links = _links(groups, linked)
    np.fill_diagonal(links, -1.0)
    names = np.full(len(links), -1)
    names[groups[fixed >= 0]] = fixed[fixed >= 0]
    return _chains(links.argmax(axis=1), names)[groups]


def _links(groups: Ints, linked: Ints) -> Floats:
    m = int(groups.max()) + 1
    pairs = np.repeat(groups, linked.shape[1]) * m + groups[linked.ravel()]
    links = np.bincount(pairs, minlength=m * m).reshape(m, m).astype(np.float64)
    return np.asarray(links + links.T)


def _merge(links: Floats, names: Ints, enough: float) -> Ints:
    """Merge groups, those that share most first; return where each went [m]."""
    m = len(links)
    goes = np.arange(m)
    volume = links.sum(axis=1)
    shared = links / np.minimum(volume[:, None], volume[None, :])
    shared[(names[:, None] >= 0) & (names[None, :] >= 0)] = -1.0
    np.fill_diagonal(shared, -1.0)
    for _ in range(m - 1):
        one, other = divmod(int(shared.argmax()), m)
        if shared[one, other] < enough:
            break
        links[one] += links[other]
        links[:, one] += links[:, other]
        links[other], links[:, other] = 0.0, 0.0
        volume[one] += volume[other]
        volume[other] = 1.0
        names[one] = max(names[one], names[other])
        goes[goes == other] = one
        row = links[one] / np.minimum(volume[one], volume)
        alive = goes == np.arange(m)
        row[~alive | ((names >= 0) & (names[one] >= 0))] = -1.0
        row[one] = -1.0
        shared[one], shared[:, one] = row, row
        shared[other], shared[:, other] = -1.0, -1.0
    return goes


def _root(root: Ints, one: int) -> int:
    while root[one] != one:
        root[one] = root[root[one]]
        one = int(root[one])
    return one

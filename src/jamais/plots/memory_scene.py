"""Where does each row of a memory stand in a picture, and what happened to it between two looks?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from jamais.types import Bools, Floats, Ints, MemoryRows, Vectors

KINDS = ("waiting", "normal", "abnormal")  # in the order in which they are drawn
MOST_ROWS = 3_000
"""Rows drawn of one memory; beyond, small clusters are drawn whole and large ones give a sample."""
_ABSENT = -2
_BLOCK = 4_096
_MOST_FITTED = 20_000  # rows that the axes are computed from; a sample of more would not turn them


@dataclass(frozen=True)
class Panel:
    """One memory in the plane: `m` of its `n_rows` rows are drawn."""

    places: Floats
    """[m, 2]"""
    labels: Ints
    kinds: tuple[str, ...]
    texts: tuple[str, ...]
    new: Bools
    """[m] normal, and not among the normal rows of the other look."""
    moved: Bools
    """[m] the very same row had another label in the look before."""
    was: Ints
    """[m] the label before, below 0 for none."""
    n_rows: int
    sizes: dict[int, int]
    """Normal rows of each cluster, all of them, in order of its id."""
    centres: dict[int, tuple[float, float]]
    n_kinds: dict[str, int]


class Scene(NamedTuple):
    """Two looks at one memory, in the same plane."""

    before: Panel
    after: Panel
    born: tuple[int, ...]
    gone: tuple[int, ...]
    n_shared: int
    """Distinct rows that both looks hold and that had a cluster before."""
    n_moved: int
    """Those of them whose label is another one, or none."""
    spread: float
    """Share of the rows' spread that the two axes show."""

    @property
    def clustered(self) -> bool:
        """Whether there are clusters to tell apart."""
        return len(self.before.sizes.keys() | self.after.sizes.keys()) > 1


def scene(before: MemoryRows, after: MemoryRows, most_rows: int = MOST_ROWS) -> Scene:
    """Lay two looks at a memory into one plane: the axes are those of the normal rows of both.

    The same rows give the same picture: nothing is drawn by chance, and a row that both looks hold is drawn in
    both or in neither, as far as its cluster kept its size.
    """
    looks = [look for look in (before, after) if len(look.rows)] or [after]  # an empty one may have no width
    keys = _keys(before.rows), _keys(after.rows)
    plane = _Plane(np.concatenate([look.rows for look in looks]), np.concatenate(keys), _normal(before, after))
    old, new = (_labels_of(look, key) for look, key in ((before, keys[0]), (after, keys[1])))
    shared = {key for key, label in old.items() if label >= 0 and key in new}
    panels = [
        _panel(look, key, plane, other, is_after, most_rows)
        for look, key, other, is_after in ((before, keys[0], new, False), (after, keys[1], old, True))
    ]
    ids = [set(panel.sizes) for panel in panels]
    born, gone = tuple(sorted(ids[1] - ids[0])), tuple(sorted(ids[0] - ids[1]))
    n_moved = sum(old[key] != new[key] for key in shared)
    return Scene(panels[0], panels[1], born, gone, len(shared), n_moved, plane.spread)


class _Plane:
    """The two directions in which distinct normal rows spread most; the larger part of each points to plus."""

    def __init__(self, rows: Vectors, keys: Ints, normal: Bools) -> None:
        chosen = normal if normal.any() else np.ones(len(rows), dtype=bool)
        first = np.unique(keys[chosen], return_index=True)[1][:_MOST_FITTED]  # in order of their keys: a fair sample
        fitted = rows[chosen][first].astype(np.float64)
        self.centre = fitted.mean(axis=0) if len(fitted) else np.zeros(rows.shape[1])
        directions, shares = _principal(fitted - self.centre)
        self.directions = directions  # [width, 2]
        self.spread = float(shares[:2].sum())

    def __call__(self, rows: Vectors) -> Floats:
        places = np.empty((len(rows), 2))
        for start in range(0, len(rows), _BLOCK):
            away = rows[start : start + _BLOCK].astype(np.float64) - self.centre
            for axis in (0, 1):
                # No matrix product: the same row stands at the same place on both sides, to the bit.
                places[start : start + _BLOCK, axis] = np.add.reduce(away * self.directions[:, axis], axis=1)
        return places


def _principal(centred: Floats) -> tuple[Floats, Floats]:
    """Give two principal directions `[width, 2]` (zeros where there are fewer) and each one's share of the spread."""
    n, width = centred.shape
    directions, shares = np.zeros((width, 2)), np.zeros(2)
    if not n or not width:
        return directions, shares
    wide = width > n
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    whole = float(values.clip(0.0).sum())
    for i in range(min(2, len(values))):
        value, vector = float(values[-1 - i]), vectors[:, -1 - i]
        if value > 1e-12 * whole > 0:
            direction = centred.T @ vector / np.sqrt(value) if wide else vector
            directions[:, i] = direction * np.sign(direction[np.argmax(np.abs(direction))])
            shares[i] = value / whole
    return directions, shares


def _panel(look: MemoryRows, keys: Ints, plane: _Plane, other: dict[int, int], is_after: bool, most_rows: int) -> Panel:
    kinds = np.array(look.kinds, dtype=str)
    labels = np.asarray(look.labels, dtype=np.int64)
    normal = kinds == "normal"
    labelled = normal & (labels >= 0)
    there = np.array([other.get(key, _ABSENT) for key in keys.tolist()], dtype=np.int64)
    moved = normal & (there >= 0) & (there != labels) & is_after
    drawn = _drawn(kinds, labels, keys, moved, most_rows)
    places = plane(look.rows)
    ids = [int(label) for label in np.unique(labels[labelled])]
    middles = {label: np.median(places[labelled & (labels == label)], axis=0).tolist() for label in ids}
    return Panel(
        places=places[drawn],
        labels=labels[drawn],
        kinds=tuple(kinds[drawn].tolist()),
        texts=tuple(look.texts[i] for i in drawn.tolist()) if look.texts else (),
        new=(normal & (there == _ABSENT) & is_after)[drawn],
        moved=moved[drawn],
        was=there[drawn],
        n_rows=len(labels),
        sizes={label: int((labels[labelled] == label).sum()) for label in ids},
        centres={label: (x, y) for label, (x, y) in middles.items()},
        n_kinds={kind: int((kinds == kind).sum()) for kind in KINDS},
    )


def _drawn(kinds: NDArray[np.str_], labels: Ints, keys: Ints, moved: Bools, most_rows: int) -> Ints:
    """Choose rows: as many of each kind and cluster as of any other while they last, moved ones before all."""
    if len(keys) <= most_rows:
        return np.arange(len(keys))
    order = np.lexsort((keys, ~moved))
    pairs = np.stack([np.unique(kinds, return_inverse=True)[1], labels], axis=1)
    groups, of = np.unique(pairs, axis=0, return_inverse=True)
    of = of.ravel()[order]
    rank = np.empty(len(order), dtype=np.int64)  # of each row within its group
    for group in range(len(groups)):
        mine = of == group
        rank[mine] = np.arange(int(mine.sum()))
    return np.sort(order[np.lexsort((of, rank))[:most_rows]])


def _labels_of(look: MemoryRows, keys: Ints) -> dict[int, int]:
    """Give the label of each normal row by its key; of equal rows the first one's."""
    labels: dict[int, int] = {}
    for key, label, kind in zip(keys.tolist(), np.asarray(look.labels).tolist(), look.kinds, strict=True):
        if kind == "normal":
            labels.setdefault(key, label)
    return labels


def _normal(*looks: MemoryRows) -> Bools:
    return np.array([kind == "normal" for look in looks for kind in look.kinds], dtype=bool)


def _keys(rows: Vectors) -> Ints:
    """Give a number per row that is the same for the same bits: an identity, and an order that knows no place."""
    whole = np.ascontiguousarray(rows, dtype=np.float32)
    return np.array([xxhash.xxh3_64_intdigest(row.tobytes()) >> 1 for row in whole], dtype=np.int64)

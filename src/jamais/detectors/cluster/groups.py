"""Where are the clusters, how wide is each, and which are too small to count as normal?

Per cluster and column stand the number of rows, the sum of their deviations from an origin, and the sum of squares
of these: adding rows, counting them more often and taking them out are then sums, and so is leaving one out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

PSEUDO_ROWS = 5.0
"""Weight of what is shrunk to: a cluster's columns to its own spread, that to the spread of all clusters."""
FLOOR = 0.01
"""Of the variance within clusters: no variance counts as less."""
LARGE = 0.5
"""Of an even share of the rows: clusters above it are never suspects."""

_SUMS = ("origins", "counts", "sums", "squares")


@dataclass(frozen=True)
class Groups:
    """Sums of k clusters over `width` columns."""

    origins: Floats
    """A row of each cluster [k, width], so that repeats of it have deviations of exactly 0."""
    counts: Ints
    """[k]"""
    sums: Floats
    """[k, width]"""
    squares: Floats
    """[k, width]"""
    resolution: float
    """Variance below which nothing can be told apart, from the size of the numbers."""

    @classmethod
    def of(cls, rows: Vectors, counts: Ints, labels: Ints) -> Groups:
        """Sum up `rows` [n, width] that stand for `counts` [n] rows; every label 0 … k-1 occurs in `labels` [n]."""
        first = np.unique(labels, return_index=True)[1]
        empty = np.zeros((len(first), rows.shape[1]))
        largest = float(np.abs(rows).max())
        resolution = max((1e-6 * largest) ** 2, 1e-60)
        made = cls(rows[first].astype(np.float64), np.zeros(len(first), np.int64), empty, empty, resolution)
        return made.plus(rows, counts, labels)

    def plus(self, rows: NDArray[Any], counts: Ints, labels: Ints) -> Groups:
        """Count `rows` [n, width] `counts` [n] times more (or, below 0, less) in the clusters `labels` [n]."""
        n, sums, squares = self.counts.copy(), self.sums.copy(), self.squares.copy()
        for label in np.unique(labels).tolist():
            own = labels == label
            apart = np.subtract(rows[own], self.origins[label], dtype=np.float64)
            times = counts[own][:, None].astype(np.float64)
            n[label] += int(counts[own].sum())
            sums[label] += np.add.reduce(times * apart, axis=0)
            squares[label] += np.add.reduce(times * apart * apart, axis=0)
        return replace(self, counts=n, sums=sums, squares=squares)

    def only(self, kept: Bools) -> Groups:
        """Keep some of the clusters."""
        origins, counts, sums, squares = (getattr(self, name)[kept] for name in _SUMS)
        return Groups(origins, counts, sums, squares, self.resolution)

    def joined(self, other: Groups) -> Groups:
        """Put the clusters of `other` behind these."""
        origins, counts, sums, squares = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in _SUMS)
        return Groups(origins, counts, sums, squares, self.resolution)

    def state(self) -> StateTree:
        """Return copies of all sums."""
        return {**{name: getattr(self, name).copy() for name in _SUMS}, "resolution": self.resolution}

    @classmethod
    def of_state(cls, tree: StateTree, width: int) -> Groups:
        """Copy from a state; raise `CorruptStateError` naming the leaf that does not fit."""
        counts = _leaf(tree, "counts", np.int64, (len(tree["counts"]),))
        if not len(counts) or counts.min() < 1:
            raise CorruptStateError("cluster.groups.counts: wanted at least one cluster, each with rows")
        origins, sums, squares = (
            _leaf(tree, name, np.float64, (len(counts), width)) for name in ("origins", "sums", "squares")
        )
        resolution = float(tree["resolution"])
        if not (np.isfinite(resolution) and resolution > 0 and squares.min() >= 0):
            raise CorruptStateError("cluster.groups.squares, resolution: wanted numbers above 0")
        return cls(origins, counts, sums, squares, resolution)

    def centres(self) -> Floats:
        """The means [k, width]."""
        return np.asarray(self.origins + self.sums / self.counts[:, None], dtype=np.float64)

    def deviations(self) -> Floats:
        """Sums of squared deviations from the means [k, width]."""
        return np.maximum(self.squares - self.sums * self.sums / self.counts[:, None], 0.0)

    def scales(self) -> Floats:
        """What squared differences are divided by, [k, width]; see `scales`."""
        deviations = self.deviations()
        pooled = np.add.reduce(np.add.reduce(deviations, axis=1)) / (self.counts.sum() * deviations.shape[1])
        return scales(deviations, self.counts, pooled, self.resolution)

    def suspects(self, share: float) -> Bools:
        """Say of which clusters [k] being in them is no sign of being normal.

        These are the smallest ones that together hold at most a `share` of the rows, each with less than `LARGE`
        of an even share. The first half is He et al.'s alpha (CBLOF, 2003) and the second stands for their beta;
        balanced clusters thus have no suspects, where CBLOF finds no boundary and raises.
        """
        rising = np.argsort(self.counts, kind="stable")
        upto = np.cumsum(self.counts[rising])
        small = self.counts * len(self.counts) < LARGE * self.counts.sum()
        suspects = np.zeros(len(self.counts), dtype=bool)
        suspects[rising[upto <= share * self.counts.sum()]] = True
        return np.asarray(suspects & small, dtype=bool)


def scales(deviations: Floats, counts: Any, pooled: Any, resolution: float) -> Floats:
    """Return per column what squared differences from a centre are divided by, of the shape of `deviations`.

    `deviations` [..., width] are summed squares over `counts` [...] rows, `pooled` [...] the variance within all
    clusters. Columns have their own variance (shrunk to the cluster's by `PSEUDO_ROWS`); the cluster as a whole
    counts with the geometric mean of its own variance and the pooled one. Outliers that form a loose cluster would
    otherwise excuse themselves, and a tight one condemn its neighbours. (Half way is best on two sets of sentence
    embeddings; on ODDS sets with outliers among the rows learned, the pooled variance alone is a little better.)
    """
    pooled = np.maximum(np.asarray(pooled, dtype=np.float64), resolution)
    n = np.asarray(counts, dtype=np.float64) + PSEUDO_ROWS
    width = deviations.shape[-1]
    own = np.maximum((np.add.reduce(deviations, axis=-1) / width + PSEUDO_ROWS * pooled) / n, FLOOR * pooled)
    columns = (deviations + PSEUDO_ROWS * own[..., None]) / n[..., None]
    columns = np.maximum(columns, FLOOR * pooled[..., None])
    shape = columns / (np.add.reduce(columns, axis=-1) / width)[..., None]
    return np.asarray(shape * np.sqrt(own * pooled)[..., None], dtype=np.float64)


def scaled_distances(rows: NDArray[Any], centre: Floats, scale: Floats) -> Floats:
    """Return the root mean square over columns of scaled differences, [n]; each row by its own bits only."""
    apart = np.subtract(rows, centre, dtype=np.float64)
    return np.asarray(np.sqrt(np.add.reduce(apart * apart / scale, axis=1) / rows.shape[1]), dtype=np.float64)


def _leaf(tree: StateTree, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    array = tree[name]
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        got = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptStateError(f"cluster.groups.{name}: saved {got}, wanted {np.dtype(dtype)}{list(shape)}")
    if not np.isfinite(array).all():
        raise CorruptStateError(f"cluster.groups.{name}: holds NaN or infinity")
    return array.copy()

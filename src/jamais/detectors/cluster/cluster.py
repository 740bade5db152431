"""How far is a row from the clusters that normal rows form, measured by how wide these are?

The score is the root mean square over columns of (x - centre) / spread, to the nearest cluster that counts as
normal. Small clusters are suspects: being near to one of them excuses nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.detectors.cluster.choosing import chosen_centres
from jamais.detectors.cluster.groups import PSEUDO_ROWS, Groups, scaled_distances
from jamais.detectors.cluster.kmeans import k_means, settled
from jamais.detectors.cluster.unlearned import unlearned_scores
from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.memory.nearest import NearestRows
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

_FITS_QUANTILE, _FITS_MARGIN = 0.99, 1.5
_GROWTH = 2.0  # of the rows learned since the last refit: then the clusters are chosen anew
_NOWHERE = -1


class Cluster(Detector):
    """Score rows by their distance to the nearest large cluster, in units of its spread.

    `n_clusters` None: as many, up to 16, as the rows form (`choosing`). A number is cut to the distinct rows there
    are. `contamination` is also the share of rows that suspect clusters hold at most (`Groups.suspects`).

    Rows learned later join the nearest cluster if they fit: if they are no farther than 1.5 times what 99 % of the
    rows were from their own. Those that do not belong to none, and found clusters of their own as soon as they
    weigh as much as half an even share of the rows, and at least 10. When all rows have doubled (or half are gone)
    since clusters were chosen, they are chosen anew, as by `fit(force=True)`.
    """

    fewest_rows = 2

    def __init__(
        self,
        n_clusters: int | None = None,
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination, memory)
        if n_clusters is not None and n_clusters < 1:
            raise SettingsError(f"Cluster wants n_clusters >= 1, or None to choose, got {n_clusters}")
        if random_state < 0:
            raise SettingsError(f"Cluster wants random_state >= 0, got {random_state}")
        self.n_clusters = None if n_clusters is None else int(n_clusters)
        self.random_state = int(random_state)
        self._groups: Groups | None = None
        self._labels: Ints = np.empty(0, np.int64)  # of the exemplars with the ids and counts beside them
        self._ids: Ints = np.empty(0, np.int64)
        self._counts: Ints = np.empty(0, np.int64)
        self._reach = 0.0  # up to this score a row fits a cluster
        self._rows_at_refit = 0

    def settings(self) -> dict[str, Any]:
        names = ("n_clusters", "contamination", "random_state")
        return {name: getattr(self, name) for name in names}

    @property
    def centers_(self) -> Floats:
        """Means of the clusters [k, width], suspects included."""
        return self._found().centres()

    @property
    def counts_(self) -> Ints:
        """How many rows each cluster holds [k]."""
        return self._found().counts.copy()

    @property
    def spreads_(self) -> Floats:
        """What differences from each centre are divided by [k, width]; see `groups.scales`."""
        return np.sqrt(self._found().scales())

    @property
    def suspects_(self) -> Bools:
        """Which clusters [k] are too small to count as normal."""
        return self._found().suspects(self.contamination)

    @property
    def n_unplaced_(self) -> int:
        """Rows learned since clusters were chosen that fit none of them."""
        self._found()
        return int(self._counts[self._labels == _NOWHERE].sum())

    def _found(self) -> Groups:
        self._need_fit()
        self._up_to_date()
        return self._engine()

    def _engine(self) -> Groups:
        assert self._groups is not None, "scored before the first refit"
        return self._groups

    # Learning

    def _refit(self) -> None:
        rows, counts = self.memory.rows, self.memory.counts
        self._labels = self._clustered(rows, counts, self.n_clusters)
        self._groups = groups = Groups.of(rows, counts, self._labels)
        own = _own_distances(groups, rows, self._labels)
        self._reach = _FITS_MARGIN * float(
            np.quantile(own, _FITS_QUANTILE, weights=counts.astype(np.float64), method="inverted_cdf")
        )
        self._rows_at_refit = int(counts.sum())
        self._ids, self._counts = self.memory.ids, counts

    def _clustered(self, rows: Vectors, counts: Ints, n_clusters: int | None) -> Ints:
        """Label `rows` [m, width] with clusters found from scratch, as many as asked for or as there are."""
        rng = np.random.default_rng(self.random_state)
        weights = counts.astype(np.float64)
        apart = rows - np.average(rows, axis=0, weights=weights)
        # Products of large numbers would overflow float32; who is near to whom does not depend on the unit.
        centred = (apart / max(float(np.abs(apart).max()), 1e-300)).astype(np.float32)
        if n_clusters is not None:
            return k_means(centred, weights, n_clusters, rng)
        return settled(centred, weights, chosen_centres(centred, weights, rng))

    def _follow(self) -> None:
        kept = np.isin(self._ids, self.memory.ids)
        n_rows = int(self.memory.counts.sum())
        if not self._rows_at_refit / _GROWTH < n_rows < self._rows_at_refit * _GROWTH or not kept.any():
            self._refit()
            return
        self._let_go(kept)
        self._recount()
        if not len(self._engine().counts):  # those left fit no cluster: none of the old ones was theirs
            self._refit()
            return
        self._place()
        self._found_clusters()

    def _let_go(self, kept: Bools) -> None:
        """Sum up anew the clusters that lost exemplars, whose rows are no longer there to be subtracted."""
        losing = np.unique(self._labels[~kept])
        losing = losing[losing != _NOWHERE]
        self._ids, self._counts, self._labels = self._ids[kept], self._counts[kept], self._labels[kept]
        if not len(losing):
            return
        groups = self._engine()
        parts = {name: getattr(groups, name).copy() for name in ("counts", "sums", "squares")}
        for part in parts.values():
            part[losing] = 0
        left = np.flatnonzero(np.isin(self._labels, losing))
        rows = self.memory.rows[np.searchsorted(self.memory.ids, self._ids[left])]
        emptied = Groups(groups.origins, **parts, resolution=groups.resolution)
        summed = emptied.plus(rows, self._counts[left], self._labels[left])
        self._groups = summed.only(summed.counts > 0)
        places = np.append(np.cumsum(summed.counts > 0) - 1, _NOWHERE)  # the last for those that are nowhere
        self._labels = places[self._labels]

    def _recount(self) -> None:
        """Take over counts of exemplars that stand for more rows than before."""
        slots = np.searchsorted(self.memory.ids, self._ids)
        more = self.memory.counts[slots] - self._counts
        moved = np.flatnonzero((more != 0) & (self._labels != _NOWHERE))
        self._groups = self._engine().plus(self.memory.rows[slots[moved]], more[moved], self._labels[moved])
        self._counts = self._counts + more

    def _place(self) -> None:
        """Let new exemplars join the nearest cluster, where they fit one."""
        new = np.flatnonzero(~np.isin(self.memory.ids, self._ids))
        groups, rows, counts = self._engine(), self.memory.rows[new], self.memory.counts[new]
        labels = NearestRows(groups.centres()).nearest(rows, 1)[1][:, 0]
        labels[_own_distances(groups, rows, labels) > self._reach] = _NOWHERE
        fitting = labels != _NOWHERE
        self._groups = groups.plus(rows[fitting], counts[fitting], labels[fitting])
        # Ids of one memory rise, so new ones mostly come last; a merged memory may mix them.
        self._ids, order = self.memory.ids, np.argsort(np.concatenate([self._ids, self.memory.ids[new]]))
        self._labels = np.concatenate([self._labels, labels])[order]
        self._counts = self.memory.counts

    def _found_clusters(self) -> None:
        """Make clusters of the exemplars that fit none, once there are enough of them."""
        lost = np.flatnonzero(self._labels == _NOWHERE)
        groups, counts = self._engine(), self._counts[lost]
        if counts.sum() < max(2 * PSEUDO_ROWS, groups.counts.sum() / (2 * len(groups.counts))):
            return
        rows = self.memory.rows[lost]
        labels = self._clustered(rows, counts, None)
        self._groups = groups.joined(Groups.of(rows, counts, labels))
        self._labels[lost] = labels + len(groups.counts)

    # Scoring

    def _scores(self, rows: Vectors) -> Floats:
        groups = self._engine()
        normal = np.flatnonzero(~groups.suspects(self.contamination))
        return _nearest(groups.centres()[normal], groups.scales()[normal], rows)[0]

    def _unseen_scores(self, rows: Vectors) -> Floats:
        slots = self._own_slots(rows)
        labels = np.where(slots >= 0, self._labels[slots], _NOWHERE)
        groups = self._engine()
        return unlearned_scores(groups, ~groups.suspects(self.contamination), rows, self.memory.rows[slots], labels)

    def _own_slots(self, rows: Vectors) -> Ints:
        """Return the slot [n] of the exemplar that stands for each row; -1 for rows that are no longer remembered."""
        if self.memory.normal.reach > 0:
            distances, slots = self.memory.index().nearest(rows, 1)
            return np.where(distances[:, 0] <= self.memory.normal.reach, slots[:, 0], -1)
        known = {row.tobytes(): slot for slot, row in enumerate(self.memory.rows)}
        return np.array([known.get(row.tobytes(), -1) for row in rows], dtype=np.int64)

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        groups = self._engine()
        normal = np.flatnonzero(~groups.suspects(self.contamination))
        centres, scale = groups.centres()[normal], groups.scales()[normal]
        own = _nearest(centres, scale, rows)[1]
        return np.asarray((rows - centres[own]) ** 2 / scale[own], dtype=np.float64)

    # Saving

    def _engine_state(self) -> StateTree:
        return {
            "labels": self._labels.copy(),
            "reach": self._reach,
            "rows_at_refit": self._rows_at_refit,
            "groups": self._engine().state(),
        }

    def _load_engine(self, tree: StateTree) -> None:
        groups = Groups.of_state(tree["groups"], int(self.memory.width or 0))
        labels, counts = tree["labels"], self.memory.counts
        if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.shape != counts.shape:
            raise CorruptStateError(f"cluster.labels: wanted int64 [{len(counts)}], one for each remembered row")
        if len(labels) and not _NOWHERE <= labels.min() <= labels.max() < len(groups.counts):
            raise CorruptStateError(f"cluster.labels: there are {len(groups.counts)} clusters, labels name others")
        held = labels != _NOWHERE
        holds = np.zeros(len(groups.counts), dtype=np.int64)
        np.add.at(holds, labels[held], counts[held])
        if not np.array_equal(holds, groups.counts):
            raise CorruptStateError("cluster.groups.counts: not the rows that the labels give each cluster")
        self._reach, self._rows_at_refit = float(tree["reach"]), int(tree["rows_at_refit"])
        if not (np.isfinite(self._reach) and self._reach >= 0 and self._rows_at_refit >= 1):
            raise CorruptStateError(f"cluster.reach, rows_at_refit: {self._reach}, {self._rows_at_refit}")
        self._groups, self._labels = groups, labels.copy()
        self._ids, self._counts = self.memory.ids, counts


def _own_distances(groups: Groups, rows: Vectors, labels: Ints) -> Floats:
    """Return the scaled distance [n] of each of `rows` [n, width] to the centre of its cluster."""
    centres, scale = groups.centres(), groups.scales()
    distances = np.empty(len(rows))
    for label in np.unique(labels).tolist():
        own = labels == label
        distances[own] = scaled_distances(rows[own], centres[label], scale[label])
    return distances


def _nearest(centres: Floats, scale: Floats, rows: Vectors) -> tuple[Floats, Ints]:
    """Return the smallest scaled distance [n] and the slot [n] of its centre."""
    best, slots = np.full(len(rows), np.inf), np.zeros(len(rows), np.int64)
    for slot in range(len(centres)):
        far = scaled_distances(rows, centres[slot], scale[slot])
        nearer = far < best
        best[nearer], slots[nearer] = far[nearer], slot
    return best, slots

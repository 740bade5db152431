"""What does a cluster memory hold, and what happens to it as rows come in?"""

from __future__ import annotations

from copy import copy
from typing import Protocol

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.births import Found, Look, Rows
from jamais.memory.clusters.budget import bar_for, chance, share_beyond
from jamais.memory.clusters.held import Held
from jamais.memory.clusters.known import Known
from jamais.memory.clusters.layers import LOCAL, Layer, Near
from jamais.memory.clusters.reports import ClusterEvent
from jamais.memory.clusters.roster import Roster
from jamais.memory.clusters.unexplained import NEIGHBORS
from jamais.types import Floats, Ints, StateTree, Vectors

_NOVEL_SHARE = 0.1  # of held-out rows are farther from the exemplars than this: more of them is a reason to look
_PENDING_SHARE = 0.01
_LOG_REASON = -4.6  # chance of a reason to look where there is none: 1 %
_FEWEST_TO_LOOK = 64
_FEWEST_ROWS = 8  # of a cluster
_PART_OF_KNOWN = 0.25  # of the rows that a known cluster has make a new one
_PART_OF_BUDGET = 2 / 3
_FIRST_ASKED = 1_000  # exemplars of first clusters that calibrate beside held-out rows where those are few
_ENOUGH_HELD = 1_500
_MOST_LAYERS = 32
_MOST_CLUSTERS = 2_000
_OF_ONE = 0.9  # of a new group's rows were in one cluster: it was split off
_MOST_HELD_MORE = 4_000
_COUNTS = ("n_seen", "since", "over", "barren", "n_looks")


class Settings(Protocol):
    """What a cluster memory was told."""

    exemplars: int
    shift_budget: float
    smallest: int | None
    recent: int
    n_neighbors: int
    seed: int


class Growing:
    """Known exemplars, the roster, held-out and recent rows. Arrays are replaced, never written: a copy is cheap."""

    def __init__(self, known: Known, roster: Roster, held: Held, n_seen: int) -> None:
        self.known = known
        self.roster = roster
        self.held = held
        self.first_ids = roster.ids.copy()
        self.recent: Vectors = held.rows[:0]
        self.told: Ints = held.told[:0]
        self.n_seen = n_seen
        self.since = 0
        """Rows since the last look for new clusters; `over` of them are far from the exemplars."""
        self.over = 0
        self.barren = 0
        """Looks in a row that found nothing."""
        self.n_looks = 0
        self.spent = 0.0
        """Share of known rows that the bars of all layers let pass."""
        self._held_near: Near | None = None
        self._recent_near: Near | None = None

    def copy(self) -> Growing:
        made = copy(self)
        made.roster = self.roster.copy()
        return made

    def total_shift(self) -> float:
        return float(self.held.moved().mean()) if len(self.held.rows) else 0.0

    def pending(self) -> int:
        if not len(self.held.rows) or not len(self.recent):
            return 0
        far = _quantile(self._held(5).mean(5), 1.0 - _PENDING_SHARE)
        return int((self._recents(5).mean(5) > far).sum())

    def take_in(self, rows: Vectors, told: Ints | None, settings: Settings) -> None:
        """Count `rows` [n, width], remember them as recent ones, and look for new clusters where there is reason."""
        k = settings.n_neighbors
        found = self.known.label(rows, told, k, NEIGHBORS)
        labels = self.roster.now(found.labels)
        self.roster.count(labels)
        self.n_seen += len(rows)
        self.since += len(rows)
        if len(self.held.rows):
            novel = _quantile(self._held(k).mean(k), 1.0 - _NOVEL_SHARE)
            self.over += int((found.near.mean(k) > novel).sum())
        self._recent_near = self._recents(k).below(found.near, settings.recent)
        self.recent = np.concatenate([self.recent, rows])[-settings.recent :]
        first = found.labels if told is None else told
        self.told = np.concatenate([self.told, first])[-settings.recent :]
        if self._due(settings):
            self._look(settings)

    def _due(self, settings: Settings) -> bool:
        if not len(self.held.rows) or len(self.known.layers) >= _MOST_LAYERS:
            return False
        patience = min(max(_FEWEST_TO_LOOK, len(self.recent) // 4) << self.barren, settings.recent)
        reason = chance(self.over, self.since, _NOVEL_SHARE) < _LOG_REASON
        return self.since >= (patience if reason else settings.recent << self.barren)

    def _look(self, settings: Settings) -> None:
        k = settings.n_neighbors
        self.since = self.over = 0
        self.n_looks += 1
        now = self.known.label(self.recent, self.told, k)
        labels = self.roster.now(now.labels)
        left = np.flatnonzero(~now.taken & ~now.repeats)
        expected = self._expected(len(self.recent))
        smallest = settings.smallest or max(_FEWEST_ROWS, int(_PART_OF_KNOWN * expected))
        look = Look(
            recent=Rows(self.recent[left], self._recents(k).take(left)),
            held=Rows(self.held.rows, self._held(k)),
            exemplars=self.known.exemplars,
            weights=self._weights(len(left)),
            growing=self.known.growing,
            k=k,
            smallest=smallest,
            expected=expected,
        )
        found = look.found()
        self.barren = min(self.barren + 1, 4)
        if found and self._grow([Found(left[one.places], one.cluster) for one in found], labels, settings):
            self.barren = 0

    def _grow(self, found: list[Found], before: Ints, settings: Settings) -> bool:
        """Give birth to clusters or extend them; say whether anything changed."""
        k = settings.n_neighbors
        places, clusters = self._chosen(found, settings)
        share = (settings.shift_budget - self.spent) * _PART_OF_BUDGET
        if not len(places) or share <= 0.0:
            return False
        n_known = len(self.known.exemplars)
        layer = Layer(self.recent[places], clusters, n_known + np.arange(len(places)), 0.0)
        values = self._held_values(layer, k)
        layer.bar = bar_for(values, share)
        known = self.known.with_layer(layer)
        now = known.label(self.recent, self.told, k)
        self.known = known
        self.spent += min(share, share_beyond(values, layer.bar))
        self._recent_near = self._recents(k).joined(layer.near(self.recent, NEIGHBORS))
        self._held_near = self._held(k).joined(layer.near(self.held.rows, NEIGHBORS))
        self.held = self.held.relabelled(self.roster.now(known.label(self.held.rows, self.held.told, k).labels))
        self._enter(np.unique(clusters), before, now.labels)
        spare = np.setdiff1d(np.flatnonzero(np.isin(now.labels, clusters)), places)
        self._hold(spare, now.labels)
        return True

    def _chosen(self, found: list[Found], settings: Settings) -> tuple[Ints, Ints]:
        """Return places of recent rows that become exemplars, and their clusters."""
        rng = np.random.default_rng([settings.seed, self.n_seen])
        places, clusters = [], []
        next_id = self.roster.next_id
        for one in found:
            cluster = one.cluster
            if cluster < 0 and len(self.roster.ids) + next_id - self.roster.next_id >= _MOST_CLUSTERS:
                continue
            if cluster < 0:
                cluster, next_id = next_id, next_id + 1
            room = settings.exemplars - int((self.known.clusters == cluster).sum())
            some = np.sort(rng.permutation(one.places)[: max(0, room)])
            places.append(some)
            clusters.append(np.full(len(some), cluster))
        if not places:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return np.concatenate(places), np.concatenate(clusters)

    def _held_values(self, layer: Layer, k: int) -> Floats:
        """Contrast of known rows with a layer that is not theirs: held-out ones, and exemplars as if they were."""
        all_rows = self.known.with_layer(layer).exemplars
        values = [self.known.contrast(self.held.rows, self._held(k), layer.near(self.held.rows, LOCAL), all_rows, k)]
        few = len(self.held.rows) < _ENOUGH_HELD
        rows, near = self.known.itself(LOCAL, _FIRST_ASKED if few else 0)
        if len(rows):
            values.append(self.known.contrast(rows, near, layer.near(rows, LOCAL), all_rows, k))
        return np.concatenate(values)

    def _enter(self, clusters: Ints, before: Ints, after: Ints) -> None:
        """Write newborn clusters into the roster, with what happened."""
        self.roster.admit(clusters)
        for cluster in clusters.tolist():
            its = after == cluster
            was, counts = np.unique(before[its], return_counts=True)
            moved = np.flatnonzero((was >= 0) & (was != cluster))
            np.subtract.at(self.roster.sizes, np.searchsorted(self.roster.ids, was[moved]), counts[moved])
            self.roster.sizes[self.roster.ids == cluster] += int(counts[was != cluster].sum())
            if cluster not in self.first_ids and not (was == cluster).any() and its.any():
                most = int(counts.argmax())
                split = was[most] >= 0 and counts[most] >= _OF_ONE * its.sum()
                ids = (int(was[most]), cluster) if split else (cluster,)
                self.roster.log(ClusterEvent("split" if split else "born", ids, int(its.sum()), self.n_seen))

    def _hold(self, places: Ints, labels: Ints) -> None:
        """Hold rows of born clusters out that did not become exemplars."""
        if len(places):
            more = Held.of(self.recent[places], self.told[places], labels[places])
            held = self.held.more(more, len(self.held.rows) + _MOST_HELD_MORE)
            self._held_near = None
            self.held = held

    def _expected(self, n: int) -> float:
        """How many of `n` rows a known cluster has, in the middle."""
        sizes = np.array([size for size in self.roster.sizes_now().values() if size > 0], dtype=np.float64)
        return float(np.median(sizes) / sizes.sum() * n) if len(sizes) else float(n)

    def _weights(self, n: int) -> Floats:
        """How many of `n` rows each exemplar explains, at least one."""
        slots = np.searchsorted(self.roster.ids, self.known.clusters)
        per_cluster = np.bincount(slots, minlength=len(self.roster.ids))
        share = self.roster.sizes / max(1, int(self.roster.sizes.sum()))
        return np.asarray(np.maximum(1.0, (share * n / np.maximum(per_cluster, 1))[slots]))

    def _held(self, k: int) -> Near:
        if self._held_near is None:
            self._held_near = self.known.label(self.held.rows, None, k, NEIGHBORS).near
        return self._held_near

    def _recents(self, k: int) -> Near:
        if self._recent_near is None:
            self._recent_near = self.known.label(self.recent, None, k, NEIGHBORS).near
        return self._recent_near

    def state_dict(self) -> StateTree:
        return {
            "known": self.known.state_dict(),
            "roster": self.roster.state_dict(),
            "held": self.held.state_dict(),
            "first_ids": self.first_ids,
            "recent": self.recent,
            "told": self.told,
            "spent": self.spent,
            **{name: getattr(self, name) for name in _COUNTS},
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> Growing:
        known = Known.from_state(tree["known"])
        width = known.exemplars.shape[1]
        made = cls(known, Roster.from_state(tree["roster"]), Held.from_state(tree["held"], width), 0)
        made.first_ids, made.recent, made.told = (np.array(tree[n], order="C") for n in ("first_ids", "recent", "told"))
        if (
            made.recent.dtype != np.float32
            or made.recent.shape != (len(made.told), width)
            or not np.isfinite(made.recent).all()
            or any(one.dtype != np.int64 or one.ndim != 1 for one in (made.told, made.first_ids))
            or not np.isin(known.clusters, made.roster.ids).all()
        ):
            raise CorruptStateError("recent rows of a cluster memory do not fit together: load another version")
        for name in _COUNTS:
            setattr(made, name, int(tree[name]))
        made.spent = float(tree["spent"])
        return made


def _quantile(values: Floats, at: float) -> float:
    return float(np.quantile(values, at, method="higher"))

"""What does a cluster memory hold, and what happens to it as rows come in?"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Protocol

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.extension import Came, came_to, contrasts, extended
from jamais.memory.clusters.held import Held
from jamais.memory.clusters.known import Known, Labelled
from jamais.memory.clusters.layers import Layer
from jamais.memory.clusters.novel.births import Found, Look, Rows
from jamais.memory.clusters.novel.budget import bar_for, share_beyond
from jamais.memory.clusters.novel.reason import Watch
from jamais.memory.clusters.novel.unexplained import NEIGHBORS
from jamais.memory.clusters.reports import ClusterEvent
from jamais.memory.clusters.roster import Roster
from jamais.memory.clusters.space import Points
from jamais.types import Floats, Ints, StateTree, Vectors

_FEWEST_ROWS = 8  # of a cluster
_ENOUGH_ROWS = 40  # of a cluster, however large known ones are: it may have begun to come only lately
_ENOUGH_EXPECTED = 24  # rows of a known cluster among the recent ones: with fewer, groups cannot be told apart
_PART_OF_KNOWN = 0.25  # of the rows that a known cluster has make a new one
_PART_OF_BUDGET = 2 / 3  # of what is left, for one update: later ones keep some
_MOST_HELD = 8_000
_MOST_LAYERS = 32
_MOST_CLUSTERS = 2_000
_OF_ONE = 0.9  # of a new group's rows were in one cluster: it was split off
_PENDING_SHARE = 0.01  # of held-out rows are as far from all exemplars as rows that wait


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
        self.recent = held.points.take(slice(0))
        self.told: Ints = held.told[:0]
        self.n_seen = n_seen
        self.watch = Watch()
        self.spent = 0.0
        """Share of known rows that the bars of all layers let pass."""
        self._of_held: Labelled | None = None
        self._of_recent: Labelled | None = None

    def copy(self) -> Growing:
        made = copy(self)
        made.roster, made.watch = self.roster.copy(), self.watch.copy()
        return made

    def total_shift(self) -> float:
        return float(self.held.moved().mean()) if len(self.held) else 0.0

    def pending(self, k: int) -> int:
        """Recent rows that no cluster born here has, though they are far from all exemplars."""
        if not len(self.held) or not len(self.recent):
            return 0
        far = np.quantile(self._held(k).near.mean(k), 1.0 - _PENDING_SHARE, method="higher")
        return int((self._recents(k).near.mean(k) > far).sum())

    def take_in(self, points: Points, told: Ints | None, settings: Settings) -> None:
        """Count `points` [n], remember them as recent ones, and look for new clusters where there is reason."""
        k = settings.n_neighbors
        found = self.known.label(points, told, k, NEIGHBORS)
        self.roster.count(self.roster.now(found.labels))
        self.n_seen += len(points)
        self.watch.since += len(points)
        self._of_recent = self._recents(k).below(found, settings.recent)
        self.recent = self.recent.below(points, settings.recent)
        self.told = np.concatenate([self.told, found.first])[-settings.recent :]
        if self._may_look(settings):
            self.watch.looked(self._look(settings))
        self._extend(settings)

    def _may_look(self, settings: Settings) -> bool:
        full = len(self.known.layers) >= _MOST_LAYERS or self.spent >= settings.shift_budget
        enough = len(self.recent) >= settings.recent or self._expected(len(self.recent)) >= _ENOUGH_EXPECTED
        if full or not enough or not len(self.held):
            return False
        k, now = settings.n_neighbors, self._recents(settings.n_neighbors)
        left = now.near.mean(k)[~now.born]
        return self.watch.due(left, self._held(k).near.mean(k), settings.recent)

    def _look(self, settings: Settings) -> bool:
        """Look for new clusters; say whether anything was learned."""
        k, now, held = settings.n_neighbors, self._recents(settings.n_neighbors), self._held(settings.n_neighbors)
        left = _distinct(self.recent.raw, np.flatnonzero(~now.born & ~now.repeats))
        expected = self._expected(len(self.recent))
        look = Look(
            recent=Rows(self.recent.rows[left], now.near.take(left)),
            held=Rows(self.held.points.rows, held.near),
            exemplars=self.known.exemplars.rows,
            weights=self._weights(len(left)),
            clusters=self.roster.now(self.known.clusters),
            n_first=self.known.n_first,
            k=k,
            smallest=settings.smallest or min(max(_FEWEST_ROWS, int(_PART_OF_KNOWN * expected)), _ENOUGH_ROWS),
            expected=expected,
            n_looks=self.watch.n_looks + 1,
        )
        found = [replace(one, places=left[one.places]) for one in look.found()]
        return bool(found) and self._grow(found, settings)

    def _grow(self, found: list[Found], settings: Settings) -> bool:
        """Give birth to clusters or extend them; say whether anything changed."""
        k = settings.n_neighbors
        places, clusters = self._chosen(found, settings)
        share = (settings.shift_budget - self.spent) * _PART_OF_BUDGET
        if not len(places):
            return False
        ids = self.known.next_id + np.arange(len(places))
        layer = Layer(self.recent.take(places), clusters, ids, 0.0, share)
        values = contrasts(self.known, layer, self.held.points.rows, self._held(k).near, k)
        layer.bar = bar_for(values, share)
        self.spent += min(share, share_beyond(values, layer.bar))
        before, held = self._recents(k), self._held(k)
        self.known = self.known.with_layer(layer)
        self._of_recent = self.known.again(before, self.recent, -1, k, NEIGHBORS)
        self._of_held = self.known.again(held, self.held.points, -1, k, NEIGHBORS)
        self.held = self.held.relabelled(self.roster.now(self._of_held.labels))
        self._enter(np.unique(clusters), self.roster.now(before.labels), self._of_recent.labels)
        spare = np.isin(self._of_recent.labels, clusters)
        spare[places] = False
        self._hold(np.flatnonzero(spare)[: _MOST_HELD - len(self.held)])
        return True

    def _extend(self, settings: Settings) -> None:
        """Give born clusters more exemplars where rows have come to them."""
        for depth in range(1, len(self.known.layers)):
            now, k = self._recents(settings.n_neighbors), settings.n_neighbors
            coming = came_to(self.known.layers[depth], now, self.known.clusters, settings.exemplars)
            if not len(coming):
                continue
            wanted = extended(self.known, depth, Came.of(self.recent, now, coming), self.held, self._held(k), k)
            of_held = wanted.again(self._held(k), self.held.points, depth, k, NEIGHBORS)
            labels = self.roster.now(of_held.labels)
            if (labels != self.held.labels).mean() > wanted.layers[depth].share:
                continue  # what is won would cost more labels than the layer may move
            before = self.roster.now(now.labels)
            self.known, self._of_held = wanted, of_held
            self._of_recent = wanted.again(now, self.recent, depth, k, NEIGHBORS)
            self.held = self.held.relabelled(labels)
            self._count_moved(before, self.roster.now(self._of_recent.labels))

    def _count_moved(self, before: Ints, after: Ints) -> None:
        moved = before != after
        for labels, by in ((before, -1), (after, 1)):
            its = labels[moved & (labels >= 0)]
            np.add.at(self.roster.sizes, np.searchsorted(self.roster.ids, its), by)

    def _chosen(self, found: list[Found], settings: Settings) -> tuple[Ints, Ints]:
        """Return places of recent rows that become exemplars, and their clusters."""
        rng = np.random.default_rng([settings.seed, self.n_seen])
        none = np.empty(0, dtype=np.int64)
        places, clusters, next_id = [none], [none], self.roster.next_id
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
        return np.concatenate(places), np.concatenate(clusters)

    def _enter(self, clusters: Ints, before: Ints, after: Ints) -> None:
        """Write newborn clusters into the roster, with what happened."""
        first = self.roster.next_id
        self.roster.admit(clusters)
        self._count_moved(before, after)
        for cluster in clusters[clusters >= first].tolist():
            its = before[after == cluster]
            was, counts = np.unique(its, return_counts=True)
            most = int(counts.argmax()) if len(its) else 0
            split = len(its) > 0 and was[most] >= 0 and counts[most] >= _OF_ONE * len(its)
            ids = (int(was[most]), cluster) if split else (cluster,)
            self.roster.log(ClusterEvent("split" if split else "born", ids, len(its), self.n_seen))

    def _hold(self, places: Ints) -> None:
        """Hold rows of born clusters out that did not become exemplars."""
        assert self._of_recent is not None
        assert self._of_held is not None
        now = self._of_recent.take(places)
        more = Held.of(self.recent.take(places), self.told[places], self.roster.now(now.labels))
        self.held = self.held.more(more)
        self._of_held = self._of_held.below(now, len(self.held))

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

    def _held(self, k: int) -> Labelled:
        if self._of_held is None:
            self._of_held = self.known.label(self.held.points, self.held.told, k, NEIGHBORS)
        return self._of_held

    def _recents(self, k: int) -> Labelled:
        if self._of_recent is None:
            self._of_recent = self.known.label(self.recent, self.told, k, NEIGHBORS)
        return self._of_recent

    def state_dict(self) -> StateTree:
        return {
            "known": self.known.state_dict(),
            "roster": self.roster.state_dict(),
            "held": self.held.state_dict(),
            "watch": self.watch.state_dict(),
            "first_ids": self.first_ids,
            "recent": self.recent.raw,
            "told": self.told,
            "spent": self.spent,
            "n_seen": self.n_seen,
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> Growing:
        known = Known.from_state(tree["known"])
        held = Held.from_state(tree["held"], known.space)
        made = cls(known, Roster.from_state(tree["roster"]), held, int(tree["n_seen"]))
        recent, made.told, made.first_ids = (np.array(tree[n], order="C") for n in ("recent", "told", "first_ids"))
        if (
            recent.dtype != np.float32
            or recent.shape != (len(made.told), len(known.space.centre))
            or not np.isfinite(recent).all()
            or any(one.dtype != np.int64 or one.ndim != 1 for one in (made.told, made.first_ids))
            or not np.isin(known.clusters, made.roster.ids).all()
        ):
            raise CorruptStateError("recent rows of a cluster memory do not fit together: load another version")
        made.recent = known.space.points(recent)
        made.watch = Watch.from_state(tree["watch"])
        made.spent = float(tree["spent"])
        return made


def _distinct(rows: Vectors, which: Ints) -> Ints:
    """Leave out of `which` [n] places of rows that came before: a row sent twice is no evidence of more like it."""
    some = np.ascontiguousarray(rows[which])
    bits = some.view(np.dtype((np.void, some.itemsize * some.shape[1])))[:, 0]
    return which[np.sort(np.unique(bits, return_index=True)[1])] if len(which) else which

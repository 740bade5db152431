"""Which cluster is a row of, and has a new cluster come, without moving what is known?

Exemplars of each cluster decide, not parameters: new clusters are grown from recent rows that no known cluster
explains, and may take only so many rows of the old ones as the budget for label shift allows, which is calibrated
on held-out rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError
from jamais.memory.clusters.births import groups_among
from jamais.memory.clusters.layers import Layer, Near
from jamais.memory.clusters.reports import NONE, Assignment, ClusterEvent, Growth
from jamais.memory.clusters.roster import Roster
from jamais.memory.incoming import checked_rows, checked_whole
from jamais.types import Bools, Ints, StateTree, Vectors

_SETTINGS = ("exemplars", "shift_budget", "smallest", "recent", "n_neighbors", "seed")


class ClusterMemory:
    """Remember clusters by exemplars, and learn new ones.

    - `exemplars`: rows kept of each cluster. `recent`: rows kept of those that came last, in which clusters are born.
    - `shift_budget`: share of rows that all updates together may move from one cluster to a newer one.
    - `smallest`: rows that make a cluster (default: 2 % of the recent rows, at least 8).
    - `n_neighbors`: exemplars asked about each row.
    """

    def __init__(
        self,
        exemplars: int = 200,
        shift_budget: float = 0.003,
        smallest: int | None = None,
        recent: int = 5_000,
        n_neighbors: int = 5,
        seed: int = 0,
    ) -> None:
        if min(exemplars, recent, n_neighbors) < 1 or (smallest is not None and smallest < 2):
            raise SettingsError("a cluster memory wants exemplars, recent, n_neighbors >= 1 and smallest >= 2")
        if not 0.0 <= shift_budget < 1.0:
            raise SettingsError(f"a cluster memory wants 0 <= shift_budget < 1, got {shift_budget}")
        self.exemplars = int(exemplars)
        self.shift_budget = float(shift_budget)
        self.smallest = None if smallest is None else int(smallest)
        self.recent = int(recent)
        self.n_neighbors = int(n_neighbors)
        self.seed = int(seed)
        self.n_seen = 0
        self._layers: tuple[Layer, ...] = ()
        self._roster = Roster(np.empty(0, dtype=np.int64))
        self._held: Vectors = np.empty((0, 0), dtype=np.float32)
        self._held_told: Ints = np.empty(0, dtype=np.int64)
        self._held_labels: Ints = np.empty(0, dtype=np.int64)
        self._recent: Vectors = np.empty((0, 0), dtype=np.float32)
        self._recent_told: Ints = np.empty(0, dtype=np.int64)
        self._far = np.inf
        self._novel = np.inf
        self._pending = 0

    @property
    def width(self) -> int | None:
        """Width of the rows; None before `begin`."""
        return self._layers[0].rows.shape[1] if self._layers else None

    @property
    def ids(self) -> Ints:
        """Ids of the clusters that live, rising."""
        return self._roster.living

    @property
    def n_clusters(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> dict[int, int]:
        """How many rows each living cluster has got."""
        return self._roster.sizes_now()

    @property
    def events(self) -> tuple[ClusterEvent, ...]:
        """What happened to clusters, the last 1,000 events."""
        return self._roster.events

    @property
    def pending(self) -> int:
        """Recent rows that look new and belong to no cluster yet."""
        return self._pending

    @property
    def rows(self) -> Vectors:
        """All exemplars [m, width], in order of their ids."""
        self._ready()
        return np.concatenate([layer.rows for layer in self._layers])

    @property
    def labels(self) -> Ints:
        """The cluster [m] of each exemplar."""
        self._ready()
        return self._roster.now(np.concatenate([layer.clusters for layer in self._layers]))

    def begin(self, rows: Any, labels: Any) -> None:
        """Learn the first clusters from `rows` [n, width] with `labels` [n] >= 0, forgetting all before."""
        given = checked_rows(rows, None, "the cluster memory")
        told = checked_whole(labels, len(given), "labels of the first clusters")
        if len(given) < 2 or (told < 0).any():
            raise InputError(f"the first clusters want two rows and labels >= 0, got {len(given)} rows: add some")
        order = np.random.default_rng(self.seed).permutation(len(given))
        held = order[: min(len(given) // 3, 4_000)]
        kept = _first_of_each(told, order[len(held) :], self.exemplars)
        self._layers = (Layer(given[kept], told[kept], np.arange(len(kept)), 0.0),)
        self._roster = Roster(np.unique(told))
        self._roster.count(told)
        self._held, self._held_told, self._held_labels = given[held], told[held], told[held]
        self._recent, self._recent_told = given[:0], told[:0]
        self.n_seen, self._pending = len(given), 0
        distances = self._layers[0].near(self._held, self.n_neighbors).mean
        self._novel = float(np.quantile(distances, 0.95))
        self._far = float(distances.max() * 1.2)
        self._held_labels = self._labels(self._held, told[held])[0]

    def assign(self, rows: Any, told: Any = None) -> Assignment:
        """Say which cluster each of `rows` [n, width] is of; `told` [n] are the labels of a frozen outer model."""
        self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        labels, near = self._labels(given, self._told(told, len(given)))
        return Assignment(labels, near.mean, near.ids, near.distances)

    def learn(self, rows: Any, told: Any = None) -> Growth:
        """Let `rows` [n, width] in, and perhaps give birth to clusters; nothing is changed if that fails."""
        self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        outer = self._told(told, len(given))
        staged = self.copy()
        n_events = len(staged.events)
        before = staged._held_labels
        for start in range(0, len(given), self.recent):
            part = slice(start, start + self.recent)
            staged._take_in(given[part], None if outer is None else outer[part])
        self.__dict__.update(staged.__dict__)
        n = max(1, len(before))
        return Growth(
            len(given),
            self.events[n_events:],
            float((before != self._held_labels[: len(before)]).sum() / n),
            0.0,
            len(before),
            self.pending,
            self.sizes,
        )

    def retire(self, cluster: int) -> None:
        """End a cluster: its rows belong to none from now on. Its id is never used again."""
        self._end("retired", int(cluster), NONE)

    def merge(self, cluster: int, into: int) -> None:
        """Let a cluster join another one, whose id stays. The id that ended is never used again."""
        self._end("merged", int(cluster), int(into))

    def copy(self) -> ClusterMemory:
        """Return a memory that goes on by itself."""
        made = ClusterMemory(**self.settings())
        made.__dict__.update(self.__dict__)
        made._roster = self._roster.copy()
        return made

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        arrays = ("held", "held_told", "held_labels", "recent", "recent_told")
        return {
            "settings": self.settings(),
            "n_seen": self.n_seen,
            "pending": self._pending,
            "far": None if np.isinf(self._far) else self._far,
            "novel": None if np.isinf(self._novel) else self._novel,
            "layers": {str(i): layer.state_dict() for i, layer in enumerate(self._layers)},
            "roster": self._roster.state_dict(),
            **{name: getattr(self, f"_{name}") for name in arrays},
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state; raise `CorruptStateError` and change nothing."""
        try:
            loaded = ClusterMemory(**tree["settings"])
            loaded.n_seen, loaded._pending = int(tree["n_seen"]), int(tree["pending"])
            loaded._far = np.inf if tree["far"] is None else float(tree["far"])
            loaded._novel = np.inf if tree["novel"] is None else float(tree["novel"])
            loaded._layers = tuple(Layer.from_state(tree["layers"][str(i)]) for i in range(len(tree["layers"])))
            loaded._roster = Roster.from_state(tree["roster"])
            for name in ("held", "held_told", "held_labels", "recent", "recent_told"):
                setattr(loaded, f"_{name}", np.array(tree[name], order="C"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptStateError(f"not the state of a cluster memory ({error!r}): load another version") from None
        self.__dict__.update(loaded.__dict__)

    def _ready(self) -> None:
        if not self._layers:
            raise NotReadyError("a cluster memory wants its first clusters: call begin(rows, labels)")

    def _told(self, told: Any, n: int) -> Ints | None:
        return None if told is None else checked_whole(told, n, "labels told by an outer model")

    def _labels(self, rows: Vectors, told: Ints | None) -> tuple[Ints, Near]:
        first = self._layers[0].near(rows, self.n_neighbors)
        labels = np.where(first.mean > self._far, NONE, first.vote() if told is None else told)
        known = first
        exact: list[tuple[Bools, Ints]] = [(first.distances[:, 0] == 0.0, first.clusters[:, 0])]
        for layer in self._layers[1:]:
            near = layer.near(rows, self.n_neighbors)
            taken = known.mean > layer.bar * near.mean
            labels = np.where(taken, near.vote(), labels)
            exact.append((near.distances[:, 0] == 0.0, near.clusters[:, 0]))
            known = known.joined(near, self.n_neighbors)
        for same, clusters in reversed(exact):
            labels = np.where(same, clusters, labels)
        return self._roster.now(labels), known

    def _take_in(self, rows: Vectors, told: Ints | None) -> None:
        labels, _ = self._labels(rows, told)
        self._roster.count(labels)
        self.n_seen += len(rows)
        outer = labels if told is None else told
        self._recent = np.concatenate([self._recent, rows])[-self.recent :]
        self._recent_told = np.concatenate([self._recent_told, outer])[-self.recent :]
        self._bear()

    def _bear(self) -> None:
        known = self._labels(self._recent, self._recent_told)[1].mean
        waiting = np.flatnonzero(known > self._novel)
        smallest = self.smallest or max(8, len(self._recent) // 50)
        self._pending = len(waiting)
        if len(waiting) < max(smallest, 0.1 * len(self._recent)):
            return
        groups = groups_among(self._recent[waiting], smallest)
        if not groups:
            return
        places = np.concatenate([waiting[group[: self.exemplars]] for group in groups])
        new = self._roster.next_id + np.repeat(np.arange(len(groups)), [min(len(g), self.exemplars) for g in groups])
        first_id = int(self._layers[-1].ids[-1]) + 1
        layer = Layer(self._recent[places], new, np.arange(first_id, first_id + len(places)), 0.0)
        layer.bar = self._bar(layer)
        self._layers = (*self._layers, layer)
        self._roster.admit(np.unique(new))
        labels, _ = self._labels(self._recent, self._recent_told)
        for cluster in np.unique(new).tolist():
            n = int((labels == cluster).sum())
            self._roster.sizes[self._roster.ids == cluster] += n
            self._roster.log(ClusterEvent("born", (cluster,), n, self.n_seen))
        self._held_labels = self._labels(self._held, self._held_told)[0]
        self._pending -= int(np.isin(np.flatnonzero(labels >= new[0]), waiting).sum())

    def _bar(self, layer: Layer) -> float:
        known = self._labels(self._held, self._held_told)[1].mean
        ratios = known / np.maximum(layer.near(self._held, self.n_neighbors).mean, 1e-30)
        n_may_move = int(self.shift_budget * len(ratios))
        return float(max(1.0, np.sort(ratios)[::-1][n_may_move]))

    def _end(self, kind: str, cluster: int, into: int) -> None:
        self._ready()
        n = self._roster.copy().end(cluster, into)
        self._roster.end(cluster, into)
        involved = (cluster,) if into == NONE else (cluster, into)
        self._roster.log(ClusterEvent(kind, involved, n, self.n_seen))
        self._held_labels = self._roster.now(self._held_labels)


def _first_of_each(labels: Ints, order: Ints, most: int) -> Ints:
    """Return of `order` the places [m] that come among the first `most` of their label."""
    by_label = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[by_label]
    start = np.searchsorted(sorted_labels, sorted_labels, side="left")
    return by_label[np.arange(len(by_label)) - start < most]

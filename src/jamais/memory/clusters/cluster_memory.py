"""Which cluster is a row of, and has a new cluster come, without moving what is known?

Exemplars of each cluster decide, not parameters. New clusters grow from recent rows that the known ones do not
explain, and may take only so many rows of known clusters as the budget for label shift allows, which is measured
on held-out rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError
from jamais.memory.clusters.budget import bar_for
from jamais.memory.clusters.growing import Growing
from jamais.memory.clusters.held import Held
from jamais.memory.clusters.known import Known, Labelled
from jamais.memory.clusters.layers import Layer
from jamais.memory.clusters.reports import NONE, Assignment, ClusterEvent, Growth
from jamais.memory.clusters.roster import Roster
from jamais.memory.incoming import checked_rows, checked_whole
from jamais.types import Ints, StateTree, Vectors

MOST_HELD = 4_000
"""Rows held out: with them .1 % is four rows."""
_HELD_SHARE = 3  # one row in so many of the first ones is held out


class ClusterMemory:
    """Remember clusters by exemplars, and learn new ones.

    - `exemplars`: rows kept of each cluster. 200 were enough in all sets tried; more cost time.
    - `shift_budget`: share of rows that all updates together may move from a cluster to one born later; one update
      uses up to two thirds of what is left.
    - `smallest`: rows that make a cluster; by default a quarter of what a known cluster has among the recent rows,
      at least 8.
    - `recent`: rows kept of those that came last. In them clusters are born.
    - `n_neighbors`: exemplars that vote on a row.
    - `far_share`: share of known rows that are as far from all exemplars as a row of no cluster (-1).

    A row that is an exemplar bit for bit keeps its label for ever. Work is exact and does not depend on the batch.
    """

    def __init__(
        self,
        exemplars: int = 200,
        shift_budget: float = 0.0045,
        smallest: int | None = None,
        recent: int = 5_000,
        n_neighbors: int = 5,
        seed: int = 0,
        *,
        far_share: float = 0.0005,
    ) -> None:
        if min(exemplars, recent, n_neighbors) < 1 or (smallest is not None and smallest < 2) or seed < 0:
            raise SettingsError("ClusterMemory wants exemplars, recent, n_neighbors >= 1, smallest >= 2, seed >= 0")
        if not (0.0 <= shift_budget < 1.0 and 0.0 <= far_share < 1.0):
            raise SettingsError(f"ClusterMemory wants shares in [0, 1), got {shift_budget} and {far_share}")
        self.exemplars = int(exemplars)
        self.shift_budget = float(shift_budget)
        self.smallest = None if smallest is None else int(smallest)
        self.recent = int(recent)
        self.n_neighbors = int(n_neighbors)
        self.seed = int(seed)
        self.far_share = float(far_share)
        self._inside: Growing | None = None

    @property
    def width(self) -> int | None:
        """Width of the rows; None before `begin`."""
        return None if self._inside is None else self._inside.known.exemplars.shape[1]

    @property
    def n_seen(self) -> int:
        """Rows learned so far."""
        return 0 if self._inside is None else self._inside.n_seen

    @property
    def ids(self) -> Ints:
        """Ids of the clusters that live, rising."""
        return np.empty(0, dtype=np.int64) if self._inside is None else self._inside.roster.living

    @property
    def n_clusters(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> dict[int, int]:
        """How many rows each living cluster has got."""
        return {} if self._inside is None else self._inside.roster.sizes_now()

    @property
    def events(self) -> tuple[ClusterEvent, ...]:
        """What happened to clusters: the last 1,000 events."""
        return () if self._inside is None else self._inside.roster.events

    @property
    def pending(self) -> int:
        """Recent rows that look new and belong to no cluster yet."""
        return 0 if self._inside is None else self._inside.pending()

    @property
    def rows(self) -> Vectors:
        """All exemplars [m, width]; the id of an exemplar is its place."""
        return self._ready().known.exemplars

    @property
    def labels(self) -> Ints:
        """The cluster [m] of each exemplar, -1 where it was retired."""
        inside = self._ready()
        return inside.roster.now(inside.known.clusters)

    @property
    def held_out(self) -> Vectors:
        """Known rows [h, width] on which label shift is measured."""
        return self._ready().held.rows

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows."""
        if self._inside is None:
            return 0
        return int(sum(one.nbytes for one in (self.rows, self.held_out, self._inside.recent)))

    def begin(self, rows: Any, labels: Any) -> None:
        """Learn the first clusters from `rows` [n, width] with `labels` [n] >= 0, forgetting all before."""
        given = checked_rows(rows, None, "the cluster memory")
        told = checked_whole(labels, len(given), "labels of the first clusters")
        if not len(given) or (told < 0).any():
            raise InputError(f"the first clusters want rows with labels >= 0, got {len(given)} rows: label them")
        order = np.random.default_rng(self.seed).permutation(len(given))
        held = order[: min(len(given) // _HELD_SHARE, MOST_HELD)]
        kept = _first_of_each(told, order[len(held) :], self.exemplars)
        layer = Layer(given[kept], told[kept], np.arange(len(kept)), 0.0)
        roster = Roster(np.unique(told))
        roster.count(told)
        known = Known((layer,), np.inf)
        if len(held):
            distances = known.label(given[held], None, self.n_neighbors).near.mean(self.n_neighbors)
            middle = max(float(np.median(distances)), 1e-30)
            beyond = bar_for(np.log(np.maximum(distances, 1e-30) / middle), self.far_share)
            known = Known((layer,), middle * float(np.exp(min(beyond, 50.0))))
        first = known.label(given[held], told[held], self.n_neighbors).labels
        self._inside = Growing(known, roster, Held.of(given[held], told[held], first), len(given))

    def assign(self, rows: Any, told: Any = None) -> Assignment:
        """Say which cluster each of `rows` [n, width] is of; changes nothing.

        `told` [n] are the labels that a frozen outer model gives; they stand for the first clusters. Without them the
        nearest exemplars vote.
        """
        inside = self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        found = self._label(inside, given, self._told(told, len(given)))
        distances, k = found.near.distances, self.n_neighbors
        nearest = np.ascontiguousarray(found.near.ids[:, :k])
        return Assignment(found.labels, found.near.mean(k), nearest, np.ascontiguousarray(distances[:, :k]))

    def learn(self, rows: Any, told: Any = None) -> Growth:
        """Let `rows` [n, width] in, and perhaps give birth to clusters; nothing is changed if that fails."""
        inside = self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        outer = self._told(told, len(given))
        staged = inside.copy()
        for start in range(0, len(given), self.recent):
            part = slice(start, start + self.recent)
            staged.take_in(given[part], None if outer is None else outer[part], self)
        self._inside = staged
        before, n = staged.roster.now(inside.held.labels), len(inside.held.rows)
        return Growth(
            rows=len(given),
            events=staged.roster.since(inside.roster),
            shift=float((before != staged.held.labels[:n]).mean()) if n else 0.0,
            total_shift=staged.total_shift(),
            held_out=n,
            pending=staged.pending(),
            sizes=staged.roster.sizes_now(),
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
        made._inside = None if self._inside is None else self._inside.copy()
        return made

    def settings(self) -> dict[str, Any]:
        names = ("exemplars", "shift_budget", "smallest", "recent", "n_neighbors", "seed", "far_share")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {"settings": self.settings(), "inside": None if self._inside is None else self._inside.state_dict()}

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the memory of a state; raise `CorruptStateError` and change nothing."""
        try:
            loaded = ClusterMemory(**tree["settings"])
            loaded._inside = None if tree["inside"] is None else Growing.from_state(tree["inside"])
        except CorruptStateError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise CorruptStateError(f"not the state of a cluster memory ({error!r}): load another version") from None
        self.__dict__.update(loaded.__dict__)

    def _ready(self) -> Growing:
        if self._inside is None:
            raise NotReadyError("a cluster memory wants its first clusters: call begin(rows, labels)")
        return self._inside

    def _told(self, told: Any, n: int) -> Ints | None:
        if told is None:
            return None
        labels = checked_whole(told, n, "labels told by an outer model")
        inside = self._ready()
        born = np.setdiff1d(labels[labels >= 0], inside.first_ids)
        if np.isin(born, inside.roster.ids).any():
            raise InputError(f"clusters {born[:5].tolist()} were born here: an outer model tells first clusters only")
        return labels

    def _label(self, inside: Growing, rows: Vectors, told: Ints | None) -> Labelled:
        found = inside.known.label(rows, told, self.n_neighbors)
        return found._replace(labels=inside.roster.now(found.labels))

    def _end(self, kind: str, cluster: int, into: int) -> None:
        staged = self._ready().copy()
        n = staged.roster.end(cluster, into)
        staged.roster.log(ClusterEvent(kind, (cluster,) if into == NONE else (cluster, into), n, staged.n_seen))
        staged.held = staged.held._replace(
            first=staged.roster.now(staged.held.first), labels=staged.roster.now(staged.held.labels)
        )
        self._inside = staged


def _first_of_each(labels: Ints, order: Ints, most: int) -> Ints:
    """Return of `order` the places [m] that come among the first `most` of their label."""
    by_label = order[np.argsort(labels[order], kind="stable")]
    of = labels[by_label]
    return by_label[np.arange(len(by_label)) - np.searchsorted(of, of) < most]

"""Which cluster is a row of, and has a new cluster come, without moving what is known?

Exemplars of each cluster decide, not parameters. New clusters grow from recent rows that the known ones do not
explain, and may take only so many rows of known clusters as the budget for label shift allows, which is measured
on held-out rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError
from jamais.memory.clusters.growing import Growing
from jamais.memory.clusters.held import Held
from jamais.memory.clusters.known import Known, Labelled
from jamais.memory.clusters.layers import Layer
from jamais.memory.clusters.novel.budget import bar_for
from jamais.memory.clusters.reports import NONE, Assignment, ClusterEvent, Growth
from jamais.memory.clusters.roster import Roster
from jamais.memory.clusters.space import COLUMNS, Space
from jamais.memory.incoming import checked_rows, checked_whole
from jamais.types import Ints, StateTree, Vectors

MOST_HELD = 4_000
"""Rows held out: with them .1 % is four rows."""
_AT_ONCE = 8_192  # rows labelled at once, so that memory is bounded
_HELD_SHARE = 3  # one row in so many of the first ones is held out


class ClusterMemory:
    """Remember clusters by exemplars, and learn new ones.

    - `exemplars`: rows kept of each cluster; time and memory go with them.
    - `shift_budget`: share of rows that all updates together may move from a cluster to one born later; one update
      uses up to two thirds of what is left.
    - `smallest`: rows that make a cluster; by default a quarter of what a known cluster has among the recent rows,
      at least 8 and at most 40.
    - `recent`: rows kept of those that came last. In them clusters are born.
    - `n_neighbors`: exemplars that vote on a row.
    - `far_share`: share of known rows that are as far from all exemplars as a row of no cluster (-1).
    - `columns`: main columns in which rows are compared where they are much wider; 0 compares all columns.

    A row that is an exemplar bit for bit keeps its label for ever. Work is exact and does not depend on the batch.
    """

    def __init__(
        self,
        exemplars: int = 200,
        shift_budget: float = 0.003,
        smallest: int | None = None,
        recent: int = 5_000,
        n_neighbors: int = 5,
        seed: int = 0,
        *,
        far_share: float = 0.0005,
        columns: int = COLUMNS,
    ) -> None:
        if min(exemplars, recent, n_neighbors) < 1 or (smallest is not None and smallest < 2):
            raise SettingsError(
                "ClusterMemory wants exemplars, recent, n_neighbors of 1 or more, smallest of 2 or more"
            )
        if seed < 0 or columns < 0:
            raise SettingsError(f"ClusterMemory wants a seed and columns of 0 or more, got {seed} and {columns}")
        if not (0.0 <= shift_budget < 1.0 and 0.0 <= far_share < 1.0):
            raise SettingsError(f"ClusterMemory wants shares in [0, 1), got {shift_budget} and {far_share}")
        self.exemplars = int(exemplars)
        self.shift_budget = float(shift_budget)
        self.smallest = None if smallest is None else int(smallest)
        self.recent = int(recent)
        self.n_neighbors = int(n_neighbors)
        self.seed = int(seed)
        self.far_share = float(far_share)
        self.columns = int(columns)
        self._inside: Growing | None = None

    @property
    def width(self) -> int | None:
        """Width of the rows; None before `begin`."""
        return None if self._inside is None else len(self._inside.known.space.centre)

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
        return 0 if self._inside is None else self._inside.pending(self.n_neighbors)

    @property
    def rows(self) -> Vectors:
        """All exemplars [m, width]; the id of an exemplar is its place."""
        return self._ready().known.exemplars.raw

    @property
    def labels(self) -> Ints:
        """The cluster [m] of each exemplar, -1 where it was retired."""
        inside = self._ready()
        return inside.roster.now(inside.known.clusters)

    @property
    def ram_bytes(self) -> int:
        """Bytes held for rows."""
        if self._inside is None:
            return 0
        parts = (self._inside.known.exemplars, self._inside.held.points, self._inside.recent)
        return int(sum(one.raw.nbytes + (one.rows.nbytes if one.rows is not one.raw else 0) for one in parts))

    def begin(self, rows: Any, labels: Any) -> None:
        """Learn the first clusters from `rows` [n, width] with `labels` [n] >= 0, forgetting all before."""
        given = checked_rows(rows, None, "the cluster memory")
        told = checked_whole(labels, len(given), "labels of the first clusters")
        if not len(given) or (told < 0).any():
            raise InputError(f"the first clusters want rows with labels >= 0, got {len(given)} rows: label them")
        order = np.random.default_rng(self.seed).permutation(len(given))
        held = order[: min(len(given) // _HELD_SHARE, MOST_HELD)]
        kept = _first_of_each(told, order[len(held) :], self.exemplars)
        space = Space.of(given[order], self.columns, self.seed)
        layer = Layer(space.points(given[kept]), told[kept], np.arange(len(kept)), 0.0)
        known = Known(space, (layer,), np.inf)
        roster = Roster(np.unique(told))
        roster.count(told)
        points = space.points(given[held])
        if len(held):
            known = Known(space, (layer,), self._far(known.label(points, None, self.n_neighbors)))
        first = known.label(points, told[held], self.n_neighbors).labels
        self._inside = Growing(known, roster, Held.of(points, told[held], first), len(given))

    def assign(self, rows: Any, told: Any = None) -> Assignment:
        """Say which cluster each of `rows` [n, width] is of; changes nothing.

        `told` [n] are the labels that a frozen outer model gives; they stand for the first clusters. Without them the
        nearest exemplars vote.
        """
        inside = self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        outer, k = self._told(told, len(given)), self.n_neighbors
        parts = [slice(start, start + _AT_ONCE) for start in range(0, max(1, len(given)), _AT_ONCE)]
        found = [
            inside.known.label(inside.known.space.points(given[part]), None if outer is None else outer[part], k)
            for part in parts
        ]
        return Assignment(
            labels=inside.roster.now(np.concatenate([one.labels for one in found])),
            novelty=np.concatenate([one.near.mean(k) for one in found]),
            nearest=np.concatenate([one.near.ids[:, :k] for one in found]),
            distances=np.concatenate([one.near.distances[:, :k] for one in found]),
        )

    def learn(self, rows: Any, told: Any = None) -> Growth:
        """Let `rows` [n, width] in, and perhaps give birth to clusters; nothing is changed if that fails."""
        inside = self._ready()
        given = checked_rows(rows, self.width, "the cluster memory")
        outer = self._told(told, len(given))
        staged = inside.copy()
        for start in range(0, len(given), self.recent):
            part = slice(start, start + self.recent)
            staged.take_in(staged.known.space.points(given[part]), None if outer is None else outer[part], self)
        self._inside = staged
        before, n = staged.roster.now(inside.held.labels), len(inside.held)
        return Growth(
            rows=len(given),
            events=staged.roster.since(inside.roster),
            shift=float((before != staged.held.labels[:n]).mean()) if n else 0.0,
            total_shift=staged.total_shift(),
            held_out=n,
            pending=staged.pending(self.n_neighbors),
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
        names = ("exemplars", "shift_budget", "smallest", "recent", "n_neighbors", "seed", "far_share", "columns")
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

    def _far(self, held: Labelled) -> float:
        """Give the mean distance beyond which a row is of no cluster."""
        distances = np.maximum(held.near.mean(self.n_neighbors), 1e-30)
        middle = float(np.median(distances))
        return middle * float(np.exp(min(bar_for(np.log(distances / middle), self.far_share), 50.0)))

    def _end(self, kind: str, cluster: int, into: int) -> None:
        staged = self._ready().copy()
        n = staged.roster.end(cluster, into)
        staged.roster.log(ClusterEvent(kind, (cluster,) if into == NONE else (cluster, into), n, staged.n_seen))
        first, labels = staged.roster.now(staged.held.first), staged.roster.now(staged.held.labels)
        staged.held = replace(staged.held, first=first, labels=labels)
        self._inside = staged


def _first_of_each(labels: Ints, order: Ints, most: int) -> Ints:
    """Return of `order` the places [m] that come among the first `most` of their label."""
    by_label = order[np.argsort(labels[order], kind="stable")]
    of = labels[by_label]
    return by_label[np.arange(len(by_label)) - np.searchsorted(of, of) < most]

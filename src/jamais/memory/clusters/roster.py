"""Which clusters were ever born, how large are they, and what became of them?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, InputError
from jamais.memory.clusters.reports import NONE, ClusterEvent
from jamais.types import Ints, StateTree

MOST_EVENTS = 1_000
"""The log keeps so many, the newest."""


class Roster:
    """Ids are given once and never again. A cluster that ended points at the one it joined, or at none."""

    def __init__(self, ids: Ints) -> None:
        self.ids = ids
        self.sizes = np.zeros(len(ids), dtype=np.int64)
        self.becomes = ids.copy()
        self.events: tuple[ClusterEvent, ...] = ()
        self.next_id = int(ids.max(initial=-1)) + 1
        self.n_events = 0

    def copy(self) -> Roster:
        made = Roster(self.ids)
        made.sizes, made.becomes = self.sizes.copy(), self.becomes.copy()
        made.events, made.next_id, made.n_events = self.events, self.next_id, self.n_events
        return made

    @property
    def living(self) -> Ints:
        return np.asarray(self.ids[self.becomes == self.ids])

    def now(self, labels: Ints) -> Ints:
        """Return what the clusters `labels` [..] have become; an id that was never given stays as it is."""
        if not len(self.ids) or (self.becomes == self.ids).all():
            return labels
        slots = np.minimum(np.searchsorted(self.ids, labels), len(self.ids) - 1)
        return np.where(self.ids[slots] == labels, self.becomes[slots], labels)

    def count(self, labels: Ints) -> None:
        """Add rows with `labels` [n]; an outer model's cluster that was unknown becomes known."""
        known, counts = np.unique(labels[labels >= 0], return_counts=True)
        self.admit(known)
        self.sizes[np.searchsorted(self.ids, known)] += counts

    def admit(self, ids: Ints) -> None:
        """Enter ids that are new here."""
        new = np.setdiff1d(ids, self.ids)
        if len(new):
            order = np.argsort(np.concatenate([self.ids, new]), kind="stable")
            self.ids = np.concatenate([self.ids, new])[order]
            self.becomes = np.concatenate([self.becomes, new])[order]
            self.sizes = np.concatenate([self.sizes, np.zeros(len(new), dtype=np.int64)])[order]
            self.next_id = max(self.next_id, int(new.max()) + 1)

    def end(self, cluster: int, into: int = NONE) -> int:
        """Let a cluster end, its rows join `into`; return how many rows it had."""
        for one in (cluster, into):
            if one != NONE and one not in self.living:
                raise InputError(f"cluster {one} is none of the living {self.living.tolist()[:10]}")
        if cluster == into:
            raise InputError(f"cluster {cluster} cannot be merged into itself: give another one")
        n = int(self.sizes[self.ids == cluster][0])
        self.becomes[self.becomes == cluster] = into
        self.sizes[self.ids == into] += n
        return n

    def log(self, event: ClusterEvent) -> None:
        self.events = (*self.events, event)[-MOST_EVENTS:]
        self.n_events += 1

    def since(self, earlier: Roster) -> tuple[ClusterEvent, ...]:
        """Return what happened after `earlier` was copied, as far as the log still has it."""
        n = self.n_events - earlier.n_events
        return self.events[-n:] if n else ()

    def sizes_now(self) -> dict[int, int]:
        alive = self.becomes == self.ids
        return dict(zip(self.ids[alive].tolist(), self.sizes[alive].tolist(), strict=True))

    def state_dict(self) -> StateTree:
        events: list[Any] = [{**asdict(event), "clusters": list(event.clusters)} for event in self.events]
        return {
            "ids": self.ids,
            "sizes": self.sizes,
            "becomes": self.becomes,
            "next_id": self.next_id,
            "n_events": self.n_events,
            "events": events,
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> Roster:
        columns = [tree[name] for name in ("ids", "sizes", "becomes")]
        ids, sizes, becomes = columns
        if (
            not all(isinstance(one, np.ndarray) and one.dtype == np.int64 and one.ndim == 1 for one in columns)
            or not len(ids) == len(sizes) == len(becomes)
            or (np.diff(ids) <= 0).any()
            or (ids < 0).any()
            or (sizes < 0).any()
            or not np.isin(becomes, np.append(ids, NONE)).all()
            or (ids >= int(tree["next_id"])).any()
        ):
            raise CorruptStateError("ids, sizes and becomes of a roster do not fit together: load another version")
        made = cls(ids.copy())
        made.sizes, made.becomes, made.next_id = sizes.copy(), becomes.copy(), int(tree["next_id"])
        made.n_events = int(tree["n_events"])
        made.events = tuple(
            ClusterEvent(str(e["kind"]), tuple(int(c) for c in e["clusters"]), int(e["rows"]), int(e["when"]))
            for e in tree["events"]
        )
        return made

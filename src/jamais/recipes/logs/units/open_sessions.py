"""Which sessions are open, and what is remembered of each? A state and nine numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jamais.detectors.evidence.bags import EMPTY
from jamais.detectors.evidence.order import START
from jamais.recipes.logs.units.batch import Batch, Reason
from jamais.types import Bools, Ints, StateTree

ROW, FIRST_ROW, LAST_ROW, FIRST_LINE, LAST_LINE, FIRST_TIME, LAST_TIME, LAST_EVENT, LENGTH = range(9)


class Loud(NamedTuple):
    """The record that speaks loudest in a session."""

    nats: float
    event: int
    line: int
    time: int
    reason: Reason | None


class OpenSessions:
    """Columns of numbers by place, and the place of every open session by its name."""

    def __init__(self) -> None:
        self.places: dict[bytes, int] = {}
        self.states: list[int] = []
        self.loudest: dict[int, Loud] = {}
        self._names: list[bytes] = []
        self._numbers = np.zeros((1024, 9), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.states)

    def names(self) -> list[bytes]:
        """List the names by place; made once for all reads between two drops."""
        if len(self._names) != len(self.places):
            self._names = list(self.places)
        return self._names

    def last_times(self) -> Ints:
        return self._numbers[: len(self.states), LAST_TIME]

    def enter(self, groups: list[bytes | None], grouped: Ints) -> tuple[Ints, Bools]:
        """Give the place `[m]` of each of the `grouped: [m]` records, and say which records `[n]` opened a session."""
        known = self.places
        before = len(known)
        # None in a group means a record without one, and those are not among the grouped ones.
        names: Any = [name for name in groups if name is not None] if len(grouped) < len(groups) else groups
        # Each name once: a session's records come close together.
        for name in dict.fromkeys(names):
            if name not in known:
                known[name] = len(known)
        places = np.fromiter(map(known.__getitem__, names), np.int64, len(names))
        self.states.extend([EMPTY] * (len(known) - before))
        created = np.zeros(len(groups), dtype=bool)
        fresh = np.flatnonzero(places >= before)
        if len(fresh):
            created[grouped[fresh[np.unique(places[fresh], return_index=True)[1]]]] = True
        self._make_room()
        self._numbers[before : len(self.states), LENGTH] = 0
        return places, created

    def follow(self, batch: Batch, grouped: Ints, places: Ints, created: Bools, row: Ints) -> None:
        """Write down first and last row, line, time and event; `row: [n]` numbers verdicts, not records."""
        new = created[grouped]
        opened, opening = places[new], grouped[new]
        record = batch.first_row + grouped
        line, time = batch.records.line, batch.records.time
        numbers = self._numbers
        for column, values in ((FIRST_ROW, record[new]), (FIRST_LINE, line[opening]), (ROW, row[opening])):
            numbers[opened, column] = values
        numbers[opened, FIRST_TIME] = time[opening]
        # Of repeated places the last one stays.
        for column, values in ((LAST_ROW, record), (LAST_LINE, line[grouped]), (LAST_TIME, time[grouped])):
            numbers[places, column] = values
        numbers[places, LAST_EVENT] = batch.events[grouped]
        n_open = len(self.states)
        numbers[:n_open, LENGTH] += np.bincount(places, minlength=n_open)

    def before(self, events: Ints, places: Ints) -> Ints:
        """Give the event before each of `events: [m]` in its session; ask before `follow` writes them down."""
        order = np.argsort(places, kind="stable")
        in_order = places[order]
        fresh = np.r_[True, in_order[1:] != in_order[:-1]]
        previous = np.empty(len(events), dtype=np.int64)
        previous[order] = np.where(fresh, self._last_events(in_order), np.r_[START, events[order][:-1]])
        return previous

    def _last_events(self, places: Ints) -> Ints:
        numbers = self._numbers
        return np.where(numbers[places, LENGTH] > 0, numbers[places, LAST_EVENT], START)

    def _make_room(self) -> None:
        if len(self.states) > len(self._numbers):
            wider = np.zeros((max(len(self.states), len(self._numbers) * 3 // 2), 9), dtype=np.int64)
            wider[: len(self._numbers)] = self._numbers
            self._numbers = wider

    def in_order(self) -> Ints:
        """Give all places in order of first appearance."""
        return np.argsort(self._numbers[: len(self.states), ROW], kind="stable")

    def numbers(self, places: Ints) -> Ints:
        """Give the nine numbers of each of `places: [n]`, [n, 9]."""
        return self._numbers[places]

    def drop(self, places: Ints) -> None:
        """Forget the sessions at `places`."""
        kept = np.setdiff1d(np.arange(len(self.states)), places)
        names, new = self.names(), kept.tolist()
        self.places = {names[place]: at for at, place in enumerate(new)}
        self.states = [self.states[place] for place in new]
        self.loudest = {at: self.loudest[place] for at, place in enumerate(new) if place in self.loudest}
        self._numbers[: len(new)] = self._numbers[kept]
        self._names = []

    def state_dict(self) -> StateTree:
        """Give names, numbers and loudest records as JSON values; what the states mean, the scorer knows."""
        loudest = [
            [place, *one[:4], None if one.reason is None else [one.reason.text, one.reason.cause]]
            for place, one in self.loudest.items()
        ]
        return {
            "names": [name.decode("latin-1") for name in self.places],
            "numbers": self._numbers[: len(self.states)].tolist(),
            "loudest": loudest,
        }

    def load_state_dict(self, tree: StateTree, states: list[int]) -> None:
        self.places = {name.encode("latin-1"): place for place, name in enumerate(tree["names"])}
        self.states = list(states)
        self._names = []
        self._make_room()
        if states:
            self._numbers[: len(states)] = np.array(tree["numbers"], dtype=np.int64)
        self.loudest = {
            int(place): Loud(nats, event, line, time, None if reason is None else Reason(*reason))
            for place, nats, event, line, time, reason in tree["loudest"]
        }

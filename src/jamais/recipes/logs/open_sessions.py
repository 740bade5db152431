"""Which sessions are open, and what is remembered of each? A state and nine numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jamais.detectors.bags import EMPTY
from jamais.recipes.logs.batch import Batch
from jamais.types import Bools, Ints

ROW, FIRST_ROW, LAST_ROW, FIRST_LINE, LAST_LINE, FIRST_TIME, LAST_TIME, LAST_EVENT = range(8)


class Loud(NamedTuple):
    """The record that speaks loudest in a session."""

    nats: float
    event: int
    line: int
    time: int
    slot: str | None


class Session(NamedTuple):
    """One session that has closed."""

    name: str
    state: int
    numbers: list[int]
    loudest: Loud | None


class OpenSessions:
    """Columns of numbers by place, and the place of every open session by its name."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.states: list[int] = []
        self.loudest: dict[int, Loud] = {}
        self._names: list[str] = []
        self._numbers = np.zeros((1024, 8), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.states)

    def names(self) -> list[str]:
        """List the names by place; made once for all reads between two drops."""
        if len(self._names) != len(self.places):
            self._names = list(self.places)
        return self._names

    def last_times(self) -> Ints:
        return self._numbers[: len(self.states), LAST_TIME]

    def enter(self, batch: Batch, grouped: Bools) -> tuple[Ints, Bools]:
        """Give the place of each grouped record `[m]`, and say which records `[n]` opened a session."""
        known = self.places
        before = len(known)
        names = batch.groups or []
        places = np.array(
            [known.setdefault(name, len(known)) for name in names if name is not None], dtype=np.int64
        )
        self.states.extend([EMPTY] * (len(known) - before))
        created = np.zeros(len(names), dtype=bool)
        fresh = np.flatnonzero(places >= before)
        if len(fresh):
            firsts = fresh[np.unique(places[fresh], return_index=True)[1]]
            created[np.flatnonzero(grouped)[firsts]] = True
        return places, created

    def follow(self, batch: Batch, places: Ints, created: Bools, row: Ints) -> None:
        """Write down first and last row, line, time and event; `row: [n]` numbers verdicts, not records."""
        if len(self.states) > len(self._numbers):
            wider = np.zeros((max(len(self.states), len(self._numbers) * 3 // 2), 8), dtype=np.int64)
            wider[: len(self._numbers)] = self._numbers
            self._numbers = wider
        grouped = np.array([name is not None for name in batch.groups or []], dtype=bool)
        record = batch.first_row + np.arange(len(grouped))
        new = created[grouped]
        columns = {FIRST_ROW: record, FIRST_LINE: batch.records.line, FIRST_TIME: batch.records.time, ROW: row}
        for column, values in columns.items():
            self._numbers[places[new], column] = values[grouped][new]
        columns = {LAST_ROW: record, LAST_LINE: batch.records.line, LAST_TIME: batch.records.time}
        for column, values in {**columns, LAST_EVENT: batch.events.astype(np.int64)}.items():
            self._numbers[places, column] = values[grouped]  # of repeated places the last one stays

    def in_order(self) -> Ints:
        """Give all places in order of first appearance."""
        return np.argsort(self._numbers[: len(self.states), ROW], kind="stable")

    def read(self, places: Ints) -> list[Session]:
        """Give the sessions at `places`, in order of first appearance."""
        names = self.names()
        ordered = places[np.argsort(self._numbers[places, ROW], kind="stable")].tolist()
        return [Session(names[p], self.states[p], self._numbers[p].tolist(), self.loudest.get(p)) for p in ordered]

    def drop(self, places: Ints) -> None:
        """Forget the sessions at `places`."""
        kept = np.setdiff1d(np.arange(len(self.states)), places)
        names, new = self.names(), kept.tolist()
        self.places = {names[place]: at for at, place in enumerate(new)}
        self.states = [self.states[place] for place in new]
        self.loudest = {at: self.loudest[place] for at, place in enumerate(new) if place in self.loudest}
        self._numbers[: len(new)] = self._numbers[kept]
        self._names = []

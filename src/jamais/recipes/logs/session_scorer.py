"""How are sessions followed while they are open, and judged when they close?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jamais.detectors.bags import EVENT_BITS, Bags
from jamais.detectors.silence import Waits, silences
from jamais.recipes.logs.batch import Batch, Judged, Reason, join
from jamais.recipes.logs.open_sessions import (
    FIRST_LINE,
    FIRST_ROW,
    FIRST_TIME,
    LAST_EVENT,
    LAST_LINE,
    LAST_ROW,
    LAST_TIME,
    ROW,
    Loud,
    OpenSessions,
)
from jamais.recipes.logs.surprise import Surprise
from jamais.types import NO_TIME, Floats, Ints

NONE: Ints = np.empty(0, dtype=np.int64)
CHUNK = 20_000
LOUD = 2.0  # nats; records below it cannot be the reason for anything and are not looked at one by one


class SessionScorer:
    """Keeps one integer state and a few numbers for every open session.

    A session closes when nothing came for `idle` microseconds (None = never), when too many are open, or at
    `flush`. `row` numbers sessions in order of first appearance.
    """

    grouped = True

    def __init__(
        self, bags: Bags, waits: Waits, waits_after: Waits, surprise: Surprise, max_open: int, idle: int | None
    ) -> None:
        self.bags, self.waits, self.waits_after, self.surprise = bags, waits, waits_after, surprise
        self.max_open, self.idle = max_open, idle
        self.n_rows = 0
        self.n_closed_early = 0
        self.now = NO_TIME
        self._checked = NO_TIME
        self._open = OpenSessions()
        self._rarest_known: dict[int, tuple[float, int]] = {}

    def push(self, batch: Batch) -> Judged | None:
        """Take a batch; give what is decided already: lone records, and sessions that closed."""
        assert batch.groups is not None
        groups = batch.groups
        grouped = np.arange(len(groups))
        lone = NONE
        if None in groups:
            lone = np.array([i for i, name in enumerate(groups) if name is None], dtype=np.int64)
            grouped = np.setdiff1d(grouped, lone, assume_unique=True)
        places, created = self._open.enter(groups, grouped)
        opens = created.copy()
        opens[lone] = True
        row = self.n_rows - 1 + np.cumsum(opens)
        self.n_rows = int(row[-1]) + 1 if len(row) else self.n_rows
        self._open.follow(batch, grouped, places, created, row)
        self._step(places, batch.events[grouped].tolist())
        self._note_loud(batch, grouped, places)
        self.now = max(self.now, int(batch.records.time.max(initial=NO_TIME)))
        return join([self._lone(batch, lone, row), self._close_some()])

    def flush(self) -> Iterator[Judged]:
        """Close all sessions that are still open, some thousands at a time."""
        places = self._open.in_order()
        for start in range(0, len(places), CHUNK):
            yield self._judged(places[start : start + CHUNK], ended=False)
        self._open = OpenSessions()

    def end(self, names: list[str]) -> Judged | None:
        """Close sessions that say themselves that they are over: nothing more can come."""
        known = self._open.places
        places = [known[name.encode()] for name in names if name.encode() in known]
        return self._close(np.array(sorted(places), dtype=np.int64), ended=True)

    def _step(self, places: Ints, events: list[int]) -> None:
        states, steps, step = self._open.states, self.bags.steps, self.bags.step
        for place, event in zip(places.tolist(), events, strict=True):
            after = steps.get(states[place] << EVENT_BITS | event)
            states[place] = step(states[place], event) if after is None else after

    def _note_loud(self, batch: Batch, grouped: Ints, places: Ints) -> None:
        """Remember the record that speaks loudest in each session."""
        nats = np.maximum(self.surprise.nats()[batch.events], batch.slot_nats)[grouped]
        loud = np.flatnonzero(nats > LOUD)
        if not len(loud):
            return
        order = loud[np.lexsort((loud, -nats[loud], places[loud]))]
        first = order[np.r_[True, places[order][1:] != places[order][:-1]]]
        for place, i, value in zip(places[first].tolist(), grouped[first].tolist(), nats[first].tolist(), strict=True):
            loudest = self._open.loudest.get(place)
            if loudest is None or value > loudest.nats:
                line, time = int(batch.records.line[i]), int(batch.records.time[i])
                self._open.loudest[place] = Loud(value, int(batch.events[i]), line, time, batch.slot_why.get(i))

    def _lone(self, batch: Batch, chosen: Ints, row: Ints) -> Judged:
        nats = np.maximum(self.surprise.nats()[batch.events[chosen]], batch.slot_nats[chosen])
        reasons = {
            place: Reason(batch.slot_why[k], "slot")
            for place, k in enumerate(chosen.tolist())
            if k in batch.slot_why
        }
        return Judged(
            row=row[chosen],
            score=nats,
            event=batch.events[chosen],
            time=batch.records.time[chosen],
            line=batch.records.line[chosen],
            reasons=reasons,
            group=[None] * len(chosen),
            first_row=batch.first_row + chosen,
            last_row=batch.first_row + chosen,
        )

    def _close_some(self) -> Judged | None:
        """Close what has been silent for too long; to keep pushes cheap, look only now and then."""
        due = self.idle is not None and self.now - self._checked >= max(self.idle // 20, 1)
        if due and self.idle is not None:
            self._checked = self.now
            return self._close(np.flatnonzero(self._open.last_times() < self.now - self.idle))
        if len(self._open) > self.max_open:
            oldest = np.argsort(self._open.last_times(), kind="stable")[: len(self._open) - self.max_open // 2]
            self.n_closed_early += len(oldest)
            return self._close(np.sort(oldest))
        return None

    def _close(self, places: Ints, ended: bool = False) -> Judged | None:
        if not len(places):
            return None
        judged = self._judged(places, ended)
        self._open.drop(places)
        return judged

    def _judged(self, places: Ints, ended: bool) -> Judged:
        """The larger of rarity and silence decides."""
        numbers, opened = self._open.numbers(places), self._open
        states = np.array([opened.states[place] for place in places.tolist()], dtype=np.int64)
        nats, event = self._rarest(states)
        time, line, reasons = numbers[:, FIRST_TIME].copy(), numbers[:, FIRST_LINE].copy(), {}
        for i, place in enumerate(places.tolist()):
            loudest = opened.loudest.get(place)
            if loudest is not None and loudest.nats >= nats[i]:
                nats[i], event[i], line[i], time[i], slot = loudest
                if slot:
                    reasons[i] = Reason(slot, f"slot:{event[i]}")
        elapsed = np.where(numbers[:, LAST_TIME] == NO_TIME, -1.0, self.now - numbers[:, LAST_TIME].astype(np.float64))
        waited = np.full(len(places), np.inf) if ended else elapsed
        silence = silences(self.waits, self.waits_after, states, numbers[:, LAST_EVENT], waited)
        quiet = silence > nats
        nats = np.where(quiet, silence, nats)
        event = np.where(quiet, numbers[:, LAST_EVENT], event)
        time = np.where(quiet, numbers[:, LAST_TIME], time)
        line = np.where(quiet, numbers[:, LAST_LINE], line)
        for i in np.flatnonzero(quiet & (silence > LOUD)).tolist():
            reasons[i] = self._silent(int(states[i]), float(elapsed[i]), int(event[i]))
        names = opened.names()
        group: list[str | None] = [names[place].decode(errors="replace") for place in places.tolist()]
        return Judged(
            numbers[:, ROW], nats, event, time, line, reasons, group, numbers[:, FIRST_ROW], numbers[:, LAST_ROW]
        )

    def _silent(self, state: int, elapsed: float, event: int) -> Reason:
        usual = self.waits.usual(state) if self.waits.knows(state) else self.waits_after.usual(event)
        normally = f", normally within {duration(usual)}" if usual < np.inf else ""
        text = self.surprise.lexicon.texts[event]
        return Reason(f"silent: nothing came for {duration(elapsed)}{normally}, after: {text}", f"silence:{event}")

    def _rarest(self, states: Ints) -> tuple[Floats, Ints]:
        """Give the surprise and number `[n]` of the rarest event in each bag."""
        distinct, place = np.unique(states, return_inverse=True)
        rarest = [self._rarest_of(state) for state in distinct.tolist()]
        return (
            np.array([nats for nats, _ in rarest])[place],
            np.array([event for _, event in rarest], dtype=np.int64)[place],
        )

    def _rarest_of(self, state: int) -> tuple[float, int]:
        known = self._rarest_known.get(state)
        if known is None:
            nats = self.surprise.nats()
            known = max((float(nats[event]), event) for event in self.bags.events(state))
            self._rarest_known[state] = known
        return known


def duration(microseconds: float) -> str:
    """Write a duration as people do: 12 s, 4 min, 3 h."""
    seconds = microseconds / 1e6
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"

"""How are sessions followed while they are open, and judged when they close?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from jamais.detectors.evidence.bags import EVENT_BITS, Bags
from jamais.detectors.evidence.order import Order
from jamais.detectors.evidence.rates import Rates, long_nats
from jamais.detectors.evidence.silence import Waits, silences
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.clock import StreamClock
from jamais.recipes.logs.settings import SessionSettings
from jamais.recipes.logs.units.batch import Batch, Judged, Reason, join, short_hash
from jamais.recipes.logs.units.open_sessions import (
    FIRST_LINE,
    FIRST_ROW,
    FIRST_TIME,
    LAST_EVENT,
    LAST_LINE,
    LAST_ROW,
    LAST_TIME,
    LENGTH,
    ROW,
    Loud,
    OpenSessions,
)
from jamais.types import NO_TIME, Floats, Ints, StateTree

NONE: Ints = np.empty(0, dtype=np.int64)
CHUNK = 20_000
LOUD = 2.0  # nats; records below it cannot be the reason for anything and are not looked at one by one


class Known(Protocol):
    """What must be known of sessions to judge them."""

    settings: SessionSettings
    bags: Bags
    waits: Waits
    waits_after: Waits
    order: Order
    lengths: Rates


class SessionScorer:
    """Keeps one integer state and a few numbers for every open session.

    A session closes when nothing came for `idle` microseconds (None = never), when too many are open, or at
    `flush`. `row` numbers sessions in order of first appearance.
    """

    grouped = True

    def __init__(self, known: Known, surprise: Surprise, idle: int | None) -> None:
        self.known, self.surprise, self.idle = known, surprise, idle
        self.bags = known.bags.fork()
        self.n_rows = 0
        self.n_closed_early = 0
        self.now = NO_TIME
        self._clock = StreamClock()
        self._checked = NO_TIME
        self._order = known.order.table(surprise.lexicon.n_known)
        self._open = OpenSessions()
        self._rarest_known: dict[int, tuple[float, int]] = {}
        self._shapes: dict[int, str] = {}

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
        events = batch.events[grouped].astype(np.int64)
        before = self._open.before(events, places)
        self._open.follow(batch, grouped, places, created, row)
        self._step(places, events.tolist())
        self._note_loud(batch, grouped, places, before)
        self.now = int(self._clock.follow(batch.records.time)[-1])
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

    def tick(self, passed: int) -> Judged | None:
        """Close what has been silent for too long, `passed` microseconds after the last record."""
        if self.now == NO_TIME:
            return None
        last, self.now = self.now, self.now + passed
        closed = self._close_some()
        self.now = last
        return closed

    def state_dict(self) -> StateTree:
        opened = self._open.state_dict()
        opened["bags"] = [self.bags.bags[state] for state in self._open.states]
        return {"n_rows": self.n_rows, "clock": self._clock.state(), "checked": self._checked, "open": opened}

    def load_state_dict(self, tree: StateTree) -> None:
        self._clock.restore(tree["clock"])
        self.n_rows, self.now, self._checked = int(tree["n_rows"]), self._clock.latest, int(tree["checked"])
        bags = [tuple((int(event), int(count)) for event, count in bag) for bag in tree["open"]["bags"]]
        self._open.load_state_dict(tree["open"], [self.bags.number(bag) for bag in bags])

    def _step(self, places: Ints, events: list[int]) -> None:
        states, steps, step = self._open.states, self.bags.steps, self.bags.step
        for place, event in zip(places.tolist(), events, strict=True):
            after = steps.get(states[place] << EVENT_BITS | event)
            states[place] = step(states[place], event) if after is None else after

    def _note_loud(self, batch: Batch, grouped: Ints, places: Ints, before: Ints) -> None:
        """Remember the record that speaks loudest in each session: by itself, or by what came before it."""
        events = batch.events[grouped].astype(np.int64)
        loudness = batch.loudness(self.surprise.nats())
        alone = loudness[grouped]
        order = self.known.settings.order_weight * self._order_nats(before, events)
        nats = np.maximum(alone, order)
        loud = np.flatnonzero(nats > LOUD)
        if not len(loud):
            return
        ranked = loud[np.lexsort((loud, -nats[loud], places[loud]))]
        for k in ranked[np.r_[True, places[ranked][1:] != places[ranked][:-1]]].tolist():
            place, i = int(places[k]), int(grouped[k])
            loudest = self._open.loudest.get(place)
            if loudest is None or nats[k] > loudest.nats:
                reason = batch.slot_reason(i, loudness)
                if order[k] > alone[k]:
                    reason = self._disorder(int(before[k]), int(events[k]))
                line, time = int(batch.records.line[i]), int(batch.records.time[i])
                self._open.loudest[place] = Loud(float(nats[k]), int(events[k]), line, time, reason)

    def _order_nats(self, before: Ints, events: Ints) -> Floats:
        """Look pairs of known events up, and work out those with an event never seen."""
        if self._order is None:
            return self.known.order.nats(before, events)
        n = self._order.shape[1]
        unseen = (before >= n) | (events >= n)
        nats = self._order[np.where(unseen, 0, before + 1), np.where(unseen, 0, events)]
        if unseen.any():
            nats[unseen] = self.known.order.nats(before[unseen], events[unseen])
        return nats

    def _disorder(self, before: int, event: int) -> Reason:
        texts = self.surprise.lexicon.texts
        first = texts[before] if before >= 0 else "(the beginning)"
        return Reason(f"unusual order: {texts[event]} right after: {first}", f"order:{before}:{event}")

    def _lone(self, batch: Batch, chosen: Ints, row: Ints) -> Judged:
        loudness = batch.loudness(self.surprise.nats())
        nats = loudness[chosen]
        slots = ((place, batch.slot_reason(k, loudness)) for place, k in enumerate(chosen.tolist()))
        reasons = {place: reason for place, reason in slots if reason is not None}
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
            item=[""] * len(chosen),
        )

    def _close_some(self) -> Judged | None:
        """Close what has been silent for too long; to keep pushes cheap, look only now and then."""
        max_open = self.known.settings.max_open
        due = self.idle is not None and self.now - self._checked >= max(self.idle // 20, 1)
        if due and self.idle is not None:
            self._checked = self.now
            return self._close(np.flatnonzero(self._open.last_times() < self.now - self.idle))
        if len(self._open) > max_open:
            oldest = np.argsort(self._open.last_times(), kind="stable")[: len(self._open) - max_open // 2]
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
                nats[i], event[i], line[i], time[i], reason = loudest
                if reason is not None:
                    reasons[i] = reason
        elapsed = np.where(numbers[:, LAST_TIME] == NO_TIME, -1.0, self.now - numbers[:, LAST_TIME].astype(np.float64))
        waited = np.full(len(places), np.inf) if ended else elapsed
        silence = silences(self.known.waits, self.known.waits_after, states, numbers[:, LAST_EVENT], waited)
        quiet = silence > nats
        nats = np.where(quiet, silence, nats)
        event = np.where(quiet, numbers[:, LAST_EVENT], event)
        time = np.where(quiet, numbers[:, LAST_TIME], time)
        line = np.where(quiet, numbers[:, LAST_LINE], line)
        for i in np.flatnonzero(quiet & (silence > LOUD)).tolist():
            reasons[i] = self._silent(int(states[i]), float(elapsed[i]), int(event[i]))
        nats = self._too_long(nats, numbers, reasons)
        names = opened.names()
        group: list[str | None] = [names[place].decode(errors="replace") for place in places.tolist()]
        first, last = numbers[:, FIRST_ROW], numbers[:, LAST_ROW]
        shapes = [self._shape(state) for state in states.tolist()]
        return Judged(numbers[:, ROW], nats, event, time, line, reasons, group, first, last, item=shapes)

    def _shape(self, state: int) -> str:
        """Name the bag of a state, whatever its events are numbered here."""
        known = self._shapes.get(state)
        if known is None:
            ids = self.surprise.lexicon.ids
            said = sorted(f"{ids[event]}x{count}" for event, count in self.bags.bags[state])
            known = self._shapes[state] = short_hash(f"shape:{' '.join(said)}")
        return known

    def _too_long(self, nats: Floats, numbers: Ints, reasons: dict[int, Reason]) -> Floats:
        """Let the number of records of a session decide where it is odder than all else."""
        lengths, usual = numbers[:, LENGTH], self.known.lengths
        if not usual.windows:
            return nats
        low, high = usual.usual(0)
        odd = long_nats(usual, lengths)
        for i in np.flatnonzero((odd > nats) & (odd > LOUD)).tolist():
            reasons[i] = Reason(f"{lengths[i]:,} records, normally {low:,}–{high:,}", "length:long")
        return np.maximum(nats, odd)

    def _silent(self, state: int, elapsed: float, event: int) -> Reason:
        waits, after = self.known.waits, self.known.waits_after
        usual = waits.usual(state) if waits.knows(state) else after.usual(event)
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

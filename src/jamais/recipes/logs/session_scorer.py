"""How are sessions followed while they are open, and judged when they close?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jamais.detectors.bags import EVENT_BITS, Bags
from jamais.detectors.silence import Waits, silence_nats
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
    Session,
)
from jamais.recipes.logs.surprise import Surprise
from jamais.types import NO_TIME, Bools, Ints

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
        self._rarest: dict[int, tuple[float, int]] = {}

    def push(self, batch: Batch) -> Judged | None:
        """Take a batch; give what is decided already: lone records, and sessions that closed."""
        assert batch.groups is not None
        lone = np.array([name is None for name in batch.groups], dtype=bool)
        places, created = self._open.enter(batch, ~lone)
        row = self.n_rows - 1 + np.cumsum(lone | created)
        self.n_rows = int(row[-1]) + 1 if len(row) else self.n_rows
        self._open.follow(batch, places, created, row)
        self._step(places, batch.events[~lone].tolist())
        self._note_loud(batch, places, ~lone)
        self.now = max(self.now, int(batch.records.time.max(initial=NO_TIME)))
        return join([self._lone(batch, np.flatnonzero(lone), row), self._close_some()])

    def flush(self) -> Iterator[Judged]:
        """Close all sessions that are still open, some thousands at a time."""
        places = self._open.in_order()
        for start in range(0, len(places), CHUNK):
            yield self._judged(places[start : start + CHUNK], ended=False)
        self._open = OpenSessions()

    def end(self, names: list[str]) -> Judged | None:
        """Close sessions that say themselves that they are over: nothing more can come."""
        places = [self._open.places[name] for name in names if name in self._open.places]
        return self._close(np.array(sorted(places), dtype=np.int64), ended=True)

    def _step(self, places: Ints, events: list[int]) -> None:
        states, steps, step = self._open.states, self.bags.steps, self.bags.step
        for place, event in zip(places.tolist(), events, strict=True):
            after = steps.get(states[place] << EVENT_BITS | event)
            states[place] = step(states[place], event) if after is None else after

    def _note_loud(self, batch: Batch, places: Ints, grouped: Bools) -> None:
        """Remember the record that speaks loudest in each session: few do, so a loop over them is cheap."""
        nats = np.maximum(self.surprise.nats()[batch.events], batch.slot_nats)[grouped]
        rows = np.flatnonzero(grouped)
        for i in np.flatnonzero(nats > LOUD):
            loudest = self._open.loudest.get(int(places[i]))
            if loudest is None or nats[i] > loudest.nats:
                k = int(rows[i])
                self._open.loudest[int(places[i])] = Loud(
                    float(nats[i]),
                    int(batch.events[k]),
                    int(batch.records.line[k]),
                    int(batch.records.time[k]),
                    batch.slot_why.get(k),
                )

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
        gone = self._open.read(places)
        judged = [self._judge(one, ended) for one in gone]
        table = np.array([one.numbers for one in gone], dtype=np.int64)
        return Judged(
            row=table[:, ROW],
            score=np.array([one[0] for one in judged]),
            event=np.array([one[1] for one in judged], dtype=np.int64),
            time=np.array([one[2] for one in judged], dtype=np.int64),
            line=np.array([one[3] for one in judged], dtype=np.int64),
            reasons={i: one[4] for i, one in enumerate(judged) if one[4] is not None},
            group=[one.name for one in gone],
            first_row=table[:, FIRST_ROW],
            last_row=table[:, LAST_ROW],
        )

    def _judge(self, one: Session, ended: bool) -> tuple[float, int, int, int, Reason | None]:
        """The larger of rarity and silence decides: score, event, time, line, reason."""
        nats, event = self._rarest_of(one.state)
        time, line, reason = one.numbers[FIRST_TIME], one.numbers[FIRST_LINE], None
        if one.loudest is not None and one.loudest.nats >= nats:
            nats, event, line, time, slot = one.loudest
            reason = Reason(slot, "slot") if slot else None
        last_event, last_time = one.numbers[LAST_EVENT], one.numbers[LAST_TIME]
        elapsed = -1.0 if last_time == NO_TIME else float(self.now - last_time)
        silence = silence_nats(self.waits, self.waits_after, one.state, last_event, np.inf if ended else elapsed)
        if silence > nats:
            return silence, last_event, last_time, one.numbers[LAST_LINE], self._silent(one, elapsed, last_event)
        return nats, event, time, line, reason

    def _silent(self, one: Session, elapsed: float, event: int) -> Reason:
        usual = self.waits.usual(one.state) if self.waits.knows(one.state) else self.waits_after.usual(event)
        normally = f", normally within {duration(usual)}" if usual < np.inf else ""
        text = self.surprise.lexicon.texts[event]
        return Reason(f"silent: nothing came for {duration(elapsed)}{normally}, after: {text}", f"silence:{event}")

    def _rarest_of(self, state: int) -> tuple[float, int]:
        known = self._rarest.get(state)
        if known is None:
            nats = self.surprise.nats()
            known = max((float(nats[event]), event) for event in self.bags.events(state))
            self._rarest[state] = known
        return known


def duration(microseconds: float) -> str:
    """Write a duration as people do: 12 s, 4 min, 3 h."""
    seconds = microseconds / 1e6
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"

"""How are windows filled while a stream comes in, and judged when they are full?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.clock import StreamClock
from jamais.recipes.logs.units.batch import Batch, Judged, Reason, join
from jamais.recipes.logs.units.mixture import Persistence, mixed
from jamais.recipes.logs.units.rate_judge import NOTHING_ODD, Odd, RateJudge
from jamais.types import NO_TIME, Codes, Floats, Ints, StateTree

MOST_EMPTY = 1_000
"""Empty windows told one after the other: after that a gap is a gap."""

SHORTEST_GAP = 600_000_000


def believable_gap(width: int) -> int:
    """Give the gap (microseconds) up to which one stamp is believed: ten minutes, or twenty windows if longer."""
    return max(SHORTEST_GAP, 20 * width)


class WindowScorer:
    """Holds one open window: counts of its events, and the record that speaks loudest in it.

    `judge` is None for windows of lines, whose counts mean nothing. The first window of a stream and the one that
    `flush` cuts off are seen in part, and only their events are judged.
    """

    grouped = True

    def __init__(
        self,
        width: int,
        judge: RateJudge | None,
        sources: list[str],
        surprise: Surprise,
        persistence: Persistence,
    ) -> None:
        self.persistence = persistence
        self.width, self.judge, self.sources, self.surprise = width, judge, sources, surprise
        self.n_rows = 0
        self._seen = 0
        self._clock = StreamClock(believable_gap(width))
        self._floor = 0
        """Windows before it have ended by the clock: records that come late count in this one."""
        self._whole = judge is None
        self._open: Window | None = None

    def push(self, batch: Batch) -> Judged | None:
        """Take a batch; give the windows that are full."""
        if not len(batch.events):
            return None
        numbers = self._numbers(batch)
        nats = batch.loudness(self.surprise.nats())
        suspicious = self.surprise.suspicious()[batch.events]
        odd = suspicious if suspicious.any() else None
        ranks = nats if odd is None else batch.loudness(self.surprise.ranks())
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        done: list[Judged | None] = []
        for start, end in zip(np.r_[0, cuts].tolist(), np.r_[cuts, len(numbers)].tolist(), strict=True):
            number = int(numbers[start])
            if self._open is not None and number != self._open.number:
                done.extend(self._close(number))
            if self._open is None:
                self._open = Window(number)
            self._open.fill(batch, nats, ranks, start, end)
            if odd is not None and odd[start:end].any():
                self._open.suspect(batch.events[start:end][odd[start:end]])
        return join(done)

    def flush(self) -> Iterator[Judged]:
        """Close the open window, of which only the events are judged: nobody knows what would still have come."""
        if self._open is not None:
            self._whole = self._whole and self.judge is None
            yield self._judged(self._open)
            self._open = None

    def end(self, names: list[str]) -> Judged | None:
        return None

    def tick(self, passed: int) -> Judged | None:
        """Close the windows that ended within `passed` microseconds after the last record, empty ones too."""
        if self.judge is None or self._open is None or self._clock.latest == NO_TIME:
            return None
        number = (self._clock.latest + passed) // self.width
        if number <= self._open.number:
            return None
        last_row, last_line = self._open.last_row, self._open.last_line
        done = self._close(number)
        self._open = Window(number, last_row, last_line)
        self._floor = number
        return join(done)

    def state_dict(self) -> StateTree:
        opened = None if self._open is None else self._open.state_dict()
        clock = {"seen": self._seen, "clock": self._clock.state(), "floor": self._floor, "whole": self._whole}
        clock["carried"] = self.persistence.carried
        return {"n_rows": self.n_rows, **clock, "open": opened}

    def load_state_dict(self, tree: StateTree) -> None:
        self.n_rows, self._seen = int(tree["n_rows"]), int(tree["seen"])
        self._clock.restore(tree["clock"])
        self.persistence.carried = float(tree["carried"])
        self._floor, self._whole = int(tree["floor"]), bool(tree["whole"])
        self._open = None if tree["open"] is None else Window.from_state(tree["open"])

    def _numbers(self, batch: Batch) -> Ints:
        if self.judge is None:
            numbers = (self._seen + np.arange(len(batch.events))) // self.width
            self._seen += len(batch.events)
            return numbers
        begun = self._clock.latest != NO_TIME
        times = self._clock.follow(batch.records.time)
        timed = np.flatnonzero(times != NO_TIME)
        numbers = np.where(times == NO_TIME, 0, times // self.width)
        if not begun and len(timed):
            # What came before the first time, a header perhaps, belongs to the window of that time.
            numbers[: timed[0]] = numbers[timed[0]]
            if self._open is not None:
                self._open.number = int(numbers[timed[0]])
        late = (numbers < self._floor) & (numbers > self._floor - MOST_EMPTY)
        return np.where(late, self._floor, numbers)

    def _close(self, until: int) -> list[Judged]:
        assert self._open is not None
        done = [self._judged(self._open)]
        self._whole = True
        if self.judge is not None:
            for number in range(self._open.number + 1, min(until, self._open.number + MOST_EMPTY)):
                done.append(self._judged(Window(number, self._open.last_row, self._open.last_line)))
        self._open = None
        return done

    def _judged(self, window: Window) -> Judged:
        """The rarest events and the oddest count decide together, the loudest of them says why."""
        odds = (NOTHING_ODD, NOTHING_ODD)
        if self.judge is not None and self._whole:
            odds = self.judge.oddest(*window.counted())
        odd = max(odds, key=lambda one: one.nats)
        nats, event, time, line, slot = window.nats, window.event, window.time, window.line, window.slot
        reason = Reason(slot, f"slot:{event}") if slot else None
        beside = float(self.surprise.nats()[event]) if slot else nats
        if odd.nats > nats:
            nats, event, reason = odd.nats, -1 if odd.of_source else odd.key, self._reason(odd)
        score = nats if self.judge is None else self.persistence.score(self._mixed(window, odds))
        start = window.number * self.width if self.judge is not None else NO_TIME
        self.n_rows += 1
        return Judged(
            row=np.array([self.n_rows - 1]),
            score=np.array([score]),
            event=np.array([event]),
            time=np.array([start if reason is not None or not window.filled else time]),
            line=np.array([line]),
            reasons={0: reason} if reason is not None else {},
            group=[self._name(window.number)],
            first_row=np.array([window.first_row]),
            last_row=np.array([window.last_row]),
            beside={0: beside} if reason is not None else {},
            suspects={0: self.surprise.suspects(window.suspects)} if window.suspects else {},
        )

    def _mixed(self, window: Window, odds: tuple[Odd, Odd]) -> float:
        events, _ = window.counted()
        nats = self.surprise.nats()[events]
        if window.slot:
            nats = np.append(nats, window.nats)
        return mixed(np.append(nats, [odd.nats for odd in odds]))

    def _name(self, number: int) -> str:
        """Name a window of time by its beginning, one of lines by its number."""
        if self.judge is None:
            return str(number)
        start = datetime.fromtimestamp(number * self.width // 1_000_000, UTC)
        return start.isoformat().replace("+00:00", "Z") if self.width >= 1_000_000 else str(number)

    def _reason(self, odd: Odd) -> Reason:
        assert self.judge is not None
        rates = self.judge.source_rates if odd.of_source else self.judge.rates
        low, high = rates.usual(odd.key)
        name = f"{self.sources[odd.key] or 'all'} lines" if odd.of_source else self.surprise.lexicon.texts[odd.key]
        verb = "silent" if odd.count == 0 else "rate"
        text = f"{verb}: {odd.count:,} in {self.width / 1e6:g} s, normally {low:,}–{high:,}: {name}"
        kind = "source" if odd.of_source else "event"
        return Reason(text, f"rate:{kind}:{odd.key}:{odd.count > high}")


class Window:
    """What is known of a window while it is open."""

    def __init__(self, number: int, row: int = 0, line: int = 0) -> None:
        self.number = number
        self.filled = False
        self.nats, self.rank, self.event, self.time = 0.0, 0.0, -1, NO_TIME
        self.line, self.slot = line, ""
        self.first_row, self.last_row, self.last_line = row, row, line
        self.suspects: list[int] = []
        """Events that may be to blame."""
        self._events: list[Ints] = []

    def fill(self, batch: Batch, nats: Floats, ranks: Floats, start: int, end: int) -> None:
        """Take records `start .. end - 1` of a batch; the first in rank says what the window is about."""
        loudest = start + int(np.argmax(ranks[start:end]))
        if not self.filled or ranks[loudest] > self.rank:
            self.rank, self.event = float(ranks[loudest]), int(batch.events[loudest])
            self.line, self.time = int(batch.records.line[loudest]), int(batch.records.time[loudest])
            slot = batch.slot_reason(loudest, nats)
            self.slot = slot.text if slot is not None else ""
        highest = float(nats[start:end].max()) if ranks is not nats else self.rank
        self.nats = max(self.nats, highest)
        if not self.filled:
            self.first_row = batch.first_row + start
        self.filled = True
        self.last_row = batch.first_row + end - 1
        self.last_line = int(batch.records.line[end - 1])
        self._events.append(batch.events[start:end].astype(np.int64))

    def suspect(self, events: Codes) -> None:
        """Note events that may be to blame."""
        self.suspects = sorted({*self.suspects, *events.tolist()})

    def state_dict(self) -> StateTree:
        kept = {name: value for name, value in vars(self).items() if name != "_events"}
        return {**kept, "counts": [column.tolist() for column in self.counted()]}

    @classmethod
    def from_state(cls, tree: StateTree) -> Window:
        window = cls(int(tree["number"]))
        for name in vars(window):
            if name in tree:
                setattr(window, name, tree[name])
        events, counts = (np.array(column, dtype=np.int64) for column in tree["counts"])
        window._events = [np.repeat(events, counts)]
        return window

    def counted(self) -> tuple[Ints, Ints]:
        """Give the distinct events `[m]` and how often each came `[m]`."""
        if not self._events:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        events, counts = np.unique(np.concatenate(self._events), return_counts=True)
        return events, counts.astype(np.int64)

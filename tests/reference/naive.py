"""What would each algorithm say if it were written to be obviously right? Loops and dictionaries, no tricks.

Nothing here imports what it is compared with; only the vectors and tones of unseen texts are asked for from outside.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Nats = float


def p_value(kept: Sequence[float], score: float, tail: float = 0.1, smallest_scale: float = 0.5) -> tuple[float, bool]:
    """Give (1 + how many kept scores reach `score`) / (n + 1), beyond the highest an exponential tail."""
    n, highest = len(kept), max(kept)
    if score <= highest:
        return (1 + sum(one >= score for one in kept)) / (n + 1), False
    # The tail: the highest distinct values that make up at most a tenth of the rows, ties never split.
    top = [v for v in sorted(set(kept)) if sum(one >= v for one in kept) <= tail * n]
    lower = [v for v in sorted(set(kept)) if not top or v < top[0]]
    scale = smallest_scale
    if top:
        below = lower[-1] if lower else top[0]
        in_tail = [one for one in kept if one >= top[0]]
        scale = max(smallest_scale, sum(one - below for one in in_tail) / len(in_tail))
    return math.exp(-(score - highest) / scale) / (n + 1), True


def prequential(events: Sequence[int], start: int) -> tuple[list[Nats], list[bool]]:
    """Give each event from `start` on the surprise it had when it came, one after the other."""
    seen: Counter[int] = Counter()
    nats, first = [], []
    for units, event in enumerate(events):
        if units >= start:
            nats.append(-math.log((seen[event] + 0.5) / (units + 1)))
            first.append(seen[event] == 0)
        seen[event] += 1
    return nats, first


def kaplan_meier(waits: Sequence[float], ended: Sequence[bool], elapsed: float) -> Nats:
    """Give -log of the chance to wait longer than `elapsed`, with one more session than were seen at risk."""
    nats = 0.0
    for moment in sorted({wait for wait, over in zip(waits, ended, strict=True) if over and wait <= elapsed}):
        deaths = sum(over and wait == moment for wait, over in zip(waits, ended, strict=True))
        at_risk = sum(wait >= moment for wait in waits)
        nats -= math.log(1 - deaths / (at_risk + 1))
    return nats


class Curve:
    """The same over logarithmic buckets, as `silence.Waits` keeps them; slow, and one state only."""

    def __init__(self, margin: float, shortest: float = 1e3, ratio: float = 1.2, buckets: int = 130) -> None:
        self.margin, self.shortest, self.ratio, self.buckets = margin, shortest, ratio, buckets
        self.waits: list[tuple[int, bool]] = []

    def add(self, wait: float, ended: bool) -> None:
        self.waits.append((self.bucket(wait), ended))

    def bucket(self, wait: float) -> int:
        if math.isinf(wait):
            return self.buckets - 1
        return min(int(math.log(max(wait, self.shortest) / self.shortest) / math.log(self.ratio)), self.buckets - 1)

    def before(self, bucket: int) -> Nats:
        """-log of the chance that the wait reaches this bucket."""
        nats = 0.0
        for one in range(bucket):
            deaths = sum(ended and b == one for b, ended in self.waits)
            at_risk = sum(b >= one for b, _ in self.waits)
            nats -= math.log(1 - deaths / (at_risk + 1))
        return nats

    def nats(self, elapsed: float, certain: float = 13.8) -> Nats:
        last = max((b for b, ended in self.waits if ended), default=-1)
        if last < 0:
            return 0.0
        now = self.bucket(elapsed)
        if now <= last:
            return min(certain, self.before(now))
        longest = self.shortest * self.ratio ** (last + 1)
        reached = 1.0
        if self.margin > 1 and not math.isinf(elapsed):
            reached = min(1.0, math.log(max(1.0, elapsed / longest)) / math.log(self.margin))
        return min(certain, self.before(last) + reached * (self.before(last + 1) - self.before(last)))


def usual_high(counts: list[int]) -> int:
    """The count two spreads above the mean of log(1 + count), at least 1."""
    logs = [math.log1p(count) for count in counts]
    n = len(logs)
    mean = sum(logs) / n
    variance = max(sum(value**2 for value in logs) / n - mean**2, 0.0)
    spread = max(math.sqrt(variance * (1.0 + 3.0 / n)), 0.25)
    return max(1, round(math.expm1(mean + 2 * spread)))


def student_t(counts: Sequence[int], count: int, degrees: float = 4.0, smallest: float = 0.25) -> Nats:
    """Give the surprise of `count` in a window, after windows that held `counts` (zeros included)."""
    logs = [math.log(1 + one) for one in counts]
    n = len(logs)
    mean = sum(logs) / n
    variance = sum((one - mean) ** 2 for one in logs) / n
    spread = max(smallest, math.sqrt(variance * (1 + 3 / n)))
    z = (math.log(1 + count) - mean) / spread
    return (degrees + 1) / 2 * math.log(1 + z * z / degrees)


class Bag:
    """Which events a session has held, each counted to three."""

    def __init__(self) -> None:
        self.counts: dict[Hashable, int] = {}

    def see(self, event: Hashable) -> Hashable:
        self.counts[event] = min(3, self.counts.get(event, 0) + 1)
        return frozenset(self.counts.items())


class Bigrams:
    """Witten-Bell: what came after what, backed off to the share among all events."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[Hashable, Hashable]] = Counter()

    def add(self, before: Hashable, after: Hashable) -> None:
        self.pairs[before, after] += 1

    def nats(self, before: Hashable, after: Hashable) -> Nats:
        if not self.pairs:
            return 0.0
        n = sum(self.pairs.values())
        kinds = len({b for _, b in self.pairs})
        unigram = sum(c for (_, b), c in self.pairs.items() if b == after)
        share = (unigram + kinds / (kinds + 20)) / (n + kinds)
        followers = {b: c for (a, b), c in self.pairs.items() if a == before}
        if not followers:
            return -math.log(share)
        total, n_followers = sum(followers.values()), len(followers)
        return -math.log((followers.get(after, 0) + n_followers * share) / (total + n_followers))


class Line(NamedTuple):
    """One record: microseconds, session (None = none), event, source."""

    time: int | None
    group: str | None
    event: str
    source: str = ""


def sessions_of(lines: Sequence[Line]) -> dict[Hashable, list[int]]:
    """Give the numbers of the lines of each session, in order of first appearance; lone lines by number."""
    found: dict[Hashable, list[int]] = {}
    for i, line in enumerate(lines):
        found.setdefault(("lone", i) if line.group is None else line.group, []).append(i)
    return found


@dataclass
class SessionTwin:
    """Sessions judged by rarity, silence, order and length; the largest decides."""

    extra: Callable[[str], Nats]
    """What meaning adds to an event that was never seen before."""
    margin: float = 3.0
    order_weight: float = 0.25
    loud: float = 2.0

    def fit(self, lines: Sequence[Line], share: float = 0.3) -> list[Nats]:
        """Learn all lines; give the calibration scores of the last `share` of sessions."""
        sessions = sessions_of(lines)
        start = round(len(sessions) * (1 - share))
        self.units, self.held = 0, Counter[str]()
        now = max((line.time for line in lines if line.time is not None), default=None)
        rarity = []
        for members in sessions.values():
            events = {lines[i].event for i in members}
            rarity.append(max(self._rare(e) + (0 if self.held[e] else self.extra(e)) for e in events))
            self.held.update(events)
            self.units += 1
        self.state_waits: dict[Hashable, Curve] = {}
        self.event_waits: dict[Hashable, Curve] = {}
        self.order, self.lengths = Bigrams(), list[int]()
        every = list(sessions.values())
        for members in every[:start]:
            self._learn(lines, members, now)
        scores = [max(rarity[start + k], self._course(lines, members, now)) for k, members in enumerate(every[start:])]
        for members in every[start:]:
            self._learn(lines, members, now)
        return scores

    def score(self, lines: Sequence[Line]) -> list[Nats]:
        now = max((line.time for line in lines if line.time is not None), default=None)
        scores = []
        for members in sessions_of(lines).values():
            rarest = max(
                self._rare(e) + (0 if self.held[e] else self.extra(e)) for e in {lines[i].event for i in members}
            )
            scores.append(max(rarest, self._course(lines, members, now)))
        return scores

    def _rare(self, event: str) -> Nats:
        return -math.log((self.held[event] + 0.5) / (self.units + 1))

    def _learn(self, lines: Sequence[Line], members: list[int], now: int | None) -> None:
        if lines[members[0]].group is None:
            return
        bag, before = Bag(), None
        for k, i in enumerate(members):
            state = bag.see(lines[i].event)
            over = k + 1 < len(members)
            until = lines[members[k + 1]].time if over else now
            if lines[i].time is not None and until is not None:
                for table, key in ((self.state_waits, state), (self.event_waits, lines[i].event)):
                    table.setdefault(key, Curve(self.margin)).add(max(0, until - lines[i].time), over)
            self.order.add(before, lines[i].event)
            before = lines[i].event
        self.lengths.append(len(members))

    def _course(self, lines: Sequence[Line], members: list[int], now: int | None) -> Nats:
        """The largest of silence, order and length."""
        last = lines[members[-1]]
        if last.group is None:
            return 0.0
        bag, nats, before = Bag(), [0.0], None
        state: Hashable = None
        for i in members:
            state = bag.see(lines[i].event)
            disorder = self.order_weight * self.order.nats(before, lines[i].event)
            nats.append(disorder if disorder > self.loud else 0.0)
            before = lines[i].event
        if last.time is not None and now is not None:
            for curve in (self.state_waits.get(state), self.event_waits.get(last.event)):
                if curve is not None and len(curve.waits) >= 5:
                    nats.append(curve.nats(now - last.time))
                    break
        if self.lengths and len(members) > usual_high(self.lengths):  # a short session is unfinished, not odd
            nats.append(student_t(self.lengths, len(members)))
        return max(nats)


@dataclass
class WindowTwin:
    """Windows judged by their rarest event; those of time by all that is rare and odd in them, and by what lasts."""

    extra: Callable[[str], Nats]
    width: int
    timed: bool

    def windows(self, lines: Sequence[Line]) -> list[list[Line]]:
        """Cut lines into windows, empty ones included; time never goes back, lines without time stay where they are."""
        if not self.timed:
            return [list(lines[i : i + self.width]) for i in range(0, len(lines), self.width)]
        found: dict[int, list[Line]] = {}
        latest: int | None = None
        for line in lines:
            if line.time is not None:
                latest = line.time if latest is None else max(latest, line.time)
            assert latest is not None
            found.setdefault(latest // self.width, []).append(line)
        return [found.get(number, []) for number in range(min(found), max(found) + 1)]

    def fit(self, lines: Sequence[Line], share: float = 0.3) -> list[Nats]:
        windows = self.windows(lines)
        start = round(len(windows) * (1 - share))
        self.units, self.held = 0, Counter[str]()
        self.rates: list[list[Line]] = []
        self.known: set[str] = set()
        pieces = []
        for window in windows:
            pieces.append(self._events(window))
            self.held.update({line.event for line in window})
            self.units += 1
        self.known = set(self.held)
        self.rates = [windows[n] for n in range(1, min(start, len(windows) - 1))]  # the first is seen in part
        for number in range(max(start, 1), len(windows) - 1):
            pieces[number] += self._odd(windows[number])
        self.rates = windows[1:-1]
        alone = [self._added(one) for one in pieces[start:]]
        self.reference = _quantile(alone, 0.9) if self.timed else 0.0
        return self._lasting(alone)

    def score(self, lines: Sequence[Line]) -> list[Nats]:
        windows = self.windows(lines)
        inside = range(1, len(windows) - 1)
        alone = [
            self._added(self._events(window) + (self._odd(window) if n in inside else []))
            for n, window in enumerate(windows)
        ]
        return self._lasting(alone)

    def _added(self, nats: list[Nats]) -> Nats:
        if not self.timed:
            return max(nats, default=0.0)
        return sum(one / 2**place for place, one in enumerate(sorted(nats, reverse=True)[:4]))

    def _lasting(self, alone: list[Nats]) -> list[Nats]:
        if not self.timed:
            return alone
        carried, scores = 0.0, []
        for one in alone:
            above = one > self.reference
            scores.append(one + carried if above else one)
            carried = min(3.0, (carried + one - self.reference) / 2) if above else 0.0
        return scores

    def _events(self, window: list[Line]) -> list[Nats]:
        return [
            -math.log((self.held[e] + 0.5) / (self.units + 1)) + (0 if self.held[e] else self.extra(e))
            for e in {line.event for line in window}
        ]

    def _odd(self, window: list[Line]) -> list[Nats]:
        """The oddest count of an event, and of a source."""
        if not self.timed or not self.rates:
            return []
        kept = [line for line in window if line.event in self.known]
        found = []
        for name in ("event", "source"):
            nats = [0.0]
            now = Counter(getattr(line, name) for line in kept)
            past = [Counter(getattr(line, name) for line in one) for one in self.rates]
            for key in set(now) | {key for one in past for key in one}:
                counts = [one[key] for one in past]
                if now[key] or sum(count > 0 for count in counts) >= 0.5 * len(counts):
                    nats.append(rate_surprise(counts, now[key]))
            found.append(max(nats))
        return found


def rate_surprise(counts: Sequence[int], count: int, smallest: float = 0.25) -> Nats:
    """Judge a count by all windows, or by those that held it at all if fewer than half did."""
    held = [one for one in counts if one]
    if not held:
        return 0.0
    return student_t(counts if 2 * len(held) >= len(counts) else held, count, smallest=smallest)


def _quantile(values: list[float], share: float) -> float:
    """The linearly interpolated quantile."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def mean_search(n: int) -> float:
    """The mean path length of an unsuccessful search in a binary tree of n rows, with the paper's harmonic numbers."""
    if n <= 2:
        return float(max(0, n - 1))
    return 2 * (math.log(n - 1) + 0.5772156649015329) - 2 * (n - 1) / n


@dataclass
class Cut:
    """A node of an isolation tree, or a leaf if it has no sides."""

    rows: list[Sequence[float]]
    weights: dict[int, float] | None = None
    threshold: float = 0.0
    sides: tuple[Cut, Cut] | None = None

    def path(self, row: Sequence[float]) -> float:
        if self.sides is None or self.weights is None:
            return mean_search(len(self.rows))
        return 1 + self.sides[falls(row, self.weights, self.threshold)].path(row)


def falls(row: Sequence[float], weights: dict[int, float], threshold: float) -> bool:
    return sum(weight * float(row[column]) for column, weight in weights.items()) > threshold


def cuts(
    rows: Sequence[Sequence[float]],
    columns: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]],
    thresholds: Sequence[float],
    node: int = 0,
) -> Cut:
    """Send the sampled rows down a heap of splits: node i has children 2i+1 and 2i+2, no split is infinite."""
    here = list(rows)
    if node >= len(thresholds) or math.isinf(thresholds[node]):
        return Cut(here)
    of_column = {int(c): float(w) for c, w in zip(columns[node], weights[node], strict=True)}
    split = float(thresholds[node])
    low, high = (
        cuts([r for r in here if falls(r, of_column, split) == side], columns, weights, thresholds, 2 * node + 1 + side)
        for side in (False, True)
    )
    return Cut(here, of_column, split, (low, high))


def isolation_score(row: Sequence[float], trees: Sequence[Cut], n_sampled: int) -> float:
    """2^(-mean path / expected path)."""
    mean = sum(tree.path(row) for tree in trees) / len(trees)
    return float(2 ** (-mean / mean_search(n_sampled)))

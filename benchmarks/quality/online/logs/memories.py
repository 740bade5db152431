"""What do simple memories reach with the same operator? Sets, dictionaries, neighbours, log-odds without a prior.

They get event numbers that were parsed without a mistake, and the event texts where they read words.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.baselines import count_key
from benchmarks.quality.datasets import Events
from benchmarks.quality.online.logs.streams import Flow
from benchmarks.quality.online.logs.walk import Judged

Keys = frozenset[Hashable]
Features = Callable[[Events], Keys]

QUIET = Judged(False)


def events_of(item: Events) -> Keys:
    """An item is known when each of its events is."""
    return frozenset(item)


def event_set(item: Events) -> Keys:
    """An item is known when its set of events is."""
    return frozenset({frozenset(item)})


def count_vector(item: Events) -> Keys:
    """An item is known when its counts of events are."""
    return frozenset({count_key(item)})


class SetMemory:
    """Knows keys; alarms when an item brings an unknown one, and learns the keys of items called normal.

    `every`: each alarm is a question. Otherwise the same unknown keys are asked about once, and not while the answer
    is awaited.
    """

    def __init__(self, flow: Flow, features: Features, *, every: bool = False) -> None:
        self.known = set().union(*(features(item) for item in set(flow.known)))
        self.items = [features(item) for item in flow.items]
        self.every = every
        self.abnormal: set[Keys] = set()
        self.awaited: set[Keys] = set()

    def judge(self, item: int) -> Judged:
        unknown = self.items[item] - self.known
        if not unknown:
            return QUIET
        settled = not self.every and (unknown in self.abnormal or unknown in self.awaited)
        return Judged(True, unknown, None if settled else unknown)

    def asked(self, question: Any) -> None:
        self.awaited.add(question)

    def told(self, question: Any, abnormal: bool) -> None:
        self.awaited.discard(question)
        if abnormal:
            self.abnormal.add(question)
        else:
            self.known |= question


class CulpritMemory:
    """A set memory that asks nothing about items with an event that is to blame for another alarm.

    An event is to blame when it was the only unknown one of an abnormal item, or among those of two of them.
    """

    def __init__(self, flow: Flow) -> None:
        self.known: set[Hashable] = {event for item in set(flow.known) for event in item}
        self.items = [frozenset(item) for item in flow.items]
        self.culprits: set[Hashable] = set()
        self.suspects: Counter[Hashable] = Counter()
        self.awaited: set[Keys] = set()

    def judge(self, item: int) -> Judged:
        unknown = self.items[item] - self.known
        if not unknown:
            return QUIET
        guilty = unknown & self.culprits
        cause = min(guilty, key=str) if guilty else unknown
        return Judged(True, cause, None if guilty or unknown in self.awaited else unknown)

    def asked(self, question: Any) -> None:
        self.awaited.add(question)

    def told(self, question: Any, abnormal: bool) -> None:
        self.awaited.discard(question)
        if not abnormal:
            self.known |= question
            self.culprits -= question
            for event in question:
                self.suspects.pop(event, None)
        elif len(question) == 1:
            self.culprits |= question
        else:
            self.suspects.update(question)
            self.culprits |= {event for event in question if self.suspects[event] >= 2}


class Accepting:
    """A set memory that asks nobody: a key is known after `sightings` items with it; None: never (frozen)."""

    def __init__(self, flow: Flow, features: Features, sightings: int | None) -> None:
        self.known = set().union(*(features(item) for item in set(flow.known)))
        self.items = [features(item) for item in flow.items]
        self.sightings = sightings
        self.seen: Counter[Hashable] = Counter()

    def judge(self, item: int) -> Judged:
        unknown = self.items[item] - self.known
        if not unknown:
            return QUIET
        if self.sightings is not None:
            self.seen.update(unknown)
            self.known |= {key for key in unknown if self.seen[key] >= self.sightings}
        return Judged(True, unknown)

    def asked(self, question: Any) -> None: ...

    def told(self, question: Any, abnormal: bool) -> None: ...


class NearestText:
    """An event has the label of the nearest answered or known template within `reach`; else it is unknown, an alarm.

    Distance: 1 - cosine of character 3-5-gram tf-idf, the vocabulary being that of all templates.
    """

    def __init__(self, flow: Flow, reach: float) -> None:
        numbers = sorted(flow.texts)
        self.place = {event: at for at, event in enumerate(numbers)}
        self.distance = text_distances([flow.texts[event] for event in numbers])
        self.items = [frozenset(item) for item in flow.items]
        self.reach = reach
        self.label: dict[int, bool] = {event: False for item in set(flow.known) for event in item}
        self.awaited: set[int] = set()
        self._found: dict[int, bool | None] = {}

    def judge(self, item: int) -> Judged:
        events = self.items[item]
        found = {event: self._nearest(event) for event in events}
        unknown = frozenset(event for event, label in found.items() if label is None)
        blamed = [event for event, label in found.items() if label]
        if blamed:
            return Judged(True, min(blamed))
        if not unknown:
            return QUIET
        return Judged(True, unknown, None if self._is_awaited(unknown) else unknown)

    def asked(self, question: Any) -> None:
        self.awaited |= question

    def told(self, question: Any, abnormal: bool) -> None:
        self.awaited -= question
        for event in question:
            if not abnormal or len(question) == 1 or self.label.get(event) is not False:
                self.label[event] = abnormal
        self._found.clear()

    def _nearest(self, event: int) -> bool | None:
        if event not in self._found:
            answered = list(self.label)
            distances = self.distance[self.place[event], [self.place[one] for one in answered]]
            best = int(distances.argmin())
            self._found[event] = self.label[answered[best]] if distances[best] <= self.reach else None
        return self._found[event]

    def _is_awaited(self, unknown: frozenset[int]) -> bool:
        waiting = [self.place[event] for event in self.awaited]
        rows = [self.place[event] for event in unknown]
        return bool(waiting) and bool((self.distance[np.ix_(rows, waiting)] <= self.reach).any())


class LogOdds:
    """Log-odds per unknown event, without a prior about what it says: unknown = alarm.

    An item is abnormal if one of its events is: "normal" clears all of them, "abnormal" blames the likeliest. The
    responsible event is asked about again until about two answers agree, at most six times.
    """

    doubt = 0.05
    start = 1.0
    most = 6

    def __init__(self, flow: Flow) -> None:
        self.known = frozenset(event for item in set(flow.known) for event in item)
        self.items = [frozenset(item) - self.known for item in flow.items]
        self.step = math.log((1 - self.doubt) / self.doubt)
        self.odds: dict[int, float] = defaultdict(float)
        self.volume: Counter[int] = Counter()
        self.n_asked: Counter[int] = Counter()
        self.awaited: Counter[int] = Counter()

    def judge(self, item: int) -> Judged:
        unknown = self.items[item]
        if not unknown:
            return QUIET
        cause = max(unknown, key=lambda event: (self.odds[event], event))
        self.volume[cause] += 1
        enough = self.step * min(1.9, 0.9 + math.log10(1 + self.volume[cause]))
        asks = abs(self.odds[cause]) < enough and self.n_asked[cause] < self.most and not self.awaited[cause]
        alarm = self.start + self.odds[cause] > 0
        return Judged(alarm, cause, (cause, unknown) if asks else None)

    def asked(self, question: Any) -> None:
        self.n_asked[question[0]] += 1
        self.awaited[question[0]] += 1

    def told(self, question: Any, abnormal: bool) -> None:
        cause, events = question
        self.awaited[cause] -= 1
        ordered = sorted(events)
        blame = np.ones(len(ordered))
        if abnormal:
            odds = np.array([max(self.start + self.odds[event], -8.0) for event in ordered])
            blame = np.exp(odds - odds.max())
            blame /= blame.sum()
        for event, share in zip(ordered, blame.tolist(), strict=True):
            self.odds[event] += self.step * share if abnormal else -self.step


class NearestCounts:
    """The cause of an unseen count vector is how it differs from the nearest known one: which events, more or fewer.

    An answer about a cause is evidence; vectors of causes called normal are known.
    """

    def __init__(self, flow: Flow, trust: float) -> None:
        events = sorted({event for item in set(flow.known) | set(flow.items) for event in item})
        self.columns = {event: at for at, event in enumerate(events)}
        self.known = np.unique(np.array([self._row(item) for item in set(flow.known)]), axis=0)
        self.rows = [self._row(item) for item in flow.items]
        self.keys = {row.tobytes() for row in self.known}
        self.step = math.log(trust / (1 - trust)) if trust < 1 else 6.0
        self.enough = self.step * (1.5 if trust < 1 else 0.9)
        self.odds: dict[Hashable, float] = defaultdict(float)
        self.awaited: set[Hashable] = set()

    def judge(self, item: int) -> Judged:
        row = self.rows[item]
        if row.tobytes() in self.keys:
            return QUIET
        apart = row - self.known[np.abs(self.known - row).sum(1).argmin()]
        cause = tuple((int(at), int(np.sign(apart[at]))) for at in np.flatnonzero(apart))
        asks = cause not in self.awaited and abs(self.odds[cause]) < self.enough
        return Judged(self.odds[cause] >= 0, cause, (cause, row.tobytes()) if asks else None)

    def asked(self, question: Any) -> None:
        self.awaited.add(question[0])

    def told(self, question: Any, abnormal: bool) -> None:
        cause, key = question
        self.awaited.discard(cause)
        self.odds[cause] += self.step if abnormal else -self.step
        if self.odds[cause] < 0 and key not in self.keys:
            self.known = np.concatenate([self.known, np.frombuffer(key, dtype=np.int32)[None]])
            self.keys.add(key)

    def _row(self, item: Events) -> NDArray[np.int32]:
        row = np.zeros(len(self.columns), dtype=np.int32)
        for event in item:
            row[self.columns[event]] += 1
        return row


def text_distances(texts: list[str]) -> NDArray[np.float64]:
    """Give 1 - cosine between the character n-grams of all pairs, [n, n]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    said = [text.replace("<*>", " [VAR] ") for text in texts]
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit_transform(said)
    return np.asarray(1.0 - (grams @ grams.T).toarray())

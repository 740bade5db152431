"""What do the simplest ideas reach? Nine of them, on event numbers that were parsed without a mistake.

Every baseline counts sessions with their multiplicity and scores a repeated session once.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from benchmarks.quality.datasets import Events

Floats = NDArray[np.float64]

# Fixed before any score was computed; matched as a prefix of a word, in any case.
SEVERE = re.compile(
    r"(?<![a-z])(?:error|fail|fatal|panic|exception|critical|severe|abort|corrupt|crash|denied|refused|reject|"
    r"invalid|illegal|unable|cannot|can't|could ?n[o']t|not (?:found|responding|available)|unreachable|"
    r"timed? ?out|lost|dead|died|kill|broken|overflow|interrupt|violation|fault|assert|trap|halt|unexpected|"
    r"emergency|alert)",
    re.IGNORECASE,
)


class Baseline(Protocol):
    """Fitted once on sessions, then asked for one score per session: [n], higher = less normal."""

    def fit(self, sessions: Sequence[Events]) -> None: ...
    def score(self, sessions: Sequence[Events]) -> Floats: ...


def all_baselines(texts: dict[int, str]) -> dict[str, Callable[[], Baseline]]:
    """Name every baseline; the texts of the events are for the one that reads words."""
    return {
        "new event": NewEvent,
        "unseen count vector": lambda: UnseenKey(count_key),
        "frozen set memory": lambda: UnseenKey(frozenset),
        "1-NN counts": NearestCounts,
        "1-NN Jaccard": NearestSet,
        "rarest event": RarestEvent,
        "max bigram surprise": BigramSurprise,
        "PCA residual": PcaResidual,
        "unseen and severe word": lambda: SevereNews(texts),
        "unseen, severe word first": lambda: SevereNews(texts, mild=0.5),
    }


class NewEvent:
    """1 where the session holds an event that the fit data never had."""

    def __init__(self) -> None:
        self.known: set[int] = set()

    def fit(self, sessions: Sequence[Events]) -> None:
        self.known = {event for session in set(sessions) for event in session}

    def score(self, sessions: Sequence[Events]) -> Floats:
        return per_distinct(sessions, lambda s: float(not self.known.issuperset(s)))


class UnseenKey:
    """1 where the session's key (its counts, its set) was never seen whole: a set used as a memory."""

    def __init__(self, key: Callable[[Events], object]) -> None:
        self.key = key
        self.known: set[object] = set()

    def fit(self, sessions: Sequence[Events]) -> None:
        self.known = {self.key(session) for session in set(sessions)}

    def score(self, sessions: Sequence[Events]) -> Floats:
        return per_distinct(sessions, lambda s: float(self.key(s) not in self.known))


class RarestEvent:
    """The surprise in nats of the session's rarest event: -log of the share of sessions that hold it."""

    def __init__(self) -> None:
        self.holders: Counter[int] = Counter()
        self.n = 0

    def fit(self, sessions: Sequence[Events]) -> None:
        self.n = len(sessions)
        self.holders = Counter()
        for session, times in Counter(sessions).items():
            for event in set(session):
                self.holders[event] += times

    def score(self, sessions: Sequence[Events]) -> Floats:
        return per_distinct(sessions, lambda s: max(-math.log((self.holders[e] + 0.5) / (self.n + 1)) for e in set(s)))


class BigramSurprise:
    """The largest -log P(event | event before), Witten-Bell back-off to the event alone, then to none."""

    start = -1

    def __init__(self) -> None:
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.before: Counter[int] = Counter()
        self.followers: Counter[int] = Counter()
        self.singles: Counter[int] = Counter()

    def fit(self, sessions: Sequence[Events]) -> None:
        for session, times in Counter(sessions).items():
            for pair in zip((self.start, *session), session, strict=False):
                self.pairs[pair] += times
        for (first, second), times in self.pairs.items():
            self.before[first] += times
            self.followers[first] += 1
            self.singles[second] += times

    def score(self, sessions: Sequence[Events]) -> Floats:
        return per_distinct(sessions, self._largest)

    def _largest(self, session: Events) -> float:
        pairs = set(zip((self.start, *session), session, strict=False))
        return max(-math.log(self.probability(first, second)) for first, second in pairs)

    def probability(self, first: int, second: int) -> float:
        distinct, total = len(self.singles), self.singles.total()
        alone = (self.singles[second] + distinct / (distinct + 1)) / (total + distinct)
        if not self.before[first]:
            return alone
        kinds = self.followers[first]
        return (self.pairs[first, second] + kinds * alone) / (self.before[first] + kinds)


class NearestCounts:
    """L1 distance to the nearest known counts, per event of the session; unknown events share one column."""

    def __init__(self) -> None:
        self.columns: dict[int, int] = {}
        self.known: Floats = np.zeros((0, 0))

    def fit(self, sessions: Sequence[Events]) -> None:
        self.columns = columns_of(sessions)
        self.known = count_matrix({count_key(s): s for s in set(sessions)}.values(), self.columns)

    def score(self, sessions: Sequence[Events]) -> Floats:
        distinct = {count_key(s): s for s in set(sessions)}
        rows = count_matrix(distinct.values(), self.columns)
        nearest = np.concatenate([cdist(part, self.known, "cityblock").min(1) for part in chunks(rows)])
        found = dict(zip(distinct, nearest / rows.sum(1), strict=True))
        return per_distinct(sessions, lambda s: float(found[count_key(s)]))


class NearestSet:
    """1 - |A and B| / |A or B| to the nearest known set of events."""

    def __init__(self) -> None:
        self.columns: dict[int, int] = {}
        self.known: Floats = np.zeros((0, 0))

    def fit(self, sessions: Sequence[Events]) -> None:
        self.columns = columns_of(sessions)
        self.known = count_matrix({frozenset(s) for s in set(sessions)}, self.columns)

    def score(self, sessions: Sequence[Events]) -> Floats:
        distinct = list({frozenset(s) for s in set(sessions)})
        rows = count_matrix(distinct, self.columns)  # several unknown events add up in the last column
        sizes = self.known.sum(1)
        nearest = []
        for part in chunks(rows):
            both = part @ self.known.T
            nearest.append((1 - both / (part.sum(1)[:, None] + sizes - both)).min(1))
        found = dict(zip(distinct, np.concatenate(nearest), strict=True))
        return per_distinct(sessions, lambda s: float(found[frozenset(s)]))


class PcaResidual:
    """Squared distance to the plane that holds 95 % of the variance of the standardised log counts."""

    share = 0.95

    def __init__(self) -> None:
        self.columns: dict[int, int] = {}
        self.mean: Floats = np.zeros(0)
        self.scale: Floats = np.ones(0)
        self.axes: Floats = np.zeros((0, 0))

    def fit(self, sessions: Sequence[Events]) -> None:
        self.columns = columns_of(sessions)
        distinct = Counter(sessions)
        rows = np.log1p(count_matrix(distinct, self.columns))
        weights = np.fromiter(distinct.values(), dtype=np.float64) / len(sessions)
        self.mean = weights @ rows
        spread = np.sqrt(weights @ (rows - self.mean) ** 2)
        self.scale = np.where(spread > 1e-12, spread, 1.0)
        centred = (rows - self.mean) / self.scale
        variances, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred)
        explained = np.cumsum(variances[::-1]) / variances.sum()
        kept = int(np.searchsorted(explained, self.share, side="right")) + 1
        self.axes = axes[:, ::-1][:, :kept]

    def score(self, sessions: Sequence[Events]) -> Floats:
        distinct = list(dict.fromkeys(sessions))
        centred = (np.log1p(count_matrix(distinct, self.columns)) - self.mean) / self.scale
        left = ((centred - centred @ self.axes @ self.axes.T) ** 2).sum(1)
        found = dict(zip(distinct, left, strict=True))
        return per_distinct(sessions, lambda s: float(found[s]))


class SevereNews:
    """1 where an event is unseen and its text has a severe word, `mild` where it is only unseen."""

    def __init__(self, texts: dict[int, str], mild: float = 0.0) -> None:
        self.severe = {event for event, text in texts.items() if SEVERE.search(text)}
        self.mild = mild
        self.known: set[int] = set()

    def fit(self, sessions: Sequence[Events]) -> None:
        self.known = {event for session in set(sessions) for event in session}

    def score(self, sessions: Sequence[Events]) -> Floats:
        return per_distinct(sessions, self._worst)

    def _worst(self, session: Events) -> float:
        news = set(session) - self.known
        if news & self.severe:
            return 1.0
        return self.mild if news else 0.0


def per_distinct(sessions: Sequence[Events], score: Callable[[Events], float]) -> Floats:
    """Ask `score` once per distinct session: [n]."""
    known = {session: score(session) for session in set(sessions)}
    return np.array([known[session] for session in sessions], dtype=np.float64)


def count_key(session: Events) -> Events:
    """Forget the order, keep the counts."""
    return tuple(sorted(session))


def columns_of(sessions: Sequence[Events]) -> dict[int, int]:
    return {e: i for i, e in enumerate(sorted({e for s in set(sessions) for e in s}))}


def count_matrix(sessions: Iterable[Iterable[int]], columns: dict[int, int]) -> Floats:
    """Count events: [n, columns + 1], the last column for events without one."""
    rows = list(sessions)
    table = np.zeros((len(rows), len(columns) + 1))
    for row, session in zip(table, rows, strict=True):
        for event in session:
            row[columns.get(event, -1)] += 1
    return table


def chunks(rows: Floats, size: int = 256) -> list[Floats]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]

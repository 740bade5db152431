"""Nothing more came: how surprising is that by now?"""

from __future__ import annotations

import numpy as np

from jamais.types import Bools, Floats, Ints, StateTree

SHORTEST = 1e3  # microseconds; waits below a millisecond are one bucket
RATIO = 1.2
BUCKETS = 130  # 1 ms * 1.2 ** 129 is half a year
FEW_WAITS = 5
CERTAIN = 13.8  # nats; one in a million is as sure as waiting can make anybody


def bucket(waits: Floats | Ints) -> Ints:
    """Give the logarithmic bucket `[n]` of waits in microseconds `[n]`."""
    scaled = np.maximum(np.asarray(waits, dtype=np.float64), SHORTEST) / SHORTEST
    buckets: Ints = np.minimum(np.log(scaled) / np.log(RATIO), float(BUCKETS - 1)).astype(np.int64)
    return buckets


class Waits:
    """For every state of a session: how long until something came, and how long nothing had come when we looked.

    The chance of still waiting after x is the Kaplan-Meier estimate (1958) over the bucketed waits, where
    sessions that had not gone on by the end of the data are censored. Beyond the longest wait ever ended, the
    full surprise is reached only at `margin` times that wait. Counts add, so two halves merge into the whole.
    """

    def __init__(self, margin: float = 3.0) -> None:
        self.margin = margin
        self.ended = np.zeros((0, BUCKETS))
        self.open = np.zeros((0, BUCKETS))
        self._curves: dict[int, tuple[Floats, int] | None] = {}

    def add(self, states: Ints, waits: Ints, ended: Bools) -> None:
        """Count `waits: [n]` microseconds in `states: [n]`; `ended: [n]` says whether something came at last."""
        self.grow(int(states.max()) + 1 if len(states) else 0)
        buckets = bucket(waits)
        for table, chosen in ((self.ended, ended), (self.open, ~ended)):
            np.add.at(table, (states[chosen], buckets[chosen]), 1.0)
        self._curves.clear()

    def grow(self, n_states: int) -> None:
        missing = n_states - len(self.ended)
        if missing > 0:
            self.ended = np.vstack([self.ended, np.zeros((missing, BUCKETS))])
            self.open = np.vstack([self.open, np.zeros((missing, BUCKETS))])

    def knows(self, state: int) -> bool:
        """Say whether enough waits were seen in this state to speak of it."""
        return self._curve_of(state) is not None

    def nats(self, state: int, elapsed: Floats) -> Floats:
        """Give the surprise `[n]` that nothing came within `elapsed: [n]` microseconds (inf = nothing can come)."""
        elapsed = np.asarray(elapsed, dtype=np.float64)
        known = self._curve_of(state)
        if known is None or known[1] < 0:
            return np.zeros(len(elapsed))
        curve, last = known
        now = bucket(elapsed)
        longest = SHORTEST * RATIO ** (last + 1)
        reached = np.log(np.maximum(elapsed / longest, 1.0)) / np.log(self.margin) if self.margin > 1 else np.ones(1)
        beyond = curve[last] + (curve[last + 1] - curve[last]) * np.minimum(1.0, reached)
        return np.minimum(CERTAIN, np.where(now <= last, curve[np.minimum(now, last)], beyond))

    def usual(self, state: int) -> float:
        """Give the wait in microseconds within which nine of ten ended waits ended; inf if none ever did."""
        if not self.knows(state) or not self.ended[state].sum():
            return float("inf")
        share = np.cumsum(self.ended[state]) / self.ended[state].sum()
        return float(SHORTEST * RATIO ** (int(np.argmax(share >= 0.9)) + 1))

    def _curve_of(self, state: int) -> tuple[Floats, int] | None:
        """-log of the survival before each bucket, and the last bucket in which any wait ended (-1 = none)."""
        if state not in self._curves:
            known = 0 <= state < len(self.ended)
            n = float(self.ended[state].sum() + self.open[state].sum()) if known else 0.0
            self._curves[state] = self._curve(state) if n >= FEW_WAITS else None
        return self._curves[state]

    def _curve(self, state: int) -> tuple[Floats, int]:
        ended, total = self.ended[state], self.ended[state] + self.open[state]
        at_risk = np.cumsum(total[::-1])[::-1]
        # + 1 in the denominator: even if every wait ended, one more session might be the first that never goes on
        steps = -np.log1p(-ended / (at_risk + 1.0))
        last = int(np.flatnonzero(ended)[-1]) if ended.any() else -1
        return np.r_[0.0, np.cumsum(steps)], last

    def fold(self, canonical: Ints) -> None:
        """Move waits of states that turned out to be the same: `canonical: [n]` names the survivor of each."""
        self.grow(len(canonical))
        for name in ("ended", "open"):
            folded = np.zeros((int(canonical.max(initial=-1)) + 1, BUCKETS))
            np.add.at(folded, canonical, getattr(self, name)[: len(canonical)])
            setattr(self, name, folded)
        self._curves.clear()

    def state_dict(self) -> StateTree:
        return {"ended": self.ended.astype(np.float32), "open": self.open.astype(np.float32)}

    def load_state_dict(self, tree: StateTree) -> None:
        self.ended = np.asarray(tree["ended"], dtype=np.float64).reshape(-1, BUCKETS)
        self.open = np.asarray(tree["open"], dtype=np.float64).reshape(-1, BUCKETS)
        self._curves.clear()


def silence_nats(waits: Waits, waits_after: Waits, state: int, event: int, elapsed: Floats) -> Floats:
    """Give the surprise `[n]` of silence after `state`; where that was seen too seldom, after its last `event`.

    A negative `elapsed` means that nobody knows how long, and says nothing.
    """
    nats = waits.nats(state, elapsed) if waits.knows(state) else waits_after.nats(event, elapsed)
    return np.where(np.asarray(elapsed) < 0, 0.0, nats)


def silences(waits: Waits, waits_after: Waits, states: Ints, events: Ints, elapsed: Floats) -> Floats:
    """Give the surprise `[n]` of silence for many sessions: `states`, last `events` and `elapsed` are [n]."""
    nats = np.zeros(len(states))
    if not len(states):
        return nats
    width = int(events.max(initial=0)) + 1
    keys, place = np.unique(states * width + events, return_inverse=True)
    order = np.argsort(place, kind="stable")
    for key, rows in zip(keys.tolist(), np.split(order, np.cumsum(np.bincount(place))[:-1]), strict=True):
        nats[rows] = silence_nats(waits, waits_after, key // width, key % width, elapsed[rows])
    return nats

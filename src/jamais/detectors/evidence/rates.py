"""How far from normal is a count? `accepted connection` 0 in 60 s, normally 35-60."""

from __future__ import annotations

import numpy as np

from jamais.types import Codes, Floats, Ints, StateTree

DEGREES = 4.0
SMALLEST_SPREAD = 0.25  # of log(1 + count): counts that never moved may still move by a quarter
STEADY = 0.5  # share of windows that must hold a key before its absence is looked at


class Rates:
    """How often each key (a template or a source) comes in one window, on a logarithmic scale.

    The surprise of a count is that of a Student t with four degrees of freedom, fitted to log(1 + count) over
    all windows, or over those that held the key if fewer than half did: heavy tails, because counts of operations
    data have them. All that is kept are sums, so two halves merge into the whole.
    """

    def __init__(self) -> None:
        self.windows = 0.0
        self.sums = np.zeros((0, 5))  # log sum, log square sum, windows that held it, count sum, count square sum

    def add(self, windows: float, keys: Codes | Ints, counts: Ints) -> None:
        """Count `windows` more windows; `keys: [m]` came `counts: [m]` times, one row per window and key."""
        self.windows += windows
        self.grow(int(keys.max()) + 1 if len(keys) else 0)
        logs = np.log1p(counts)
        rows = np.stack([logs, logs**2, np.ones(len(logs)), counts, counts.astype(np.float64) ** 2], axis=1)
        np.add.at(self.sums, keys, rows)

    def grow(self, n_keys: int) -> None:
        if n_keys > len(self.sums):
            self.sums = np.vstack([self.sums, np.zeros((n_keys - len(self.sums), 5))])

    def nats(self, keys: Codes | Ints, counts: Ints) -> Floats:
        """Give the surprise `[m]` of `counts: [m]` of known `keys: [m]` in one window; 0 for keys no window held."""
        mean, spread = self._fitted(keys)
        z = (np.log1p(counts) - mean) / spread
        return np.where(self.sums[keys, 2] > 0, 0.5 * (DEGREES + 1.0) * np.log1p(z**2 / DEGREES), 0.0)

    def steady(self) -> Ints:
        """Give the keys whose absence from a window is worth a look."""
        if self.windows == 0:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.sums[:, 2] >= STEADY * self.windows)

    def usual(self, key: int) -> tuple[int, int]:
        """Give the range within which the counts of a key usually lie."""
        mean, spread = self._fitted(np.array([key]))
        low, high = np.expm1(mean - 2 * spread)[0], np.expm1(mean + 2 * spread)[0]
        return max(0, round(float(low))), max(1, round(float(high)))

    def fold(self, canonical: Ints) -> None:
        """Move sums of keys that turned out to be the same: `canonical: [n]` names the survivor of each."""
        self.grow(len(canonical))
        folded = np.zeros_like(self.sums)
        np.add.at(folded, canonical, self.sums[: len(canonical)])
        self.sums = folded

    def _fitted(self, keys: Codes | Ints) -> tuple[Floats, Floats]:
        held = self.sums[keys, 2]
        # How often it comes at all is for rarity to say: of what seldom comes, the count when it comes is judged.
        n = np.maximum(np.where(held >= STEADY * self.windows, self.windows, held), 1.0)
        mean = self.sums[keys, 0] / n
        variance = np.maximum(self.sums[keys, 1] / n - mean**2, 0.0)
        # Few windows know little about the spread: widen it as the predictive distribution would.
        return mean, np.maximum(np.sqrt(variance * (1.0 + 3.0 / n)), SMALLEST_SPREAD)

    def state_dict(self) -> StateTree:
        return {"windows": self.windows, "sums": self.sums}

    def load_state_dict(self, tree: StateTree) -> None:
        self.windows = float(tree["windows"])
        self.sums = np.asarray(tree["sums"], dtype=np.float64).reshape(-1, 5)


def long_nats(lengths: Rates, counts: Ints) -> Floats:
    """Give the surprise `[n]` of sessions of `counts: [n]` records; a short one is unfinished, not odd: 0."""
    nats = lengths.nats(np.zeros(len(counts), dtype=np.int64), counts)
    return np.where(counts > lengths.usual(0)[1], nats, 0.0)

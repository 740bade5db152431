"""Which few rows stand for all rows ever learned, each with the same chance?

A uniform sample by bottom-k priorities: every row draws a pseudo-random number from its place in the stream, and
those with the smallest stay. How the stream was cut into batches changes nothing, and two samples merge by
keeping the smallest of both (Cohen & Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, SettingsError
from jamais.types import Bools, Ints, StateTree, Vectors

_AT_ONCE = 1_000_000  # priorities drawn at once: 8 MB

Priorities = NDArray[np.uint64]


class Sample:
    """Keep `capacity` rows drawn uniformly from all rows added; a row with a count of c draws c times."""

    def __init__(self, capacity: int = 2_000, seed: int = 0) -> None:
        if capacity < 1:
            raise SettingsError(f"a sample wants a capacity of at least 1, got {capacity}")
        self.capacity = int(capacity)
        self.seed = int(seed)
        self.n_seen = 0
        self._rows: Vectors = np.empty((0, 0), dtype=np.float32)
        self._priorities: Priorities = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Vectors:
        """The kept rows [m, width] in order of their priorities: the first j are a uniform sample, too."""
        view = self._rows.view()
        view.flags.writeable = False
        return view

    def add(self, rows: Vectors, counts: Ints | None = None) -> None:
        """Let `rows` [n, width] draw for a place, each `counts` [n] times."""
        owners_upto = np.cumsum(np.ones(len(rows), dtype=np.int64) if counts is None else counts)
        n_drawn = int(owners_upto[-1]) if len(rows) else 0
        for start in range(0, n_drawn, _AT_ONCE):
            drawn = np.arange(start, min(start + _AT_ONCE, n_drawn))
            priorities = priorities_of(drawn + self.n_seen, self.seed)
            if len(self) == self.capacity:
                better = priorities < self._priorities[-1]
                drawn, priorities = drawn[better], priorities[better]
            if len(drawn) > self.capacity:
                best = np.argpartition(priorities, self.capacity - 1)[: self.capacity]
                drawn, priorities = drawn[best], priorities[best]
            if len(drawn):  # else there is nothing to sort and to copy: most rows win no place
                self._keep(rows[np.searchsorted(owners_upto, drawn, side="right")], priorities)
        self.n_seen += n_drawn

    def merge(self, other: Sample) -> None:
        """Let the rows of `other` compete with those here; the result is a uniform sample of all that either saw."""
        if len(other):
            drawn_anew = self.n_seen > 0
            fresh = redrawn(other.n_seen, len(other), (self.seed, self.n_seen)) if drawn_anew else other._priorities
            self._keep(other._rows, fresh)
        self.n_seen += other.n_seen

    def drop(self, gone: Bools) -> None:
        """Take out the rows marked in `gone` [m]."""
        self._rows, self._priorities = self._rows[~gone], self._priorities[~gone]

    def clear(self) -> None:
        """Forget all rows and start to count anew."""
        self._rows, self._priorities = np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.uint64)
        self.n_seen = 0

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        return {
            "capacity": self.capacity,
            "seed": self.seed,
            "n_seen": self.n_seen,
            "rows": self._rows.copy(),
            "priorities": self._priorities.copy(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the sample of a state; raise `CorruptStateError` and change nothing."""
        try:
            loaded = Sample(int(tree["capacity"]), int(tree["seed"]))
            loaded.n_seen = int(tree["n_seen"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStateError(f"not the state of a sample ({error!r}): load another version") from None
        rows, priorities = tree.get("rows"), tree.get("priorities")
        if (
            not (isinstance(rows, np.ndarray) and isinstance(priorities, np.ndarray))
            or rows.ndim != 2
            or rows.dtype != np.float32
            or priorities.shape != (len(rows),)
            or priorities.dtype != np.uint64
            or not len(rows) <= min(loaded.capacity, loaded.n_seen)
            or (priorities[1:] < priorities[:-1]).any()
            or not np.isfinite(rows).all()
        ):
            raise CorruptStateError("sample.rows and sample.priorities do not fit together: load another version")
        loaded._rows, loaded._priorities = np.array(rows, order="C"), priorities.copy()
        self.__dict__.update(loaded.__dict__)

    def _keep(self, rows: Vectors, priorities: Priorities) -> None:
        if len(self._rows):
            rows = np.concatenate([self._rows, rows])
            priorities = np.concatenate([self._priorities, priorities])
        best = np.argsort(priorities, kind="stable")[: self.capacity]
        self._rows, self._priorities = rows[best], priorities[best]


def priorities_of(places: Ints, seed: int) -> Priorities:
    """Mix each place in the stream with the seed: splitmix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        x = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed * 2 + 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def redrawn(n_drawn: int, n: int, seed: tuple[int, int]) -> Priorities:
    """Draw the `n` smallest of `n_drawn` priorities anew, in no order: two samples of one seed drew the same ones.

    The order statistics of uniform numbers come from sums of exponential ones (Rényi, 1953).
    """
    rng = np.random.default_rng([1, *seed, n_drawn])
    steps = rng.exponential(size=n) / (n_drawn - np.arange(n))
    # Shuffled: of two samples of one seed even the ranks are the same.
    return rng.permutation(np.asarray(-np.expm1(-np.cumsum(steps)) * 2.0**64, dtype=np.uint64))

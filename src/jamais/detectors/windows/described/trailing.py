"""What are sums, counts and extremes of the last w rows, at every row?"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from jamais.types import Bools, Floats, Ints


class Trailing:
    """Looks back from each of the last `tail` rows of `steps` [n, C], whole numbers with NaN for missing.

    Sums are differences of running sums, which are exact on the grid. Rows before the first are missing. Without
    `tail`, all rows are asked about. What is dear to describe may leave out, as 0, all rows but `wanted` ones.
    """

    def __init__(self, steps: Floats, tail: int | None = None, wanted: Ints | None = None) -> None:
        self.steps = steps
        self.first = 0 if tail is None else len(steps) - tail
        """The first row that is asked about."""
        self.wanted: Ints = np.arange(self.first, len(steps)) if wanted is None else wanted
        """The rows, among those asked about, that somebody will look at."""
        self.known: dict[tuple[str, int], Any] = {}
        """What was found already and may be asked for again, by what it is and w."""

    @cached_property
    def missing(self) -> Bools | None:
        """Where values are missing [n, C]; None if nowhere."""
        gone: Bools = np.isnan(self.steps)
        return gone if gone.any() else None

    def sums(self, w: int) -> Floats:
        """Sum the values that are there, [tail, C]."""
        return _difference(self._running, w, self.first)

    def squares(self, w: int) -> Floats:
        """Sum their squares, [tail, C]."""
        return _difference(self._running_squares, w, self.first)

    def counts(self, w: int) -> Floats:
        """Count them, [tail, C] or [tail, 1] where none is missing."""
        if self._running_counts is None:
            rows = np.arange(self.first + 1.0, len(self.steps) + 1.0)
            return np.asarray(np.minimum(rows, float(w)))[:, None]
        return _difference(self._running_counts, w, self.first)

    def highest(self, w: int) -> Floats:
        """Give the largest value, [tail, C]; -inf where none is there."""
        return self._extreme(w, np.maximum, -np.inf)[self.first :]

    def lowest(self, w: int) -> Floats:
        """Give the smallest value, [tail, C]; inf where none is there."""
        return self._extreme(w, np.minimum, np.inf)[self.first :]

    @cached_property
    def _filled(self) -> Floats:
        return self.steps if self.missing is None else np.asarray(np.where(self.missing, 0.0, self.steps))

    @cached_property
    def _running(self) -> Floats:
        return np.cumsum(self._filled, axis=0)

    @cached_property
    def _running_squares(self) -> Floats:
        return np.cumsum(self._filled * self._filled, axis=0)

    @cached_property
    def _running_counts(self) -> Floats | None:
        return None if self.missing is None else np.cumsum(~self.missing, axis=0, dtype=np.float64)

    def _extreme(self, w: int, better: np.ufunc, worst: float) -> Floats:
        """Double the reach of what is known until it is w rows, a power of two."""
        known: Floats | None = self.known.get((better.__name__, w))
        if known is None:
            if w == 1:
                known = self.steps if self.missing is None else np.where(self.missing, worst, self.steps)
            else:
                half = self._extreme(w // 2, better, worst)
                known = half.copy()
                better(half[w // 2 :], half[: -w // 2], out=known[w // 2 :])
            self.known[better.__name__, w] = known
        return known


def _difference(running: Floats, w: int, first: int) -> Floats:
    if first >= w:
        return np.asarray(running[first:] - running[first - w : len(running) - w])
    found = running[first:].copy()
    found[w - first :] -= running[: max(0, len(running) - w)]
    return found

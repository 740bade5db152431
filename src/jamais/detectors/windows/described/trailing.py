"""What are sums, counts and extremes of the last w rows, at every row?"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from jamais.types import Bools, Floats


class Trailing:
    """Looks back from each row of `steps` [n, C], whole numbers with NaN for missing.

    Sums are differences of running sums, which are exact on the grid. Rows before the first are missing.
    """

    def __init__(self, steps: Floats) -> None:
        self.steps = steps
        self.known: dict[tuple[str, int], Any] = {}
        """What was found already and may be asked for again, by what it is and w."""

    @cached_property
    def missing(self) -> Bools | None:
        """Where values are missing [n, C]; None if nowhere."""
        gone: Bools = np.isnan(self.steps)
        return gone if gone.any() else None

    def sums(self, w: int) -> Floats:
        """Sum the values that are there, [n, C]."""
        return _difference(self._running, w)

    def squares(self, w: int) -> Floats:
        """Sum their squares, [n, C]."""
        return _difference(self._running_squares, w)

    def counts(self, w: int) -> Floats:
        """Count them, [n, C] or [n, 1] where none is missing."""
        if self._running_counts is None:
            return np.asarray(np.minimum(np.arange(1.0, len(self.steps) + 1.0), float(w)))[:, None]
        return _difference(self._running_counts, w)

    def highest(self, w: int) -> Floats:
        """Give the largest value, [n, C]; -inf where none is there."""
        return self._extreme(w, np.maximum, -np.inf)

    def lowest(self, w: int) -> Floats:
        """Give the smallest value, [n, C]; inf where none is there."""
        return self._extreme(w, np.minimum, np.inf)

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


def _difference(running: Floats, w: int) -> Floats:
    found = running.copy()
    found[w:] -= running[:-w]
    return found

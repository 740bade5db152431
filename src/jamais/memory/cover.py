"""Which rows stand for everything seen so far, when only so many may be kept?

An online cover: a row within `radius` of a kept exemplar raises its count, any other row is kept itself.
When the memory is full the radius grows and exemplars within it melt together. Rare normal behaviour thus
stays (a uniform sample would forget it), and one pass is enough.
"""

from __future__ import annotations

import numpy as np

from jamais.errors import SettingsError
from jamais.memory.kept.covering import Covering, Moves
from jamais.memory.kept.exemplars import Exemplars
from jamais.memory.nearest import smallest_gaps

_GROWTH = 1.15  # of the radius each time the memory is full, within these bounds:
_LEAST_REACH = 0.02  # of the exemplars must have a neighbour in reach, or a wide memory would regrow per row
_MOST_REACH = 0.10  # in many dimensions all distances are alike, and 15 % more would melt nearly everything


class CoverMemory(Covering):
    """Keep at most `capacity` rows that cover all rows added, with counts and times.

    `radius` 0 keeps every distinct row until the memory is full. `max_bytes` bounds it by bytes instead of rows.
    Merging adds counts up exactly, and the radius is at least the larger of the two.
    """

    def __init__(self, capacity: int | None = None, radius: float = 0.0, *, max_bytes: int | str | None = None) -> None:
        super().__init__(capacity, max_bytes)
        if not 0.0 <= radius < np.inf:
            raise SettingsError(f"CoverMemory wants radius >= 0, got {radius}")
        self.radius = float(radius)

    def _make_room(self) -> Moves:
        """Grow the radius and melt exemplars together."""
        rising = np.sort(smallest_gaps(self.rows))
        least, most = rising[int(_LEAST_REACH * len(rising))], rising[int(_MOST_REACH * len(rising))]
        return self._melt(float(min(max(self.radius * _GROWTH, least), most)))

    def _melt(self, radius: float) -> Moves:
        """Set the radius and cover the exemplars that have another in reach anew."""
        old = self._kept
        gaps = smallest_gaps(old.rows[: old.size]) if old.size > 1 else np.full(old.size, np.inf)
        self.radius = radius
        # Whoever is in reach of another has it in its own reach, so only these have to be covered anew.
        close = np.flatnonzero(gaps <= radius)
        if not len(close):
            return {}
        part = CoverMemory(max(2, len(close)), radius)
        batch = old.take(close)
        part._begin(batch)
        given = part._take_in(batch)
        self._replace(Exemplars.joined(old.take(np.flatnonzero(gaps > radius)), part._kept))
        return {int(a): int(b) for a, b in zip(old.ids[close], given, strict=True) if a != b}

    def _reach_out(self, radius: float) -> None:
        self._melt(radius)

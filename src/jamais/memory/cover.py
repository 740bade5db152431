"""Which rows stand for everything seen so far, when only so many may be kept?

An online cover: a row in reach of the nearest exemplar raises its count, any other row is kept itself. When the
memory is full the radius grows and exemplars in reach of another join it. Rare normal behaviour thus stays (a
uniform sample would forget it), and one pass is enough.
"""

from __future__ import annotations

import numpy as np

from jamais.errors import SettingsError
from jamais.memory.kept.covering import RIPE, Covering, Moves
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints

_GROWTH = 1.15  # of the radius each time the memory is full, within these bounds:
_LEAST_REACH = 0.02  # of the exemplars must be in reach of another, or a wide memory would regrow per row
_MOST_REACH = 0.10  # in many dimensions all distances are alike, and 15 % more would melt nearly everything


class CoverMemory(Covering):
    """Keep at most `capacity` rows that cover all rows added, with counts and times.

    An exemplar stands for rows within `radius`, and within 1.3 times that once it stands for 5 rows. Radius 0 keeps
    every distinct row until the memory is full. `max_bytes` bounds it by bytes instead of rows. Merging adds counts
    up exactly; the radius becomes at least the larger of the two, and rows stay within twice the reach of one pass.
    """

    farther = 1.3

    def __init__(self, capacity: int | None = None, radius: float = 0.0, *, max_bytes: int | str | None = None) -> None:
        super().__init__(capacity, max_bytes)
        if not 0.0 <= radius < np.inf:
            raise SettingsError(f"CoverMemory wants radius >= 0, got {radius}")
        self.radius = float(radius)

    def _make_room(self) -> Moves:
        """Grow the radius and melt exemplars together."""
        needed, nearest = self._needed()
        rising = np.sort(needed)
        least, most = rising[int(_LEAST_REACH * len(rising))], rising[int(_MOST_REACH * len(rising))]
        self.radius = max(self.radius, float(min(max(self.radius * _GROWTH, least), most)))
        return self._melt(needed, nearest)

    def _reach_out(self, radius: float) -> None:
        self.radius = radius
        if self._kept.size > 1:
            self._melt(*self._needed())

    def _needed(self) -> tuple[Floats, Ints]:
        """Return for each exemplar the radius [m] at which the nearest other one reaches it, and its slot [m]."""
        distances, slots = NearestRows(self.rows).nearest(self.rows, 2)
        gaps, nearest = distances[:, 1], slots[:, 1]  # the first is the exemplar itself: all are different
        return gaps / np.where(self.counts[nearest] >= RIPE, self.farther, 1.0), nearest

    def _melt(self, needed: Floats, nearest: Ints) -> Moves:
        """Let exemplars join the nearest other one that reaches them: the closest first, the lighter of two."""
        old = self._kept
        moves: dict[int, int] = {}
        joined: set[int] = set()
        for slot in np.lexsort((self.counts, needed)).tolist():
            if needed[slot] > self.radius:
                break
            target = int(nearest[slot])
            if slot not in joined and target not in moves:
                moves[slot] = target
                joined.add(target)
        if not moves:
            return {}
        leaving, staying = (np.array(slots, dtype=np.int64) for slots in (list(moves), list(moves.values())))
        kept = old.take(np.arange(old.size))
        kept.add_to(staying, old, leaving)
        gone = np.zeros(old.size, dtype=np.bool_)
        gone[leaving] = True
        self._replace(kept.without(gone))
        return dict(zip(old.ids[leaving].tolist(), old.ids[staying].tolist(), strict=True))

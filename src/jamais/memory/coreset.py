"""Which rows cover everything seen so far best, when the memory is chosen anew each time it is full?"""

from __future__ import annotations

import numpy as np

from jamais.memory.kept.covering import Covering, Moves
from jamais.memory.nearest import NearestRows
from jamais.types import Bools, Floats

_LEAVE = 16  # one in so many exemplars leaves when the memory is full


class CoresetMemory(Covering):
    """Keep k centres: when full, one in 16 leaves; each that stays is the farthest from those chosen before it.

    The greedy choice covers within twice the smallest radius possible (Gonzalez, Theoretical Computer Science,
    1985); counts move to the nearest centre, and rows within the largest move join a centre at once. Choosing
    takes `capacity²` steps, so prefer `CoverMemory` beyond some thousand rows. Merging adds counts up exactly.
    """

    def __init__(self, capacity: int | None = None, *, max_bytes: int | str | None = None) -> None:
        super().__init__(capacity, max_bytes)

    def _make_room(self) -> Moves:
        stays = _farthest_first(
            self.rows.astype(np.float64), int(self.counts.argmax()), self._kept.size - self._leaving()
        )
        return self._let_go(np.flatnonzero(~stays).tolist())

    def _reach_out(self, radius: float) -> None:
        """Rows within `radius` join from now on; those kept already stay."""
        self.radius = radius

    def _leaving(self) -> int:
        return max(1, self._kept.size // _LEAVE)

    def _let_go(self, leaving: list[int]) -> Moves:
        old = self._kept
        gone = np.zeros(old.size, dtype=np.bool_)
        gone[leaving] = True
        kept = old.take(np.flatnonzero(~gone))
        distances, nearest = NearestRows(kept.rows).nearest(old.rows[leaving], 1)
        kept.add_to(nearest[:, 0], old, np.array(leaving))
        self.radius = max(self.radius, float(distances.max()))
        self._replace(kept)
        return dict(zip(old.ids[leaving].tolist(), kept.ids[nearest[:, 0]].tolist(), strict=True))


def _farthest_first(rows: Floats, first: int, n: int) -> Bools:
    """Mark [m] `n` of the different `rows` [m, width], each the farthest from those before it, from `first` on."""
    chosen = np.zeros(len(rows), dtype=np.bool_)
    norms = np.add.reduce(rows * rows, axis=1)
    squares = np.full(len(rows), np.inf)
    one = first
    for _ in range(n):
        chosen[one] = True
        np.minimum(squares, norms - 2.0 * (rows @ rows[one]) + norms[one], out=squares)
        squares[one] = -np.inf
        one = int(squares.argmax())
    return chosen

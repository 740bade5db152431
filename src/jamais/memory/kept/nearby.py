"""Which kept row is nearest to each of these, while more are being kept?"""

from __future__ import annotations

import numpy as np

from jamais.memory.kept.exemplars import Exemplars
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, Vectors

_LATE = 64  # rows kept since the large search was made, before it is made anew (or an eighth of its own, if more)


class Nearby:
    """Exact search through kept rows; it follows rows that are appended, not such that are removed."""

    def __init__(self) -> None:
        self._rows: Vectors = np.empty((0, 1), dtype=np.float32)
        self._index = self._late = NearestRows(self._rows)
        self._size = 0

    @property
    def n_bytes(self) -> int:
        return self._index.n_bytes + self._late.n_bytes

    def nearest(self, kept: Exemplars, rows: Vectors) -> tuple[Floats, Ints]:
        """Return distance [n] and slot [n] of the kept row nearest to each of `rows`; ties go to the lower slot.

        Where nothing is kept, all distances are infinite.
        """
        if not kept.size or not len(rows):
            return np.full(len(rows), np.inf), np.full(len(rows), -1)
        self._follow(kept)
        distances, slots = self._index.nearest(rows, 1)
        if len(self._late):
            closer, late = self._late.nearest(rows, 1)
            nearer = closer < distances
            distances, slots = np.where(nearer, closer, distances), np.where(nearer, late + len(self._index), slots)
        return distances[:, 0], slots[:, 0]

    def _follow(self, kept: Exemplars) -> None:
        n = len(self._index)
        if kept.size - n > max(_LATE, n // 8) or self._rows is not kept.rows:
            self._rows = kept.rows
            self._index = NearestRows(kept.rows[: kept.size])
            self._late = NearestRows(kept.rows[:0])
        elif kept.size != self._size:
            self._late = NearestRows(kept.rows[n : kept.size])
        self._size = kept.size

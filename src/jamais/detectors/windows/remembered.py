"""Which windows of normal life are remembered, as they were?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.memory.sample import priorities_of
from jamais.types import Floats, Ints, StateTree

Steps16 = NDArray[np.int16]
MISSING = np.iinfo(np.int16).min
KEPT = np.iinfo(np.uint64).max
"""Priority of windows that are kept whatever is drawn."""


class Remembered(NamedTuple):
    """Some windows [m, past, C] in steps of the grid, the rows of history [m] at which they end, and who drew them.

    A uniform sample of all windows by bottom-k priorities (see `memory.sample`), and windows kept beside it.
    """

    windows: Steps16
    ends: Ints
    priorities: NDArray[np.uint64]

    @classmethod
    def none(cls, past: int, channels: int) -> Remembered:
        return cls(np.empty((0, past, channels), np.int16), np.empty(0, np.int64), np.empty(0, np.uint64))

    def __bool__(self) -> bool:
        return bool(len(self.ends))

    @property
    def is_drawn(self) -> NDArray[np.bool_]:
        return np.asarray(self.priorities != KEPT)

    def drawn(self, steps: Floats, first: int, history: int, capacity: int, seed: int) -> Remembered:
        """Let the windows that end at rows `first`… of `steps` draw for a place among `capacity`.

        `history` numbers row `first`. Which stay does not depend on how rows come in pieces.
        """
        rows = np.arange(first, len(steps))
        priorities = priorities_of(rows - first + history, seed)
        mine = self.priorities[self.is_drawn]
        if len(mine) == capacity:
            better = priorities < mine.max()
            rows, priorities = rows[better], priorities[better]
        if len(rows) > capacity:
            best = np.sort(np.argpartition(priorities, capacity - 1)[:capacity])
            rows, priorities = rows[best], priorities[best]
        if not len(rows):
            return self
        joined = self._with(steps, rows, rows - first + history, priorities)
        if int(joined.is_drawn.sum()) <= capacity:
            return joined
        lowest = np.argsort(joined.priorities, kind="stable")[:capacity]  # those kept have the highest of all
        return joined.at(np.sort(np.concatenate([lowest, np.flatnonzero(~joined.is_drawn)])))

    def kept(self, steps: Floats, rows: Ints, ends: Ints, capacity: int) -> Remembered:
        """Keep the windows that end at some `rows` of `steps`, too; of those kept so the oldest go first."""
        joined = self._with(steps, rows, ends, np.full(len(rows), KEPT))
        beside = np.flatnonzero(~joined.is_drawn)
        gone = beside[: max(0, len(beside) - capacity)]
        return joined.at(np.setdiff1d(np.arange(len(joined.ends)), gone))

    def at(self, slots: Ints) -> Remembered:
        return Remembered(self.windows[slots], self.ends[slots], self.priorities[slots])

    def steps(self) -> Floats:
        """Give the windows one after the other, [m * past, C], NaN where a value was missing."""
        flat = self.windows.reshape(-1, self.windows.shape[2]).astype(np.float64)
        flat[flat == MISSING] = np.nan
        return flat

    def _with(self, steps: Floats, rows: Ints, ends: Ints, priorities: NDArray[np.uint64]) -> Remembered:
        windows = cut(steps, rows, self.windows.shape[1])
        return Remembered(
            np.concatenate([self.windows, windows]),
            np.concatenate([self.ends, ends]),
            np.concatenate([self.priorities, priorities.astype(np.uint64)]),
        )

    def state_dict(self) -> StateTree:
        return {"windows": self.windows, "ends": self.ends, "priorities": self.priorities}

    @classmethod
    def of_state(cls, tree: StateTree, past: int, channels: int) -> Remembered:
        windows, ends, priorities = (np.asarray(tree[name]) for name in ("windows", "ends", "priorities"))
        m = len(ends)
        fits = windows.shape == (m, past, channels) and windows.dtype == np.int16 and priorities.shape == (m,)
        if not fits or ends.dtype != np.int64 or priorities.dtype != np.uint64:
            raise CorruptStateError(
                f"remembered windows {windows.shape} {windows.dtype} do not fit [{m}, {past}, {channels}] int16: load "
                "another version"
            )
        return cls(windows.copy(), ends.copy(), priorities.copy())


def cut(steps: Floats, rows: Ints, past: int) -> Steps16:
    """Cut the windows of `past` rows that end at `rows` [m]; rows before the first are missing."""
    windows = np.full((len(rows), past, steps.shape[1]), MISSING, dtype=np.int16)
    for at, row in enumerate(rows.tolist()):
        piece = steps[max(0, row + 1 - past) : row + 1]
        windows[at, past - len(piece) :] = np.where(np.isnan(piece), MISSING, piece)
    return windows

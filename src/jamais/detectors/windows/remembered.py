"""Which windows of normal life are remembered, as they were?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.memory.sample import priorities_of
from jamais.types import Floats, Ints, StateTree

Steps16 = NDArray[np.int16]
Priorities = NDArray[np.uint64]
MISSING = np.iinfo(np.int16).min
KEPT = np.iinfo(np.uint64).max
"""Priority of windows that are kept whatever is drawn."""


class Remembered(NamedTuple):
    """Some windows [m, past, C] in steps of the grid, the rows of history [m] at which they end, and who drew them.

    A uniform sample of the windows that are not much the same, by bottom-k priorities (see `memory.sample`), and
    windows kept beside it.
    """

    windows: Steps16
    ends: Ints
    priorities: Priorities
    stands: Ints
    """[m] of the windows that were drawn, how many each stands for, itself included."""

    @classmethod
    def none(cls, past: int, channels: int) -> Remembered:
        ends = np.empty(0, np.int64)
        return cls(np.empty((0, past, channels), np.int16), ends, np.empty(0, np.uint64), ends)

    def __bool__(self) -> bool:
        return bool(len(self.ends))

    @property
    def is_drawn(self) -> NDArray[np.bool_]:
        return np.asarray(self.priorities != KEPT)

    def joined(self, steps: Floats, rows: Ints, ends: Ints, priorities: Priorities, stands: Ints) -> Remembered:
        """Remember the windows that end at `rows` of `steps`, too."""
        return Remembered(
            np.concatenate([self.windows, cut(steps, rows, self.windows.shape[1])]),
            np.concatenate([self.ends, ends]),
            np.concatenate([self.priorities, priorities.astype(np.uint64)]),
            np.concatenate([self.stands, stands]),
        )

    def kept(self, steps: Floats, rows: Ints, ends: Ints, capacity: int, stands: int) -> Remembered:
        """Keep the windows that end at some `rows` of `steps`, too; of those kept so the oldest go first."""
        joined = self.joined(steps, rows, ends, np.full(len(rows), KEPT), np.full(len(rows), stands))
        beside = np.flatnonzero(~joined.is_drawn)
        gone = beside[: max(0, len(beside) - capacity)]
        return joined.at(np.setdiff1d(np.arange(len(joined.ends)), gone))

    def lowest(self, capacity: int) -> Remembered:
        """Let go of drawn windows with the highest priorities until `capacity` of them are left."""
        mine = np.flatnonzero(self.is_drawn)
        gone = mine[np.argsort(self.priorities[mine], kind="stable")[capacity:]]
        return self.at(np.setdiff1d(np.arange(len(self.ends)), gone))

    def at(self, slots: Ints) -> Remembered:
        return Remembered(self.windows[slots], self.ends[slots], self.priorities[slots], self.stands[slots])

    def steps(self) -> Floats:
        """Give the windows one after the other, [m * past, C], NaN where a value was missing."""
        flat = self.windows.reshape(-1, self.windows.shape[2]).astype(np.float64)
        flat[flat == MISSING] = np.nan
        return flat

    def state_dict(self) -> StateTree:
        return {name: getattr(self, name) for name in self._fields}

    @classmethod
    def of_state(cls, tree: StateTree, past: int, channels: int) -> Remembered:
        windows, ends, priorities, stands = (np.asarray(tree[name]) for name in cls._fields)
        m = len(ends)
        fits = windows.shape == (m, past, channels) and windows.dtype == np.int16
        fits = fits and ends.dtype == stands.dtype == np.int64 and priorities.dtype == np.uint64
        if not fits or priorities.shape != (m,) or stands.shape != (m,) or (stands < 1).any():
            raise CorruptStateError(
                f"remembered windows {windows.shape} {windows.dtype} do not fit [{m}, {past}, {channels}] int16: load "
                "another version"
            )
        return cls(windows.copy(), ends.copy(), priorities.copy(), stands.copy())


def candidates(first: int, stop: int, history: int, most: int, seed: int) -> tuple[Ints, Priorities]:
    """Draw some of the rows `first` to `stop`, which history numbers from `history` on: as if all of history drew for
    `most` places. Gives rows and priorities, the lowest first."""
    rows = np.arange(first, stop)
    priorities = priorities_of(rows - first + history, seed)
    if history == 0 and len(rows) > most:
        best = np.argpartition(priorities, most - 1)[:most]
        rows, priorities = rows[best], priorities[best]
    elif history:
        share = min(1.0, most / (history + len(rows)))
        lucky = priorities <= np.uint64(share * (2.0**64 - 2048))
        rows, priorities = rows[lucky], priorities[lucky]
    order = np.argsort(priorities, kind="stable")
    return rows[order], priorities[order]


def cut(steps: Floats, rows: Ints, past: int) -> Steps16:
    """Cut the windows of `past` rows that end at `rows` [m]; rows before the first are missing."""
    windows = np.full((len(rows), past, steps.shape[1]), MISSING, dtype=np.int16)
    for at, row in enumerate(rows.tolist()):
        piece = steps[max(0, row + 1 - past) : row + 1]
        windows[at, past - len(piece) :] = np.where(np.isnan(piece), MISSING, piece)
    return windows

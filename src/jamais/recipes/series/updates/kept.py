"""Which stretches of normal life are kept, to see what an update does to their verdicts?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Floats, StateTree, Vectors

if TYPE_CHECKING:
    from jamais.detectors.windows import WindowBanks

OF_FIT = 8
"""Stretches of the fit data, evenly spread."""
OF_UPDATES = 8
"""And of what was learned since, one each; the oldest goes first."""
ROWS = 128
"""Rows of a stretch whose verdicts are compared."""


class Kept:
    """Stretches of real rows [past + ROWS, channels], float32; they are scored anew before and after an update."""

    def __init__(self, channels: int, past: int) -> None:
        self.channels, self.past = channels, past
        self.of_fit: list[Vectors] = []
        self.of_updates: list[Vectors] = []

    @property
    def length(self) -> int:
        return self.past + ROWS

    def begin(self, values: Floats) -> None:
        """Keep stretches of the fit data [n, channels]."""
        n = max(1, min(OF_FIT, len(values) // self.length))
        starts = np.linspace(0, max(0, len(values) - self.length), n).astype(np.int64).tolist()
        self.of_fit = [values[start : start + self.length].astype(np.float32) for start in starts]

    def add(self, values: Floats) -> None:
        """Keep one stretch, the newest, of what an update learned."""
        self.of_updates = [*self.of_updates, values[-self.length :].astype(np.float32)][-OF_UPDATES:]

    def scores(self, banks: WindowBanks) -> Floats:
        """Score the rows [m] of all stretches but those before them, causally."""
        found = [np.empty(0)]
        for piece in (*self.of_fit, *self.of_updates):
            first = min(self.past, len(piece) // 2)
            scores = np.asarray(banks.look(piece.astype(np.float64), first).score)
            found.append(np.where(np.isnan(piece[first:]).all(axis=1), 0.0, scores))
        return np.concatenate(found)

    def windows(self, banks: WindowBanks) -> Vectors:
        """Give some of the windows [m, width] in them, as places."""
        found = []
        for piece in (*self.of_fit, *self.of_updates):
            rows = np.arange(min(self.past, len(piece) - 1), len(piece), 16)
            found.append(banks.places(piece.astype(np.float64), rows))
        return np.concatenate(found)

    def copy(self) -> Kept:
        new = Kept(self.channels, self.past)
        new.of_fit, new.of_updates = list(self.of_fit), list(self.of_updates)
        return new

    def state_dict(self) -> StateTree:
        pieces = [*self.of_fit, *self.of_updates]
        return {
            "rows": np.concatenate([np.empty((0, self.channels), dtype=np.float32), *pieces]),
            "lengths": [len(piece) for piece in pieces],
            "of_fit": len(self.of_fit),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        rows, lengths = np.asarray(tree["rows"], dtype=np.float32), [int(one) for one in tree["lengths"]]
        if rows.shape != (sum(lengths), self.channels):
            raise CorruptStateError("kept stretches of the series and their lengths do not fit together")
        pieces = [part.copy() for part in np.split(rows, np.cumsum(lengths)[:-1])] if lengths else []
        n = int(tree["of_fit"])
        self.of_fit, self.of_updates = pieces[:n], pieces[n:]

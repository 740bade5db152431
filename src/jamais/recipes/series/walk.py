"""How does a series pass by: which rows can be judged now, and what must be kept of those before them?"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from jamais.errors import StateError
from jamais.sources.series import SeriesBlock
from jamais.types import NO_TIME, Bools, Floats, Ints, StateTree


@dataclass(frozen=True)
class Seen:
    """Rows first … last of a stretch of a series, with what came before, and with hindsight after, them."""

    values: Floats
    """The whole stretch [n, channels], NaN = missing."""
    first: int
    last: int
    rows: Ints
    """Numbers of the rows first … last [m]; -1 = an empty one that was put in."""
    times: Ints
    """Their times [m]."""
    at: int
    """How many rows, empty ones included, passed by before the first of them."""

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def missing(self) -> Bools:
        """Say of each of the rows [m] whether all of its values are missing."""
        return np.asarray(np.isnan(self.values[self.first : self.last]).all(axis=1))


class Walk:
    """Takes blocks, keeps `past` rows of context, and holds rows back until `ahead` rows have followed them."""

    def __init__(self, channels: int, past: int, ahead: int = 0) -> None:
        self.past, self.ahead = past, ahead
        self._values: Floats = np.empty((0, channels))
        self._rows: Ints = np.empty(0, dtype=np.int64)
        self._times: Ints = np.empty(0, dtype=np.int64)
        self._first = 0
        """Rows held that were given out already."""
        self._at = 0

    def push(self, block: SeriesBlock) -> Seen | None:
        """Take more rows; give those that may be judged now."""
        self._values = np.concatenate([self._values, block.values])
        self._rows = np.concatenate([self._rows, block.rows])
        self._times = np.concatenate([self._times, block.times])
        return self._given(len(self._rows) - self.ahead)

    def flush(self) -> Seen | None:
        """Give what was held back: nothing follows it."""
        return self._given(len(self._rows))

    def state_dict(self) -> StateTree:
        """Give, as JSON values, all that is needed to go on exactly; values bit for bit."""
        return {
            "values": base64.b64encode(np.ascontiguousarray(self._values).tobytes()).decode(),
            "rows": self._rows.tolist(),
            "times": [None if time == NO_TIME else time for time in self._times.tolist()],
            "first": self._first,
            "at": self._at,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        values = np.frombuffer(base64.b64decode(tree["values"]), dtype=np.float64)
        rows = np.array(tree["rows"], dtype=np.int64)
        if values.size != len(rows) * self._values.shape[1] or len(rows) != len(tree["times"]):
            raise StateError("this place in a series is of a watcher with other channels: begin anew")
        self._values = values.reshape(len(rows), -1).copy() if len(rows) else self._values[:0]
        self._rows = rows
        self._times = np.array([NO_TIME if time is None else time for time in tree["times"]], dtype=np.int64)
        self._first, self._at = int(tree["first"]), int(tree["at"])

    def _given(self, last: int) -> Seen | None:
        first = self._first
        if last <= first:
            return None
        seen = Seen(self._values, first, last, self._rows[first:last], self._times[first:last], self._at)
        start = max(0, last - self.past)
        self._values, self._rows = self._values[start:], self._rows[start:]
        self._times = self._times[start:]
        self._first, self._at = last - start, self._at + last - first
        return seen

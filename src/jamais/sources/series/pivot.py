"""How do lines of (time, name, value) become rows, when the next stamp says that a row is over?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from jamais.sources.series.block import Piece, no_piece
from jamais.types import NO_TIME, Bools, Floats, Ints


class Pivot:
    """Gather the values of one stamp in one row. The last row is held back: more of it may come."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self._channels = channels
        self._codes = {name: i for i, name in enumerate(channels)}
        self._open = False
        self._time = NO_TIME
        self._row = np.full(len(channels), np.nan)
        self._given = np.zeros(len(channels), np.bool_)

    def put(self, times: Ints, names: pl.Series, values: Floats, counts: Counter[str]) -> Piece:
        """Take lines [n]; give the rows that are over. Of a name that stands twice in one row the last value counts."""
        codes = names.replace_strict(self._codes, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
        begins = np.concatenate([[not self._open or times[0] != self._time], times[1:] != times[:-1]])
        # rows 1, 2, … begin here; row 0 goes on from before
        owner = np.cumsum(begins)
        n_rows = int(owner[-1]) + 1
        rows = np.full((n_rows, len(self._channels)), np.nan)
        given = np.zeros((n_rows, len(self._channels)), np.bool_)
        stamps = np.full(n_rows, NO_TIME, np.int64)
        rows[0], given[0], stamps[0] = self._row, self._given, self._time
        stamps[owner[begins]] = times[begins]
        known = codes >= 0
        counts["lines of new channels"] += int((~known).sum())
        counts["values given twice for one stamp"] += self._twice(owner[known], codes[known], given)
        rows[owner[known], codes[known]] = values[known]
        given[owner[known], codes[known]] = True
        first = 0 if self._open else 1
        self._open, self._time, self._row, self._given = True, int(stamps[-1]), rows[-1].copy(), given[-1].copy()
        return Piece(stamps[first:-1], rows[first:-1])

    def flush(self) -> Piece:
        """Give the row that is held back."""
        if not self._open:
            return no_piece(len(self._channels))
        row = Piece(np.array([self._time]), self._row[None, :].copy())
        self._open, self._row = False, np.full(len(self._channels), np.nan)
        self._given = np.zeros(len(self._channels), np.bool_)
        return row

    def state_dict(self) -> dict[str, Any]:
        row = [None if np.isnan(one) else float(one) for one in self._row]
        return {"open": self._open, "time": int(self._time), "row": row, "given": self._given.tolist()}

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self._open, self._time = bool(tree["open"]), int(tree["time"])
        self._row = np.array([np.nan if one is None else float(one) for one in tree["row"]], np.float64)
        self._given = np.array(tree["given"], np.bool_)

    def _twice(self, owner: Ints, codes: Ints, given: Bools) -> int:
        cells = owner * max(len(self._channels), 1) + codes
        n_new = len(np.unique(cells))
        before = int(given[0].ravel()[codes[owner == 0]].any()) and len(
            np.intersect1d(np.flatnonzero(given[0]), codes[owner == 0])
        )
        return len(cells) - n_new + int(before)

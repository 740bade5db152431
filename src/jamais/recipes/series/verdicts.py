"""How are judged rows written as frames?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.recipes.series.alarms import words
from jamais.recipes.series.alarms.segments import Placed
from jamais.recipes.series.judging import Judged, items
from jamais.recipes.series.walk import Seen
from jamais.types import NO_TIME, Ints, Vectors

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

NO_VALUES = "no values"
_SCHEMA: dict[str, Any] = {
    "row": pl.Int64,
    "time": pl.Datetime("us", "UTC"),
    "score": pl.Float64,
    "p_value": pl.Float64,
    "p_extrapolated": pl.Boolean,
    "abnormal": pl.Boolean,
    "why": pl.String,
    "item": pl.String,
    "cause": pl.String,
    "channels": pl.List(pl.String),
    "shares": pl.List(pl.Float64),
    "nearest": pl.Int64,
    "segment_start": pl.Int64,
    "segment_rows": pl.Int64,
    "segment_seconds": pl.Float64,
    "window": pl.List(pl.Float64),
}
_OF_ALARMS = ("channels", "shares", "nearest", "segment_start", "segment_rows", "segment_seconds", "window")


@dataclass(frozen=True)
class Alarm:
    """What is known of a row that alarms, beside its score."""

    at: int
    """Its place among the rows judged together."""
    placed: Placed
    cause: str
    channels: list[str]
    """The most responsible first."""
    shares: list[float]
    """Of each of them; those of all channels add up to 1."""
    nearest: int
    """Row of what was learned at which the window most like it ends, -1 where none is known."""
    window: Vectors | None
    why: str


class Verdicts:
    """Writes judged rows as frames."""

    def __init__(self, recipe: SeriesRecipe) -> None:
        self.recipe = recipe

    def items(self, seen: Seen) -> list[str]:
        """Name rows [m] by their windows."""
        return items(seen, self.recipe.banks.past)

    def frame(self, of: Judged, alarms: list[Alarm], names: list[str]) -> pl.DataFrame:
        """Give the verdicts of rows that came; of an empty one that was put in there is none."""
        n = len(names)
        why, causes = [""] * n, list(names)
        for at in np.flatnonzero(of.missing).tolist():
            why[at] = NO_VALUES
        for at, cause in of.answered.items():
            causes[at], why[at] = cause, words.answered(self.recipe, cause)
        for alarm in alarms:
            causes[alarm.at], why[alarm.at] = alarm.cause, alarm.why
        rows = of.seen.rows
        columns = [
            pl.Series("row", rows),
            _times(of.seen.times),
            pl.Series("score", of.score),
            pl.Series("p_value", of.p_value),
            pl.Series("p_extrapolated", of.extrapolated),
            pl.Series("abnormal", of.abnormal),
            pl.Series("why", why, dtype=pl.String),
            pl.Series("item", names, dtype=pl.String),
            pl.Series("cause", causes, dtype=pl.String),
            *self._of_alarms(alarms, n),
        ]
        frame = pl.DataFrame(columns)
        return frame if (rows >= 0).all() else frame.filter(pl.Series(rows >= 0))

    def empty(self) -> pl.DataFrame:
        """Give a frame of no rows."""
        return self._empty.clone()

    def _of_alarms(self, alarms: list[Alarm], n: int) -> list[pl.Series]:
        """Give the columns that only alarms fill, [n] each."""
        if not alarms:
            return [column.new_from_index(0, n) for column in self._nothing]
        filled: dict[str, list[Any]] = {name: [None] * n for name in _OF_ALARMS}
        for alarm in alarms:
            _fill(filled, alarm)
        return [pl.Series(name, values, dtype=_SCHEMA[name]) for name, values in filled.items()]

    @cached_property
    def _nothing(self) -> list[pl.Series]:
        return [pl.Series(name, [None], dtype=_SCHEMA[name]) for name in _OF_ALARMS]

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=_SCHEMA)


def _times(times: Ints) -> pl.Series:
    """Give times [n] as a column; rows without one have none."""
    known = times != NO_TIME
    if known.all():
        return pl.Series("time", times).cast(_SCHEMA["time"])
    return pl.Series(
        "time",
        [one if is_known else None for one, is_known in zip(times.tolist(), known.tolist(), strict=True)],
        dtype=pl.Int64,
    ).cast(_SCHEMA["time"])


def _fill(columns: dict[str, list[Any]], alarm: Alarm) -> None:
    """Write what only alarms have."""
    placed = alarm.placed
    told = {
        "channels": alarm.channels,
        "shares": alarm.shares,
        "nearest": alarm.nearest if alarm.nearest >= 0 else None,
        "segment_start": placed.start,
        "segment_rows": placed.row - placed.start + 1,
        "segment_seconds": placed.seconds,
        # Four digits, so that records stay short: windows are compared, not counted.
        "window": None if alarm.window is None else alarm.window.astype(np.float64).round(4).tolist(),
    }
    for name, value in told.items():
        columns[name][alarm.at] = value

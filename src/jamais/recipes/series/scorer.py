"""From rows to verdicts: one pass that changes nothing it was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.learning.answers.leaders import Leaders
from jamais.memory.nearest import squared_differences
from jamais.recipes.series.alarms import words
from jamais.recipes.series.alarms.segments import Placed, Segments
from jamais.recipes.series.judging import Going, Judged, judged
from jamais.recipes.series.verdicts import Alarm, Verdicts
from jamais.recipes.series.walk import Seen, Walk
from jamais.sources.series import SeriesBlock
from jamais.types import Floats, Ints, StateTree, Vectors

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

MET = 64
"""Anomalies of one pass whose like are known again; later ones are causes of their own."""


ALIKE = 1.5
"""Times the reach within which a window of a segment tells too little that the last one kept did not."""
TOGETHER = 32


class SeriesScorer:
    """Judges rows as they come, joins alarms to segments; owns the last rows and the anomalies met on the way."""

    def __init__(self, recipe: SeriesRecipe) -> None:
        self.recipe = recipe
        self.hindsight = bool(recipe.settings.hindsight)
        self.verdicts = Verdicts(recipe)
        banks = recipe.banks
        self._walk = Walk(banks.channels, banks.past, banks.ahead if self.hindsight else 0)
        self._going = Going()
        self._segments = Segments(recipe.settings.segments.calm)
        self._waiting = Leaders(recipe.width, recipe.reach, recipe.settings.answers.causes)
        self._waiting.add(recipe.waiting.founders, list(recipe.waiting.groups))
        self._met = Leaders(recipe.width, recipe.reach, MET)

    def push(self, records: SeriesBlock) -> pl.DataFrame | None:
        """Score a block; give the verdicts that are decided by now, None of no rows."""
        return self._told(self._walk.push(records))

    def judge(self, seen: Seen) -> tuple[Judged, list[Alarm], list[str]]:
        """Judge rows; give what is known of them, of those that alarm, and their items."""
        of = judged(self.recipe, seen, self._going, hindsight=self.hindsight)
        names = self.verdicts.items(seen)
        return of, self._alarms(of, names), names

    def end(self, names: list[str]) -> pl.DataFrame | None:
        """Rows belong to no session that could end."""
        return None

    def tick(self, passed: int) -> pl.DataFrame | None:
        """A row that does not come is only missed when the next one does."""
        return None

    def flush(self) -> Iterator[pl.DataFrame]:
        """Decide what was held back."""
        frame = self._told(self._walk.flush())
        if frame is not None:
            yield frame

    def state_dict(self) -> StateTree:
        """Give, as JSON values, all that a scorer of the same version needs to go on exactly."""
        return {
            "walk": self._walk.state_dict(),
            "segments": self._segments.state_dict(),
            "met": self._met.state_dict(),
            "going": [self._going.cause, self._going.at],
        }

    def load_state_dict(self, tree: StateTree) -> None:
        self._walk.load_state_dict(tree["walk"])
        self._segments.load_state_dict(tree["segments"])
        self._met.load_state_dict(tree["met"])
        cause, at = tree["going"]
        self._going = Going(str(cause), int(at))

    def empty(self) -> pl.DataFrame:
        """Give a frame without rows."""
        return self.verdicts.empty()

    def _told(self, seen: Seen | None) -> pl.DataFrame | None:
        if seen is None:
            return None
        of, alarms, names = self.judge(seen)
        frame = self.verdicts.frame(of, alarms, names)
        return frame if len(frame) else None

    def _alarms(self, of: Judged, names: list[str]) -> list[Alarm]:
        """Place alarms in segments, name their causes and the channels they come from."""
        local = np.flatnonzero(of.abnormal)
        if not len(local):
            return []
        placed = self._segments.place(of.seen.at + local, of.seen.rows[local], of.seen.times[local])
        windows = _Windows(self.recipe, of.seen.values, local + of.seen.first)
        shares, ends = self.recipe.blamed(of.seen.values, local + of.seen.first)
        alarms = []
        for at, (row, one) in enumerate(zip(local.tolist(), placed, strict=True)):
            window = self._kept(one, windows, at)
            if window is not None and one.nth == 1:
                self._segments.cause = of.answered.get(row) or self._cause(window, names[row])
            alarms.append(self._alarm(row, one, shares[at], int(ends[at]), window))
        return alarms

    def _alarm(self, row: int, one: Placed, shares: Floats, nearest: int, window: Vectors | None) -> Alarm:
        """Say of an alarm which channels it comes from, and why it is one."""
        ranked = np.argsort(-shares, kind="stable")[: self.recipe.settings.segments.channels]
        ranked = ranked[shares[ranked] > 0]
        names, own = [self.recipe.channels[at] for at in ranked.tolist()], shares[ranked].tolist()
        cause = self._segments.cause
        why = words.why(self.recipe, names, own, nearest, cause)
        return Alarm(row, one, cause, names, own, nearest, window, why)

    def _kept(self, one: Placed, windows: _Windows, at: int) -> Vectors | None:
        """Give the window of an alarm if it goes with its verdict: that of the first, and what is unlike the last."""
        segment = self._segments
        if one.nth == 1:
            segment.n_kept = 0
        # Four to an octave: a long segment must not have spent its windows on its first minutes.
        step = 1 << max(0, one.nth.bit_length() - 3)
        if one.nth % step or segment.n_kept >= self.recipe.settings.segments.windows:
            return None
        window = windows[at]
        if segment.n_kept:
            gap = float(np.sqrt(squared_differences(window[None], segment.window[None]))[0])
            if gap <= ALIKE * self.recipe.reach:
                return None
        segment.n_kept, segment.window = segment.n_kept + 1, window
        return window

    def _cause(self, window: Vectors, name: str) -> str:
        """Name the cause of a segment by its first window: one that waits for an answer, one met before, or new."""
        (place,) = self._waiting.found(window[None]).tolist()
        return self._waiting.names[place] if place >= 0 else self._met.joined(window[None], [name])[0]


class _Windows:
    """Describes windows of alarms when they are asked for, those of neighbours together."""

    def __init__(self, recipe: SeriesRecipe, values: Floats, rows: Ints) -> None:
        self._recipe, self._values, self._rows = recipe, values, rows
        self._start, self._found = 0, np.empty((0, 0), dtype=np.float32)

    def __getitem__(self, at: int) -> Vectors:
        if not self._start <= at < self._start + len(self._found):
            self._start = at
            self._found = self._recipe.places(self._values, self._rows[at : at + TOGETHER])
        return np.asarray(self._found[at - self._start])

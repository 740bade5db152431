"""Which records of data that nobody vouched for look normal?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.errors import Cancelled
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.reading.learner import Learner
from jamais.recipes.logs.updates.before import Before
from jamais.types import Bools, CancelToken, Event, Listener

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe


class Sifter:
    """Scores data and keeps it encoded, so that what looked normal can be learned without reading twice."""

    def __init__(self, recipe: LogRecipe) -> None:
        self.before = Before(recipe)
        self.scorer = self.before.scorer
        self.learner = Learner(recipe.parser, recipe.slots, recipe.settings)
        self.recipe = recipe
        self._spans: list[tuple[int, int]] = []
        self._groups: set[str] = set()
        self._windows: list[int] = []

    def __enter__(self) -> Sifter:
        return self

    def __exit__(self, *error: object) -> None:
        self.learner.spool.close()

    def read(self, data: Any, listener: Listener, cancel: CancelToken | None) -> None:
        reader = self.recipe.batches(data)
        for records in reader:
            if cancel is not None and cancel.cancelled:
                raise Cancelled("cancelled while reading; nothing was changed")
            events = self.scorer.memo.codes(records.blob, records.raw, self.scorer.lexicon.resolver(records))
            self.learner.add(records, events)
            self._note(self.scorer.push(records))
            listener(Event("reading", reader.bytes_done, reader.bytes_total, {"records": self.scorer.n_records}))
        for frame in self.scorer.flush():
            self._note(frame)
        self.before.test()
        self.columns = self.learner.columns()
        self.facts = self.learner.facts
        self.normal = self._normal()

    def kept(self) -> Columns:
        """Give what looked normal; of windows of time also where the others stood, as one left out is not empty."""
        columns, normal = self.columns, self.normal
        if self.recipe.settings.window:
            return replace(columns, held=~normal, held_windows=tuple(self._windows))
        return Columns(columns.events[normal], columns.times[normal], columns.groups[normal], columns.group_names)

    def abnormal_items(self) -> Iterable[tuple[str, str, int, int]]:
        """List the unseen items among what was held back: id, text, count, last time."""
        events, times = np.asarray(self.columns.events)[~self.normal], np.asarray(self.columns.times)[~self.normal]
        lexicon = self.scorer.lexicon
        for event in np.unique(events).tolist():
            if event >= lexicon.n_known:
                chosen = events == event
                yield lexicon.ids[event], lexicon.texts[event], int(chosen.sum()), int(times[chosen].max())

    def _note(self, frame: pl.DataFrame | None) -> None:
        self.before.take(frame)
        if frame is None:
            return
        abnormal = frame.filter(pl.col("abnormal"))
        if self.recipe.settings.window:
            self._windows.extend(abnormal["row"].to_list())
        if "group" not in frame.columns or self.recipe.settings.window:
            first = "first_row" if "first_row" in frame.columns else "row"
            last = "last_row" if "last_row" in frame.columns else "row"
            self._spans.extend(zip(abnormal[first].to_list(), abnormal[last].to_list(), strict=True))
        else:
            self._groups.update(name for name in abnormal["group"].to_list() if name is not None)
            alone = abnormal.filter(pl.col("group").is_null())
            self._spans.extend(zip(alone["first_row"].to_list(), alone["last_row"].to_list(), strict=True))

    def _normal(self) -> Bools:
        """Say which records `[n]` lie in no abnormal row and follow a known template."""
        normal = np.asarray(self.columns.events) < self.scorer.lexicon.n_known
        for first, last in self._spans:
            normal[first : last + 1] = False
        bad = np.array([name.decode(errors="replace") in self._groups for name in self.columns.group_names], dtype=bool)
        groups = np.asarray(self.columns.groups)
        if len(bad):
            normal &= (groups < 0) | ~bad[groups]
        return normal

"""How does a recipe take in more: vouched-for data, unknown data, and answers of people?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.errors import Cancelled
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.reading.learner import Learner
from jamais.types import Bools, CancelToken, Check, Event, LearnReport, Listener

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe

MOST_CHANGED = 0.01
"""Share of what was normal, weighted by how often it came, that one update may turn abnormal."""


def learn_trusted(
    old: LogRecipe, new: LogRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let `new` learn all of `data`; refuse it if that breaks what is remembered."""
    known = old.n_templates()
    watched = {*old.confirmed.answers, *old.quarantine.items}
    with Learner(new.parser, new.slots, new.settings, watched, old.profile()) as learner:
        learner.read(data, listener, cancel)
        records = learner.facts.records
        if not records:
            return LearnReport(True, 0, {"new templates": 0})
        ids = learner.met | {new.parser.ids[event] for event in np.unique(learner.columns().events).tolist()}
        new.take(learner, 1.0)
    bad = sum(old.confirmed.is_abnormal(item) for item in ids)
    for item in ids:
        new.quarantine.release(item)
    checks = (
        Check("normal items that would now alarm (share)", changed_share(old, new), MOST_CHANGED),
        Check("items confirmed abnormal in this data", float(bad), 0.0),
        Check("vectors in memory", float(len(new.meaning.memory)), float(new.settings.memory.capacity)),
        Check("templates", float(new.n_templates()), float(new.settings.parsing.max_templates)),
    )
    counts = {"new templates": new.n_templates() - known, "templates": new.n_templates()}
    return LearnReport(all(check.passed for check in checks), records, counts, checks)


def changed_share(old: LogRecipe, new: LogRecipe) -> float:
    """Give the share of remembered normal life whose templates alarm in `new` though they did not in `old`."""
    n = len(old.unit.rarity.counts)
    if not n:
        return 0.0
    before = old.calibration.p_value(old.unit.rarity.nats(n))[0] > old.alarm_rate
    after = new.calibration.p_value(new.unit.rarity.nats(n))[0] <= new.alarm_rate
    canonical = new.parser.canonical()[:n]
    counts = old.unit.rarity.counts
    return float(counts[before & after[canonical]].sum() / max(counts.sum(), 1.0))


def learn_unknown(
    old: LogRecipe, new: LogRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let rows that look normal refresh counts and dates; the others wait in quarantine."""
    with Sifter(old) as sifted:
        sifted.read(data, listener, cancel)
        columns, normal = sifted.columns, sifted.normal
        new.refresh(sifted.kept(), sifted.facts)
        for item, text, count, time in sifted.abnormal_items():
            if item not in old.confirmed.answers:
                new.quarantine.add(item, text, count, time)
    counts = {
        "records that looked normal and were learned": int(normal.sum()),
        "records held back": int((~normal).sum()),
        "items in quarantine": len(new.quarantine),
    }
    return LearnReport(True, len(columns), counts)


class Sifter:
    """Scores data and keeps it encoded, so that what looked normal can be learned without reading twice."""

    def __init__(self, recipe: LogRecipe) -> None:
        self.scorer = recipe.scorer()
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

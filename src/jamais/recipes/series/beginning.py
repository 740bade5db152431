"""How is a recipe made from scratch: read the data once, hold what scales and calibration need, learn the rest?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jamais.detectors.windows import WindowBanks
from jamais.errors import Cancelled, InputError
from jamais.recipes.series.encoders import learned_encoder
from jamais.recipes.series.facts import Facts
from jamais.recipes.series.walk import Walk
from jamais.sources.series import SeriesBlock, SeriesReader
from jamais.types import NO_TIME, CancelToken, Event, Floats, Listener

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

FEWEST_ROWS = 100
NAMED = 8
"""Channels that a sentence names at most."""


def begin(recipe: SeriesRecipe, reader: SeriesReader, listener: Listener, cancel: CancelToken | None) -> None:
    """Fill an empty recipe with the rows of `reader`; raises InputError where there are too few."""
    tally = Tally()
    blocks = watched(reader, tally, "reading", listener, cancel)
    held: list[Floats] = []
    n_values = 0
    for block in blocks:
        held.append(block.values)
        n_values += block.values.size
        if n_values >= recipe.settings.fit_values:
            break
    values = np.concatenate(held) if held else np.empty((0, 1))
    del held
    known = int((~np.isnan(values).all(axis=1)).sum()) if len(values) else 0
    if known < FEWEST_ROWS:
        raise InputError(f"{known:,} rows with values to fit on: give at least {FEWEST_ROWS} of normal life")
    encoder = learned_encoder(recipe.settings, values, recipe.seed, listener, cancel)
    recipe.banks = WindowBanks(recipe.settings.banks, recipe.seed, encoder)
    recipe.banks.fit(values, listener)
    recipe.kept.channels, recipe.kept.past = recipe.banks.channels, recipe.banks.past
    recipe.kept.begin(values)
    constant = _constant(values)
    _learn_rest(recipe, values, blocks)
    recipe.facts = replace(
        tally.facts(),
        channels=tuple(reader.channels),
        format=reader.format,
        step=int(reader.step),
        constant=tuple(reader.channels[at] for at in constant),
        counts=dict(reader.counts),
    )
    recipe.said = [*reader.said, *_said(recipe.facts, len(values))]


def watched(
    reader: SeriesReader, tally: Tally, phase: str, listener: Listener, cancel: CancelToken | None
) -> Iterator[SeriesBlock]:
    """Give the blocks of a reader, count them, say how far it is."""
    for block in reader:
        if cancel is not None and cancel.cancelled:
            raise Cancelled(f"cancelled while {phase}; nothing was changed")
        tally.add(block)
        yield block
        listener(Event(phase, reader.bytes_done, reader.bytes_total, {"records": float(tally.rows)}))


class Tally:
    """Counts what passes by."""

    def __init__(self) -> None:
        self.rows = self.empty = self.missing = 0
        self.first_time = self.last_time = NO_TIME

    def add(self, block: SeriesBlock) -> None:
        came = block.rows >= 0
        self.rows += int(came.sum())
        self.empty += int((~came).sum())
        self.missing += int(np.isnan(block.values[came]).sum())
        times = block.times[came & (block.times != NO_TIME)]
        if len(times):
            self.first_time = int(times[0]) if self.first_time == NO_TIME else self.first_time
            self.last_time = int(times[-1])

    def facts(self) -> Facts:
        """Give the totals."""
        span = max(0, self.last_time - self.first_time) if self.first_time != NO_TIME else 0
        return Facts(
            rows=self.rows,
            first_time=self.first_time,
            last_time=self.last_time,
            span=span,
            empty=self.empty,
            missing=self.missing,
        )


def _learn_rest(recipe: SeriesRecipe, values: Floats, blocks: Iterator[SeriesBlock]) -> None:
    """Let what did not fit into the first part enter the banks, piece by piece."""
    past = recipe.banks.past
    walk = Walk(recipe.banks.channels, past)
    before = values[-past:] if past else values[:0]
    nothing = np.zeros(len(before), dtype=np.int64)
    walk.push(SeriesBlock(nothing, nothing, before))
    for block in blocks:
        seen = walk.push(block)
        if seen is not None:
            recipe.banks.learn(seen.values, seen.first)


def _constant(values: Floats) -> list[int]:
    """Name the channels that never change; those without any value, too."""
    known = ~np.isnan(values)
    high = np.where(known, values, -np.inf).max(axis=0)
    low = np.where(known, values, np.inf).min(axis=0)
    return [at for at, (one, other) in enumerate(zip(high.tolist(), low.tolist(), strict=True)) if one <= other]


def _said(facts: Facts, held: int) -> Iterator[str]:
    """Say what is odd about the fit data."""
    if facts.constant:
        more = f" and {len(facts.constant) - NAMED:,} more" if len(facts.constant) > NAMED else ""
        yield f"never changed in the fit data, so that any change is news: {', '.join(facts.constant[:NAMED])}{more}"
    if facts.empty:
        yield f"{facts.empty:,} empty rows stand for gaps in time"
    if facts.missing:
        whole = facts.missing / max(1, facts.rows * len(facts.channels))
        yield f"{facts.missing:,} values are missing ({whole:.1%})"
    if held < facts.rows + facts.empty:
        yield f"scales and calibration come from the first {held:,} rows (fit_values), all rows are remembered"

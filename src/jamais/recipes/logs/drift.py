"""Has the life that a log tells of moved, and what is new in it?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.detectors.calibration import Calibration
from jamais.learning.drift import ExceedanceTest, whole_pass
from jamais.types import DriftReport

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe

NAMED = 5
"""Changes of a kind that are told by name."""
LONGEST = 100
"""Characters of a template that are told."""
SURELY = 6.0
"""Standard deviations from which on a template came more, or less, often: a thousand are looked at."""
TIMES = 2.0
"""And at least so many times more, or less."""


NEARLY = math.log(2.0)
"""Nats by which the surprise of the same event differs between a rare and a busy hour."""


@dataclass
class _Seen:
    rows: int
    first: int
    text: str


class Drifting:
    """Follows the verdicts of one pass, frame by frame, in the order of time; memory grows with templates only."""

    def __init__(self, recipe: LogRecipe) -> None:
        usual = _usual(recipe.calibration, 1.0 - recipe.settings.drift.quantile)
        self.test = ExceedanceTest(recipe.settings.drift, recipe.calibration.n_rows, usual)
        self.recipe = recipe
        self._places = {item: place for place, item in enumerate(recipe.parser.ids)}
        self._seen: dict[str, _Seen] = {}
        self._by_line = not (recipe.settings.window or recipe.settings.group_by)

    def push(self, frame: pl.DataFrame) -> None:
        """Take more verdicts, in the order in which they were decided."""
        ordered = frame if frame["row"].is_sorted() else frame.sort("row")
        self.test.push(ordered["p_value"].to_numpy())
        self.count(ordered)

    def count(self, frame: pl.DataFrame) -> None:
        """Count what the rows of a frame are about, and leave the test to the caller."""
        items = frame.group_by("item", maintain_order=True).agg(
            pl.len().alias("rows"), pl.col("row").min().alias("first"), pl.col("template").first()
        )
        for item, rows, first, text in items.iter_rows():
            seen = self._seen.setdefault(item, _Seen(0, first, text))
            seen.rows, seen.first = seen.rows + rows, min(seen.first, first)

    def report(self) -> DriftReport:
        """Say what was found so far."""
        return self.test.report(self._changes() if self.test.drifted else ())

    @property
    def unseen(self) -> dict[str, int]:
        """Give the items that follow no known template, each with the rows it was the loudest of."""
        return {item: seen.rows for item, seen in self._seen.items() if item and item not in self._places}

    def _changes(self) -> list[str]:
        unseen = [self._seen[item] for item in self.unseen]
        unseen.sort(key=lambda seen: (-seen.rows, seen.first))
        rows = sum(seen.rows for seen in unseen)
        share = rows / max(self.test.rows, 1)
        told = [f"new: {_number(len(unseen), 'template')} in {_number(rows, 'row')} ({share:.0%})"] if unseen else []
        told += [
            f"  in {_number(seen.rows, 'row')} since row {seen.first:,}: {_cut(seen.text)}" for seen in unseen[:NAMED]
        ]
        return told + (self._shifted() if self._by_line else [])

    def _shifted(self) -> list[str]:
        """Name the known templates that came far more, or far less, often than their share of the rows learned."""
        rarity, texts = self.recipe.unit.rarity, self.recipe.parser.texts
        counts = np.zeros(len(texts))
        counts[: len(rarity.counts)] = rarity.counts[: len(texts)]
        # A template that melted into another is counted there.
        expected = counts / max(rarity.units, 1.0) * self.test.rows
        rows = np.zeros(len(texts))
        for item, seen in self._seen.items():
            if item in self._places:
                rows[self._places[item]] = seen.rows
        # The share is an estimate, too: both counts are Poisson.
        spread = np.sqrt(rows + expected * self.test.rows / max(rarity.units, 1.0) + expected + 1.0)
        sure = (rows - expected) / spread
        more = np.flatnonzero((sure > SURELY) & (rows > TIMES * expected))
        less = np.flatnonzero((sure < -SURELY) & (TIMES * rows < expected))
        told = []
        for word, chosen in (("grew", more[np.argsort(-sure[more])]), ("shrank", less[np.argsort(sure[less])])):
            told += [
                f"{word}: {rows[place]:,.0f} rows, {expected[place]:,.0f} expected: {_cut(texts[place])}"
                for place in chosen[:NAMED].tolist()
            ]
        return told


def _usual(calibration: Calibration, level: float) -> float:
    """Give the share of normal rows that may well be beyond a level.

    An event had another surprise whenever it came, as it was counted on the way. When its share is around the level,
    all rows with it are beyond together, or none: those within a factor of two of the level in frequency are counted.
    """
    near = calibration.values >= calibration.threshold(level) - NEARLY
    return float(calibration.weights[near].sum() / max(calibration.n_rows, 1))


def drift_in(recipe: LogRecipe, verdicts: pl.DataFrame) -> DriftReport:
    """Test all rows of one `score`; raises InputError when some are missing, such as the normal ones."""
    return whole_pass(Drifting(recipe), verdicts, {"row", "p_value", "item", "template"})


def _number(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

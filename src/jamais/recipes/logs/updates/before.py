"""What does the data of an update look like to what was known before it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.sources.records import Records
from jamais.types import Floats, Ints

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe


class Before:
    """Scores the data of an update with the old recipe, and keeps of the verdicts what the guard asks for."""

    def __init__(self, recipe: LogRecipe) -> None:
        self.scorer = recipe.scorer()
        self.drifting = recipe.drifting()
        self._rows: list[Ints] = []
        self._p_values: list[Floats] = []
        self.n_rows = 0
        self.n_abnormal = 0

    def look(self, records: Records) -> None:
        """Score one batch of records."""
        self.take(self.scorer.push(records))

    def end(self) -> None:
        """Score what is still open."""
        for frame in self.scorer.flush():
            self.take(frame)
        self.test()

    def take(self, frame: pl.DataFrame | None) -> None:
        """Take verdicts that somebody else made of the data."""
        if frame is None:
            return
        self.drifting.count(frame)
        self._rows.append(frame["row"].to_numpy())
        self._p_values.append(frame["p_value"].to_numpy())
        self.n_rows += len(frame)
        self.n_abnormal += int(frame["abnormal"].sum())

    def test(self) -> None:
        """Test for drift, all verdicts being there: in the order of the rows, which are decided in another one."""
        if self.n_rows:
            order = np.argsort(np.concatenate(self._rows), kind="stable")
            self.drifting.test.push(np.concatenate(self._p_values)[order])

    def events(self) -> tuple[str, ...]:
        """Tell, in a line each, that normal has moved, and what is new: that it has, and how much, before details."""
        if not self.drifting.test.drifted:
            return ()
        moved, *changes = str(self.drifting.report()).splitlines()
        return (moved, *(change.removeprefix("  ") if change.startswith("  new: ") else change for change in changes))

"""What does the data of an update look like to what was known before it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.sources.records import Records
from jamais.types import Bools

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe


class Before:
    """Scores the data of an update with the old recipe, and keeps of the verdicts what the guard asks for."""

    def __init__(self, recipe: LogRecipe) -> None:
        self.scorer = recipe.scorer()
        self.drifting = recipe.drifting()
        self._abnormal: list[Bools] = []

    def look(self, records: Records) -> None:
        """Score one batch of records."""
        self.take(self.scorer.push(records))

    def end(self) -> None:
        """Score what is still open."""
        for frame in self.scorer.flush():
            self.take(frame)

    def take(self, frame: pl.DataFrame | None) -> None:
        """Take verdicts that somebody else made of the data."""
        if frame is not None:
            self.drifting.push(frame)
            self._abnormal.append(frame["abnormal"].to_numpy())

    @property
    def abnormal(self) -> Bools:
        """Say which rows [n] alarm."""
        return np.concatenate([np.empty(0, dtype=bool), *self._abnormal])

    @property
    def n_rows(self) -> int:
        return len(self.abnormal)

    @property
    def n_abnormal(self) -> int:
        return int(self.abnormal.sum())

    def events(self) -> tuple[str, ...]:
        """Tell, in a line each, that normal has moved, and what is new: that it has, and how much, before details."""
        if not self.drifting.test.drifted:
            return ()
        moved, *changes = str(self.drifting.report()).splitlines()
        return (moved, *(change.removeprefix("  ") if change.startswith("  new: ") else change for change in changes))

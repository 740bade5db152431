"""Has normal moved among rows of numbers, and which clusters grew, which columns shifted?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.learning.drift import ExceedanceTest, whole_pass
from jamais.types import DriftReport

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe

NAMED = 5
"""Changes of a kind that are told."""
SURELY = 6.0
"""Standard deviations from which on a cluster came more, or less, often than its share."""
TIMES = 2.0
"""And at least so many times more, or less."""
FAR = 1.0
"""Spreads of a column by which the mean of the alarms must lie apart."""
_WANTED = {"row", "p_value", "cluster", "novel"}


class Drifting:
    """Follows the verdicts of one pass, frame by frame, in the order of the rows; memory stays bounded."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self.test = ExceedanceTest(recipe.settings.drift, recipe.detector.calibration().n_rows)
        self.recipe = recipe
        self._n_novel = 0
        self._clusters: dict[int, int] = {}
        self._n_alarms = 0
        self._sums = np.zeros(recipe.width)

    def push(self, frame: pl.DataFrame) -> None:
        """Take more verdicts."""
        self.test.push(frame["p_value"].to_numpy())
        self._n_novel += int(frame["novel"].sum())
        for cluster, rows in zip(*np.unique(frame["cluster"].to_numpy(), return_counts=True), strict=True):
            self._clusters[int(cluster)] = self._clusters.get(int(cluster), 0) + int(rows)
        alarms = frame["vector"].drop_nulls() if "vector" in frame.columns else pl.Series(dtype=pl.Null)
        if len(alarms):
            places = self.recipe.space.of_rows(np.array(alarms.to_list(), dtype=np.float32))
            self._sums += places.sum(axis=0, dtype=np.float64)
            self._n_alarms += len(alarms)

    def report(self) -> DriftReport:
        """Say what was found so far."""
        return self.test.report([*self._novel(), *self._grown(), *self._shifted()] if self.test.drifted else ())

    def _novel(self) -> list[str]:
        share, expected = self._n_novel / self.test.rows, self.recipe.settings.clusters.novel_rate
        told = f"new: {share:.1%} of the rows are far from every cluster, {expected:.1%} expected"
        return [told] if share > TIMES * expected else []

    def _grown(self) -> list[str]:
        """Name the clusters that came far more, or far less, often than their share of what was learned."""
        sizes, n = self.recipe.clusters.sizes, self.test.rows
        whole = max(sum(sizes.values()), 1)
        told = []
        for cluster, size in sizes.items():
            rows, expected = self._clusters.get(cluster, 0), size / whole * n
            # The share is an estimate, too: both counts are Poisson.
            sure = (rows - expected) / np.sqrt(rows + expected * n / whole + expected + 1.0)
            if abs(sure) > SURELY and not expected / TIMES <= rows <= expected * TIMES:
                word = "grew" if sure > 0 else "shrank"
                told.append((-abs(sure), f"{word}: cluster {cluster}, {rows:,} rows, {expected:,.0f} expected"))
        return [text for _, text in sorted(told)[:NAMED]]

    def _shifted(self) -> list[str]:
        """Name the columns in which the rows that alarmed lie apart from what is remembered."""
        if not self._n_alarms:
            return []
        memory, names = self.recipe.detector.memory, self.recipe.facts.columns
        known = memory.rows.astype(np.float64)
        mean = np.average(known, axis=0, weights=memory.counts)
        spread = np.sqrt(np.average((known - mean) ** 2, axis=0, weights=memory.counts))
        apart = (self._sums / self._n_alarms - mean) / np.where(spread > 0, spread, 1.0)
        most = [at for at in np.argsort(-np.abs(apart), kind="stable")[:NAMED].tolist() if abs(apart[at]) >= FAR]
        return [
            f"shifted: {names[at] if at < len(names) else f'column {at}'}, "
            f"{abs(apart[at]):.1f} spreads {'up' if apart[at] > 0 else 'down'} in what alarms"
            for at in most
        ]


def drift_in(recipe: EmbeddingRecipe, verdicts: pl.DataFrame) -> DriftReport:
    """Test all rows of one `score`; raises InputError when some are missing, such as the normal ones."""
    return whole_pass(Drifting(recipe), verdicts, _WANTED)

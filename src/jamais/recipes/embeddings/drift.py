"""Has normal moved among rows of numbers, and which clusters grew, which columns shifted?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.learning.drift import ExceedanceTest
from jamais.types import DriftReport, Ints

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


def drift_in(recipe: EmbeddingRecipe, verdicts: pl.DataFrame) -> DriftReport:
    """Test all rows of one `score`; raises InputError when some are missing, such as the normal ones."""
    if not set(verdicts.columns) >= _WANTED:
        raise InputError(f"drift wants the verdicts of score, got the columns {', '.join(verdicts.columns)}")
    ordered = verdicts if verdicts["row"].is_sorted() else verdicts.sort("row")
    n = len(ordered)
    if n and int(ordered["row"][-1]) - int(ordered["row"][0]) + 1 != n:
        all_rows = int(ordered["row"][-1]) - int(ordered["row"][0]) + 1
        raise InputError(
            f"drift wants all rows of score, got {n:,} of {all_rows:,}: the share of far ones would mean nothing"
        )
    test = ExceedanceTest(recipe.settings.drift, recipe.detector.calibration().n_rows)
    test.push(ordered["p_value"].to_numpy())
    return test.report(_changes(recipe, ordered) if test.drifted else ())


def _changes(recipe: EmbeddingRecipe, verdicts: pl.DataFrame) -> list[str]:
    novel = float(verdicts["novel"].mean() or 0.0)  # type: ignore[arg-type]
    expected = recipe.settings.clusters.novel_rate
    told = [f"new: {novel:.1%} of the rows are far from every cluster, {expected:.1%} expected"]
    return (
        told * (novel > TIMES * expected)
        + _clusters(recipe, verdicts["cluster"].to_numpy())
        + _columns(recipe, verdicts)
    )


def _clusters(recipe: EmbeddingRecipe, labels: Ints) -> list[str]:
    """Name the clusters that came far more, or far less, often than their share of what was learned."""
    sizes = recipe.clusters.sizes
    whole = max(sum(sizes.values()), 1)
    told = []
    for cluster, size in sizes.items():
        rows, expected = int((labels == cluster).sum()), size / whole * len(labels)
        sure = (rows - expected) / np.sqrt(rows + expected + expected * len(labels) / whole + 1.0)
        if abs(sure) > SURELY and not 1 / TIMES <= (rows + 1e-9) / (expected + 1e-9) <= TIMES:
            word = "grew" if sure > 0 else "shrank"
            told.append((-abs(sure), f"{word}: cluster {cluster}, {rows:,} rows, {expected:,.0f} expected"))
    return [text for _, text in sorted(told)[:NAMED]]


def _columns(recipe: EmbeddingRecipe, verdicts: pl.DataFrame) -> list[str]:
    """Name the columns in which the rows that alarmed lie apart from what is remembered."""
    if "vector" not in verdicts.columns:
        return []
    found = verdicts["vector"].drop_nulls()
    if not len(found):
        return []
    alarms = recipe.space.of_rows(np.array(found.to_list(), dtype=np.float32)).astype(np.float64)
    known, counts = recipe.detector.memory.rows.astype(np.float64), recipe.detector.memory.counts
    mean = np.average(known, axis=0, weights=counts)
    spread = np.sqrt(np.average((known - mean) ** 2, axis=0, weights=counts))
    apart = (alarms.mean(axis=0) - mean) / np.where(spread > 0, spread, 1.0)
    names = recipe.facts.columns
    chosen = [at for at in np.argsort(-np.abs(apart), kind="stable")[:NAMED].tolist() if abs(apart[at]) >= FAR]
    return [
        f"shifted: {names[at] if at < len(names) else f'column {at}'}, by {apart[at]:+.1f} spreads in what alarms"
        for at in chosen
    ]

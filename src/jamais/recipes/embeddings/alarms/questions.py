"""Which answer would settle most?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from jamais.errors import InputError

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe

UNKNOWN = 0.5
"""Belief that a cause is abnormal before anybody has said a word about it."""
_SCHEMA = {
    "cause": pl.String,
    "rows": pl.Int64,
    "alarms": pl.Int64,
    "settles": pl.Float64,
    "belief": pl.Float64,
    "answers": pl.Int64,
    "row": pl.Int64,
    "item": pl.String,
    "why": pl.String,
}
_Asked = tuple[str, int, int, int | None, str, str]


def questions(recipe: EmbeddingRecipe, verdicts: pl.DataFrame | None) -> pl.DataFrame:
    """List causes that are not settled, the one whose answer would settle most rows first."""
    settings = recipe.settings.answers
    asked = _of_memory(recipe) if verdicts is None else _of_verdicts(recipe, verdicts)
    told = []
    for cause, rows, alarms, row, item, why in asked:
        answer = recipe.answers.by_cause.get(cause)
        if answer is not None and answer.settled(settings):
            continue
        belief = UNKNOWN if answer is None else answer.belief(settings)
        settles = rows * (1.0 - abs(2.0 * belief - 1.0))
        told.append((cause, rows, alarms, settles, belief, 0 if answer is None else answer.given, row, item, why))
    return pl.DataFrame(told, schema=_SCHEMA, orient="row").sort(
        "settles", "cause", descending=[True, False], maintain_order=True
    )


def _of_memory(recipe: EmbeddingRecipe) -> list[_Asked]:
    waiting = [
        (cause, group.alarms, group.alarms, None, cause, group.why) for cause, group in recipe.waiting.groups.items()
    ]
    answered = [
        (cause, one.alarms, one.alarms, None, (*one.items, cause)[0], one.why)
        for cause, one in recipe.answers.by_cause.items()
    ]
    return [*waiting, *answered]


def _of_verdicts(recipe: EmbeddingRecipe, verdicts: pl.DataFrame) -> list[_Asked]:
    if not {"row", "item", "cause", "abnormal", "why"} <= set(verdicts.columns):
        raise InputError(f"questions want verdicts or alarm records, got columns {', '.join(verdicts.columns)}")
    answered = pl.col("cause").is_in(list(recipe.answers.by_cause))
    found = (
        verdicts.filter(pl.col("abnormal") | answered)
        .group_by("cause", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col("abnormal").sum().cast(pl.Int64).alias("alarms"),
            pl.col("row").first(),
            pl.col("item").first(),
            pl.col("why").first(),
        )
    )
    return list(found.iter_rows())

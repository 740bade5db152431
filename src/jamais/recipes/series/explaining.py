"""Why does each row of some data have its score?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.recipes.series.alarms import words
from jamais.recipes.series.scorer import SeriesScorer
from jamais.recipes.series.walk import Seen, Walk

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe


def explained(recipe: SeriesRecipe, data: Any) -> list[dict[str, Any]]:
    """Give all that is known of each row, as JSON values."""
    scorer = SeriesScorer(recipe)
    walk = Walk(recipe.banks.channels, recipe.banks.past, recipe.banks.ahead if scorer.hindsight else 0)
    told: list[dict[str, Any]] = []
    for block in recipe.batches(data):
        told += _of(recipe, scorer, walk.push(block))
    return told + _of(recipe, scorer, walk.flush())


def _of(recipe: SeriesRecipe, scorer: SeriesScorer, seen: Seen | None) -> list[dict[str, Any]]:
    if seen is None:
        return []
    of, alarms, names = scorer.judge(seen)
    shares, ends = recipe.blamed(seen.values, np.arange(seen.first, seen.last))
    causes = {alarm.at: alarm.cause for alarm in alarms} | {
        at: cause for at, cause in of.answered.items() if not of.abnormal[at]
    }
    told = []
    for at in np.flatnonzero(seen.rows >= 0).tolist():
        ranked = np.argsort(-shares[at], kind="stable").tolist()
        nearest = int(ends[at])
        cause = causes.get(at, names[at])
        answer = recipe.answers.by_cause.get(cause)
        told.append(
            {
                "row": int(seen.rows[at]),
                "item": names[at],
                "cause": cause,
                "score": float(of.score[at]),
                "p_value": float(of.p_value[at]),
                "abnormal": bool(of.abnormal[at]),
                "missing": bool(of.missing[at]),
                "banks": dict(zip(recipe.banks.names, of.parts[at].tolist(), strict=True)),
                "channels": [{"channel": recipe.channels[c], "share": float(shares[at, c])} for c in ranked],
                "nearest": {"row": nearest, "window": words.window(recipe, nearest)} if nearest >= 0 else None,
                "belief": None if answer is None else answer.belief(recipe.settings.answers),
            }
        )
    return told

"""How do rows become verdicts? Here is the line that decides "this is abnormal"."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.recipes.embeddings.words import Words
from jamais.types import Bools, Floats, Ints, Vectors

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe


@dataclass(frozen=True)
class Judged:
    """What is known of some rows [n], before causes are told apart."""

    rows: Vectors
    """As they were given, [n, width]."""
    places: Vectors
    """In the space where rows are compared, [n, width]."""
    score: Floats
    p_value: Floats
    extrapolated: Bools
    abnormal: Bools
    cluster: Ints
    novel: Bools
    answered: dict[int, str]
    """Causes with an answer, by row; of rows that alarm, or would without the answer."""

    @cached_property
    def items(self) -> list[str]:
        """Name each row by its bytes, as float32."""
        return [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in self.rows]


def judged(recipe: EmbeddingRecipe, rows: Vectors) -> Judged:
    """Score rows [n, width], each by its own bits only; change nothing."""
    places = recipe.space.of_rows(rows)
    calibration = recipe.detector.calibration()
    score = recipe.detector.decision_function(places)
    p_value, extrapolated = calibration.p_value(score)
    answered: dict[int, str] = {}
    asked = np.flatnonzero(p_value <= recipe.alarm_rate)
    if len(asked) and len(recipe.answers):
        near = recipe.answers.near(places[asked])
        answered = {row: cause for row, cause in zip(asked.tolist(), near, strict=True) if cause is not None}
        told = np.array([row for row, cause in answered.items() if recipe.answers.by_cause[cause].balance < 0], int)
        for row in told.tolist():
            # As rare as the answers leave it: a normal one is right with probability 1 - belief.
            belief = recipe.answers.by_cause[answered[row]].belief(recipe.settings.answers)
            score[row] = min(score[row], calibration.threshold(1.0 - belief))
        if len(told):
            p_value[told], extrapolated[told] = calibration.p_value(score[told])
    assigned = recipe.clusters.assign(places)
    far = recipe.novelty.p_value(assigned.novelty)[0] <= recipe.settings.clusters.novel_rate
    return Judged(
        rows,
        places,
        score,
        p_value,
        extrapolated,
        p_value <= recipe.alarm_rate,
        assigned.labels,
        far | (assigned.labels < 0),
        answered,
    )


class Verdicts:
    """Writes judged rows as frames."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self.words = Words(recipe)

    def frame(self, of: Judged, first_row: int, causes: dict[int, str]) -> pl.DataFrame:
        """Give the verdicts of judged rows [n]; `causes` by row, of all others the item is the cause."""
        items = of.items
        alarms = np.flatnonzero(of.abnormal)
        why = [""] * len(items)
        for row, text in zip(alarms.tolist(), self.words.why(of, alarms), strict=True):
            why[row] = text
        for row, cause in of.answered.items():
            why[row] = why[row] or self.words.answered(cause)
        vectors: list[Any] = [None] * len(items)
        for row in alarms.tolist():
            vectors[row] = of.rows[row].tolist()
        return pl.DataFrame(
            {
                "row": np.arange(first_row, first_row + len(items)),
                "score": of.score,
                "p_value": of.p_value,
                "p_extrapolated": of.extrapolated,
                "abnormal": of.abnormal,
                "why": pl.Series(why, dtype=pl.String),
                "item": pl.Series(items, dtype=pl.String),
                "cause": pl.Series([causes.get(row, item) for row, item in enumerate(items)], dtype=pl.String),
                "cluster": of.cluster,
                "novel": of.novel,
                # So that an answer needs nothing but the alarm; rows that do not alarm have none.
                "vector": pl.Series(vectors, dtype=pl.List(pl.Float32)),
            }
        )

    def empty(self, width: int) -> pl.DataFrame:
        """Give a frame of no rows."""
        none, flags = np.empty(0), np.empty(0, dtype=np.bool_)
        rows = np.empty((0, width), dtype=np.float32)
        ids = np.empty(0, dtype=np.int64)
        return self.frame(Judged(rows, rows, none, none, flags, flags, ids, flags, {}), 0, {})

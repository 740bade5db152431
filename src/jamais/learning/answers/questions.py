"""Which answer would settle most?"""

from __future__ import annotations

import polars as pl

from jamais.errors import InputError
from jamais.learning.answers.answers import Answers
from jamais.learning.answers.waiting import Waiting

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


def questions(answers: Answers, waiting: Waiting, verdicts: pl.DataFrame | None) -> pl.DataFrame:
    """List causes that are not settled, the one whose answer would settle most rows first.

    Of `verdicts`, or alarm records; of what waits or was answered already, for None.
    """
    settings = answers.settings
    asked = _of_memory(answers, waiting) if verdicts is None else _of_verdicts(answers, verdicts)
    told = []
    for cause, rows, alarms, row, item, why in asked:
        answer = answers.by_cause.get(cause)
        if answer is not None and answer.settled(settings):
            continue
        belief = UNKNOWN if answer is None else answer.belief(settings)
        settles = rows * (1.0 - abs(2.0 * belief - 1.0))
        told.append((cause, rows, alarms, settles, belief, 0 if answer is None else answer.given, row, item, why))
    return pl.DataFrame(told, schema=_SCHEMA, orient="row").sort(
        "settles", "cause", descending=[True, False], maintain_order=True
    )


def _of_memory(answers: Answers, waiting: Waiting) -> list[_Asked]:
    groups = [(cause, group.alarms, group.alarms, None, cause, group.why) for cause, group in waiting.groups.items()]
    answered = [
        (cause, one.alarms, one.alarms, None, (*one.items, cause)[0], one.why)
        for cause, one in answers.by_cause.items()
    ]
    return [*groups, *answered]


def _of_verdicts(answers: Answers, verdicts: pl.DataFrame) -> list[_Asked]:
    if not {"row", "item", "cause", "abnormal", "why"} <= set(verdicts.columns):
        raise InputError(f"questions want verdicts or alarm records, got columns {', '.join(verdicts.columns)}")
    answered = pl.col("cause").is_in(list(answers.by_cause))
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

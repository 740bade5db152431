"""What should a person be asked? The causes of which an answer would settle most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from jamais.recipes.logs.answers import suspects
from jamais.recipes.logs.answers.beliefs import Beliefs
from jamais.recipes.logs.answers.judgement import Judgement
from jamais.recipes.logs.answers.odds import ALARMED, probability
from jamais.recipes.logs.answers.suspects import written
from jamais.recipes.logs.feedback import Row, is_session, mark_of

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe

SCHEMA: dict[str, Any] = {
    "cause": pl.String,
    "rows": pl.Int64,
    "alarms": pl.Int64,
    "settles": pl.Float64,
    "belief": pl.Float64,
    "answers": pl.Int64,
    "row": pl.Int64,
    "item": pl.String,
    "why": pl.String,
    "suspects": pl.String,
}


@dataclass
class Question:
    """One thing to ask about."""

    cause: str
    item: str
    key: str
    """What the answer is filed under: the cause, or the shape of a session."""
    odds: float
    rows: int = 0
    alarms: int = 0
    settles: float = 0.0
    shown: list[tuple[float, int]] = field(default_factory=list)
    """Rows that are alike, by place, with how likely something else is to blame there."""


def questions_about(recipe: LogRecipe, verdicts: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """Say what to ask about `verdicts`, or alarm records.

    `settles` is twice the number of rows that are expected to be judged wrongly as things stand, so that rows of
    which nothing at all is known count in full. Causes for which enough answers agree, or that are not worth a
    question, are left out. The row shown is one that nobody has answered for.
    """
    frame = verdicts if isinstance(verdicts, pl.DataFrame) else pl.DataFrame(list(verdicts), infer_schema_length=None)
    if frame.is_empty():
        return _frame([])
    like = _alike(frame)
    found: dict[tuple[str, str], Question] = {}
    judgement = recipe.judgement()
    for place, row in enumerate(like):
        for one, doubt, wrong in _raised(judgement, row, is_session(recipe, row)):
            known = found.setdefault((one.cause, one.item), one)
            known.rows += len(row["places"])
            known.alarms += len(row["places"]) if row["abnormal"] else 0
            known.settles += 2.0 * wrong * len(row["places"])
            known.shown.append((doubt, place))
    asked = [one for one in found.values() if one.settles >= 2.0 * _worth(judgement, one)]
    rows: dict[int, dict[str, Any]] = {}
    for one in sorted(asked, key=lambda one: -one.settles):
        at, shown = _shown(judgement.beliefs, one, like, frame)
        if shown is not None and at not in rows:  # one answer about a row is about all that is suspicious in it
            rows[at] = _row(judgement.beliefs, one, shown)
    return _frame(list(rows.values()))


def questions_in_quarantine(recipe: LogRecipe) -> pl.DataFrame:
    """Say what to ask about what waits in quarantine; there are no rows to show."""
    judgement, waiting = recipe.judgement(), recipe.quarantine.items
    rows = []
    for item, one in waiting.items():
        odds = ALARMED + judgement.beliefs.moved(item)  # it alarmed, or it would not be here
        wrong = min(probability(odds), probability(-odds))
        asked = Question(item, item, item, odds, one.count, one.count, 2.0 * wrong * one.count)
        row = {"row": None, "why": one.text, "suspects": written([(item, ALARMED)])}
        rows.append(_row(judgement.beliefs, asked, row))
    return _frame(rows)


def _worth(judgement: Judgement, asked: Question) -> float:
    """Give how many rows must be expected to be judged wrongly before `asked` is worth a person's time."""
    settings = judgement.settings
    return settings.worth_again if judgement.beliefs.count(asked.key) else settings.worth


def _alike(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Put rows together that differ in nothing that matters, with their places; quiet rows without suspects matter not.

    Records of other times may lack columns.
    """
    none = pl.lit(None, pl.String)
    blank = {"suspects": none, "abnormal": pl.lit(True), "group": none, "cause": pl.col("item")}
    missing = {name: value for name, value in blank.items() if name not in frame.columns}
    grouped = pl.when(pl.col("group").is_not_null()).then(pl.lit("a group"))
    known = frame.with_columns(**missing).with_columns(pl.col("suspects").fill_null(""), group=grouped)
    odd = known.with_row_index("places").filter(pl.col("abnormal") | (pl.col("suspects") != ""))
    keys = ["cause", "item", "suspects", "abnormal", "group"]
    return odd.group_by(keys, maintain_order=True).agg(pl.col("places")).to_dicts()


def _raised(judgement: Judgement, row: Row, session: bool) -> Iterator[tuple[Question, float, float]]:
    """Give the questions that a row raises, each with its doubt and with how likely the row is judged wrongly."""
    beliefs, cause = judgement.beliefs, row["cause"]
    if session:
        yield from _raised_by_session(judgement, row)
        return
    odds = {key: prior + beliefs.moved(key) for key, prior in suspects.read(row["suspects"]).items()}
    if row["abnormal"] and cause not in odds:
        odds[cause] = ALARMED + beliefs.moved(cause)
    top = max(odds, key=lambda key: (odds[key], key))
    innocent = {key: probability(-value) for key, value in odds.items()}
    for key in [top] if odds[top] > 0.0 else odds:
        if judgement.settled(key):
            continue
        doubt = sum(1.0 - chance for other, chance in innocent.items() if other != key)
        wrong = innocent[key] if odds[key] > 0.0 else 1.0 - innocent[key]
        yield Question(key, row["item"] if key == cause else key, key, odds[key]), doubt, wrong


def _raised_by_session(judgement: Judgement, row: Row) -> Iterator[tuple[Question, float, float]]:
    shape, cause = row["item"], row["cause"]
    if row["abnormal"] and not judgement.settled(shape):
        odds = ALARMED + judgement.moved(shape, cause)
        yield Question(cause, shape, shape, odds), 0.0, min(probability(odds), probability(-odds))


def _shown(
    beliefs: Beliefs, asked: Question, like: Sequence[Row], frame: pl.DataFrame
) -> tuple[int, dict[str, Any] | None]:
    """Choose the row that tells most, of those that nobody has answered for: its place, and the row."""
    for _, place in sorted(asked.shown):
        for at in like[place]["places"]:
            row = frame.row(at, named=True)
            if beliefs.said_of(asked.key, mark_of(row)) is None:
                return at, row
    return -1, None


def _row(beliefs: Beliefs, asked: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cause": asked.cause,
        "rows": asked.rows,
        "alarms": asked.alarms,
        "settles": asked.settles,
        "belief": probability(asked.odds),
        "answers": beliefs.count(asked.key),
        "row": row.get("row"),
        "item": asked.item,
        "why": row.get("why") or row.get("template"),
        "suspects": row.get("suspects"),
    }


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA).sort("settles", descending=True, maintain_order=True)

"""What does a person's answer about alarms or rows change?

Answers weigh as evidence for a cause. From the first "abnormal" on its rows are remembered as an incident, until more
is said against it; from the first "normal" on it alarms no more; learned as normal is what enough answers agree on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.errors import InputError
from jamais.learning import guard
from jamais.learning.answers.answers import Answer
from jamais.learning.answers.asked import (
    WAY_OUT,
    Asked,
    answer_to,
    are_records,
    by_cause,
    checked,
    is_by_row,
    of_records,
)
from jamais.memory.incoming import checked_rows
from jamais.memory.nearest import NearestRows
from jamais.recipes.embeddings.updates import Taken, grown, kept_checks
from jamais.types import Ints, LearnReport, Vectors

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe


def feed(old: EmbeddingRecipe, new: EmbeddingRecipe, data: Any, labels: Any) -> LearnReport:
    """Take answers about alarm records, or about rows of data."""
    asked = list(of_records(data, labels, "vector") if are_records(data) else _of_data(old, data, labels))
    if not asked:
        return LearnReport(True, 0, {"answers": 0})
    taken, now = Taken(), time.time_ns() // 1_000
    settled: list[str] = []
    ordinary = [one for one in asked if not _is_of_a_cause(one, old)]
    if ordinary:
        grown(new, new.space.of_rows(_vectors(new, ordinary)), "feedback", taken)
    for cause, answers in by_cause([one for one in asked if _is_of_a_cause(one, old)]):
        settled += _answer(new, cause, answers, now, taken)
    new.detector.follow()
    # A verdict that a person changes is no harm done.
    checks = kept_checks(old, new, taken.shift, apart=new.answers.labelled()[0])
    told = [sum(one.label == label for one in asked) for label in (0, 1)]
    counts = {
        "rows answered normal": told[0],
        "rows answered abnormal": told[1],
        "causes with an answer": len(new.answers),
        "of these settled": sum(one.settled(new.settings.answers) for one in new.answers.by_cause.values()),
    }
    return LearnReport(guard.passed(checks), len(asked), counts, checks, (*settled, *taken.events))


def _is_of_a_cause(one: Asked, old: EmbeddingRecipe) -> bool:
    """Say whether an answer is about more than one ordinary row.

    A row that alarms no more because of an answer is of that answer's cause all the same.
    """
    return one.alarmed or one.label == 1 or one.cause in old.answers.by_cause


def _answer(new: EmbeddingRecipe, cause: str, asked: list[Asked], now: int, taken: Taken) -> list[str]:
    """Let one answer about a cause take effect; say what is settled by it."""
    before, group = new.answers.by_cause.get(cause), new.waiting.groups.get(cause)
    given = [one for one in asked if one.vector is not None]
    if not given and before is None and group is None:
        raise InputError(f"alarm {asked[0].item} has no vector: {WAY_OUT}")
    places = new.space.of_rows(_vectors(new, given)) if given else np.empty((0, new.width), dtype=np.float32)
    items = [one.item for one in given]
    if group is not None and cause not in items:
        places, items = np.concatenate([places, group.founder[None]]), [*items, cause]
    when = max((one.when for one in asked if one.when is not None), default=now)
    after = new.answers.told(cause, bool(asked[0].label), places, items, asked[0].why, when)
    new.waiting.drop([cause])
    _follow(new, cause, before, after, taken)
    settings = new.settings.answers
    if after.settled(settings) and not (before is not None and before.settled(settings)):
        side = "abnormal" if after.balance > 0 else "normal"
        return [f"cause {cause} is settled: {side}, {after.given} answers"]
    return []


def _follow(new: EmbeddingRecipe, cause: str, before: Answer | None, after: Answer, taken: Taken) -> None:
    """Bring the memories in line with what is believed of a cause now."""
    memory, rows, agreeing = new.detector.memory, after.rows, new.settings.answers.agreeing
    if after.balance > 0:
        fresh = rows[memory.abnormal.ids_of(rows) < 0]
        if len(fresh):
            memory.abnormal.add(fresh, None, np.full(len(fresh), after.when), source=cause)
        # What was taken for normal by mistake must not hide what is like it.
        memory.forget(_known(memory.normal.ids_of(rows)))
    elif before is not None and before.balance > 0:
        memory.abnormal.forget(_known(memory.abnormal.ids_of(rows)))
    if after.balance <= -agreeing:
        fresh = rows[memory.normal.ids_of(rows) < 0]
        if len(fresh):
            grown(new, fresh, "feedback", taken)
        memory.release(_quarantined(new, rows))
    elif before is not None and before.balance <= -agreeing:
        memory.forget(_known(memory.normal.ids_of(rows)))
    if after.balance >= agreeing:
        memory.confirm(_quarantined(new, rows))


def _quarantined(new: EmbeddingRecipe, rows: Vectors) -> Ints:
    """Name the rows in quarantine that are of the same cause as `rows` [m, width]."""
    waiting = new.detector.memory.quarantine
    if not len(waiting) or not len(rows):
        return np.empty(0, dtype=np.int64)
    near = NearestRows(rows).nearest(waiting.rows, 1)[0][:, 0] <= new.reach
    return np.asarray(waiting.ids[near], dtype=np.int64)


def _known(ids: Ints) -> Ints:
    return ids[ids >= 0]


def _vectors(new: EmbeddingRecipe, asked: list[Asked]) -> Vectors:
    missing = [one for one in asked if one.vector is None]
    if missing:
        raise InputError(f"row {missing[0].row} did not alarm, so its verdict has no vector: {WAY_OUT}")
    return checked_rows([one.vector for one in asked], new.width, "feedback")


def _of_data(old: EmbeddingRecipe, data: Any, labels: Any) -> Iterator[Asked]:
    """Score data to find what its rows are; only rows with an answer are kept."""
    scorer, given = old.scorer(), None if isinstance(labels, Mapping) else list(labels)
    by_row = given is None and is_by_row(labels)
    n_found = 0
    for block in old.batches(data):
        of, frame = scorer.judge(block)
        rows = frame.drop("vector").to_dicts()
        if given is None:
            answers = [checked(answer_to(row, labels, by_row=by_row)) for row in rows]
        else:
            answers = [checked(one) for one in given[rows[0]["row"] : rows[-1]["row"] + 1]]
        for at, (row, label) in enumerate(zip(rows, answers, strict=False)):
            if label is not None:
                n_found += 1
                yield Asked(
                    row["item"], row["cause"], row["row"], row["abnormal"], row["why"], None, label, of.rows[at]
                )
    if given is not None and len(given) != scorer.n_rows:
        raise InputError(
            f"{scorer.n_rows:,} rows to answer for, got {len(given):,} labels: give one each, or a mapping"
        )
    if given is None and labels and not n_found:
        raise InputError("no label names an item, cause or row of this data")

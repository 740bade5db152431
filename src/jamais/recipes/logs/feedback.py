"""What does a person's answer about alarms or items change?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from jamais.errors import InputError
from jamais.types import LearnReport

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe


def feed(old: LogRecipe, new: LogRecipe, data: Any, labels: Any) -> LearnReport:
    """Take answers about items: from alarm records, or from data that is scored to find the items."""
    rows = _alarm_rows(old, data)
    answers = _answers(labels, rows)
    told = {0: 0, 1: 0}
    for row, answer in zip(rows, answers, strict=True):
        if answer is None:
            continue
        if answer not in (0, 1):
            raise InputError(f"a label is 0 (normal), 1 (abnormal) or None, got {answer!r}")
        # What made a row abnormal may be another thing than its event: a silence, a rate, an order, a value.
        key = str(row.get("cause") or row["item"])
        new.confirmed.add(key, bool(answer), str(row.get("why") or row.get("template", "")))
        new.quarantine.release(key)
        told[int(answer)] += 1
    counts = {"confirmed normal": told[0], "confirmed abnormal": told[1], "items with an answer": len(new.confirmed)}
    return LearnReport(True, sum(told.values()), counts)


def _alarm_rows(recipe: LogRecipe, data: Any) -> Sequence[Mapping[str, Any]]:
    if isinstance(data, pl.DataFrame) and "item" in data.columns:
        return data.to_dicts()
    if isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        return list(data)
    scorer = recipe.scorer()
    frames = [frame for records in recipe.batches(data) if (frame := scorer.push(records)) is not None]
    frames.extend(scorer.flush())
    return pl.concat(frames).sort("row").to_dicts() if frames else []


def _answers(labels: Any, rows: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Line answers up with rows: one each, or by the first of row, group, item, cause that `labels` is keyed by."""
    if isinstance(labels, Mapping):
        for key in ("item", "cause", "group", "row"):
            if any(row.get(key) in labels for row in rows):
                return [labels.get(row.get(key)) for row in rows]
        raise InputError("no label names an item, cause, group or row of this data")
    answers: list[int | None] = list(labels)
    if len(answers) != len(rows):
        raise InputError(f"{len(rows)} rows to answer for, got {len(answers)} labels: give one each, or a mapping")
    return answers

"""What does a person's answer about alarms or rows change?

Answers weigh as evidence for a cause. From the first "abnormal" on its rows are remembered as an incident, until more
is said against it; from the first "normal" on it alarms no more; learned as normal is what enough answers agree on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.learning import guard
from jamais.memory.incoming import checked_rows
from jamais.memory.nearest import NearestRows
from jamais.recipes.embeddings.alarms.answers import Answer
from jamais.recipes.embeddings.updates import Taken, grown, kept_checks
from jamais.types import Ints, LearnReport, Vectors

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe

_WAY_OUT = "give alarm records as score writes them (--alarms, or rows of its frame), or the data itself"


@dataclass(frozen=True)
class Asked:
    """One row that was answered for."""

    item: str
    cause: str
    row: int | None
    alarmed: bool
    why: str
    when: int | None
    label: int
    vector: Vectors | None


def feed(old: EmbeddingRecipe, new: EmbeddingRecipe, data: Any, labels: Any) -> LearnReport:
    """Take answers about alarm records, or about rows of data."""
    asked = list(_of_records(data, labels) if _are_records(data) else _of_data(old, data, labels))
    if not asked:
        return LearnReport(True, 0, {"answers": 0})
    taken, now = Taken(), time.time_ns() // 1_000
    settled: list[str] = []
    ordinary = [one for one in asked if not _is_of_a_cause(one, old)]
    if ordinary:
        grown(new, new.space.of_rows(_vectors(new, ordinary)), "feedback", taken)
    for cause, answers in _by_cause([one for one in asked if _is_of_a_cause(one, old)]):
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
        raise InputError(f"alarm {asked[0].item} has no vector: {_WAY_OUT}")
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


def _by_cause(asked: list[Asked]) -> Iterator[tuple[str, list[Asked]]]:
    """Group rows that were answered for: one answer per cause, or per row where the answers differ."""
    groups: dict[str, list[Asked]] = {}
    for one in asked:
        groups.setdefault(one.cause, []).append(one)
    for cause, group in groups.items():
        if len({one.label for one in group}) == 1:
            yield cause, group
        else:
            alone: dict[str, list[Asked]] = {}
            for one in group:
                alone.setdefault(one.item, []).append(one)
            yield from alone.items()


def _vectors(new: EmbeddingRecipe, asked: list[Asked]) -> Vectors:
    missing = [one for one in asked if one.vector is None]
    if missing:
        raise InputError(f"row {missing[0].row} did not alarm, so its verdict has no vector: {_WAY_OUT}")
    return checked_rows([one.vector for one in asked], new.width, "feedback")


def _are_records(data: Any) -> bool:
    if isinstance(data, pl.DataFrame):
        return "item" in data.columns
    return isinstance(data, list | tuple) and bool(data) and isinstance(data[0], Mapping)


def _of_records(data: Any, labels: Any) -> Iterator[Asked]:
    """Read verdicts or alarm records."""
    records: Sequence[Mapping[str, Any]] = data.to_dicts() if isinstance(data, pl.DataFrame) else list(data)
    for record, label in zip(records, _lined_up(labels, records), strict=True):
        if label is None:
            continue
        if "item" not in record or "vector" not in record:
            raise InputError(f"a record without item and vector: {_WAY_OUT}")
        vector = record["vector"]
        item = str(record["item"])
        yield Asked(
            item,
            str(record.get("cause") or item),
            record.get("row"),
            bool(record.get("abnormal", True)),
            str(record.get("why") or ""),
            _microseconds(record.get("time")),
            label,
            None if vector is None else np.asarray(vector, dtype=np.float32),
        )


def _of_data(old: EmbeddingRecipe, data: Any, labels: Any) -> Iterator[Asked]:
    """Score data to find what its rows are; only rows with an answer are kept."""
    scorer, given = old.scorer(), None if isinstance(labels, Mapping) else list(labels)
    by_row = given is None and _is_by_row(labels)
    n_found = 0
    for block in old.batches(data):
        of, frame = scorer.judge(block)
        rows = frame.drop("vector").to_dicts()
        if given is None:
            answers = [_checked(_answer_to(row, labels, by_row=by_row)) for row in rows]
        else:
            answers = [_checked(one) for one in given[rows[0]["row"] : rows[-1]["row"] + 1]]
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


def _is_by_row(labels: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, int | np.integer) for key in labels)


def _answer_to(row: Mapping[str, Any], labels: Mapping[Any, Any], *, by_row: bool) -> Any:
    """Look an answer up by row number, else by item and then by cause, which are alike."""
    return labels.get(row.get("row")) if by_row else labels.get(row.get("item"), labels.get(row.get("cause")))


def _lined_up(labels: Any, records: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Line answers up with records: one each, or by what `labels` is keyed by."""
    if isinstance(labels, Mapping):
        by_row = _is_by_row(labels)
        answers = [_checked(_answer_to(record, labels, by_row=by_row)) for record in records]
        if labels and all(one is None for one in answers):
            raise InputError("no label names an item, cause or row of these records")
        return answers
    answers = [_checked(one) for one in labels]
    if len(answers) != len(records):
        told = f"{len(records):,} rows to answer for, got {len(answers):,} labels"
        raise InputError(f"{told}: give one each, or a mapping")
    return answers


def _checked(label: Any) -> int | None:
    if label is None or label != label:
        return None
    if label not in (0, 1):
        raise InputError(f"a label is 0 (normal), 1 (abnormal) or None, got {label!r}")
    return int(label)


def _microseconds(moment: Any) -> int | None:
    if isinstance(moment, datetime):
        return round(moment.timestamp() * 1e6)
    if isinstance(moment, str) and moment:
        return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1e6)
    return None

"""Which rows did a person answer for: read from verdicts or alarm records, lined up with labels?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.types import Vectors

WAY_OUT = "give alarm records as score writes them (--alarms, or rows of its frame), or the data itself"


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


def are_records(data: Any) -> bool:
    """Say whether data are verdicts or alarm records, not rows to score."""
    if isinstance(data, pl.DataFrame):
        return "item" in data.columns
    return isinstance(data, list | tuple) and bool(data) and isinstance(data[0], Mapping)


def of_records(data: Any, labels: Any, column: str) -> Iterator[Asked]:
    """Read verdicts or alarm records, whose `column` holds the vector that an answer is about."""
    records: Sequence[Mapping[str, Any]] = data.to_dicts() if isinstance(data, pl.DataFrame) else list(data)
    for record, label in zip(records, _lined_up(labels, records), strict=True):
        if label is None:
            continue
        if "item" not in record or column not in record:
            raise InputError(f"a record without item and {column}: {WAY_OUT}")
        vector = record[column]
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


def by_cause(asked: list[Asked]) -> Iterator[tuple[str, list[Asked]]]:
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


def is_by_row(labels: Mapping[Any, Any]) -> bool:
    """Say whether answers are keyed by row numbers."""
    return all(isinstance(key, int | np.integer) for key in labels)


def answer_to(row: Mapping[str, Any], labels: Mapping[Any, Any], *, by_row: bool) -> Any:
    """Look an answer up by row number, else by item and then by cause, which are alike."""
    return labels.get(row.get("row")) if by_row else labels.get(row.get("item"), labels.get(row.get("cause")))


def _lined_up(labels: Any, records: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Line answers up with records: one each, or by what `labels` is keyed by."""
    if isinstance(labels, Mapping):
        by_row = is_by_row(labels)
        answers = [checked(answer_to(record, labels, by_row=by_row)) for record in records]
        if labels and all(one is None for one in answers):
            raise InputError("no label names an item, cause or row of these records")
        return answers
    answers = [checked(one) for one in labels]
    if len(answers) != len(records):
        told = f"{len(records):,} rows to answer for, got {len(answers):,} labels"
        raise InputError(f"{told}: give one each, or a mapping")
    return answers


def checked(label: Any) -> int | None:
    """Give a label as 0, 1 or None; raise InputError for another."""
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

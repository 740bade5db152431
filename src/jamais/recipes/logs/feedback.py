"""What does a person's answer about alarms or items change?

An answer is about a row. A normal row clears all that was suspicious in it; for an abnormal one each suspect is
blamed as far as it is likely to be the one. Answers about rows that are alike, given at once, are one answer: a
person judges a cause, not its thousand repeats.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from jamais.errors import InputError
from jamais.recipes.logs.answers import suspects
from jamais.recipes.logs.answers.beliefs import MOST_MARKS, Answer, Beliefs, blame
from jamais.recipes.logs.answers.odds import ALARMED
from jamais.recipes.logs.units.batch import short_hash
from jamais.types import NO_TIME, LearnReport

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe

KEYS = ("item", "cause", "group", "row")
QUIET = -4.0
"""Log-odds of what is in a row that did not alarm, and was not suspicious there."""
HIDDEN = 0.4
"""Weight of an answer for the loudest of many events in a row in which nothing was suspicious: it may be any."""

Row = Mapping[str, Any]


def feed(old: LogRecipe, new: LogRecipe, data: Any, labels: Any) -> LearnReport:
    """Take answers about items: from alarm records, or from data that is scored to find the items."""
    rows = rows_of(old, data)
    key, answers = _answers(labels, rows)
    told = {0: 0, 1: 0}
    cases: dict[Hashable, Case] = {}
    for row, answer in zip(rows, answers, strict=True):
        if answer is None:
            continue
        if answer not in (0, 1):
            raise InputError(f"a label is 0 (normal), 1 (abnormal) or None, got {answer!r}")
        told[int(answer)] += 1
        case = Case.of(row, key, is_session(old, row))
        mark = mark_of(row)
        if old.confirmed.said_of(case.cause, mark) is not bool(answer):
            cases.setdefault(case.signature, case).hear(bool(answer), mark, _time_of(row))
    for about, answer_ in _folded(list(cases.values()), old.confirmed):
        new.confirmed.add(about.key, answer_, about.text)
        new.quarantine.release(about.key)
    counts = {
        "confirmed normal": told[0],
        "confirmed abnormal": told[1],
        "different causes among them": len(cases),
        "items with an answer": len(new.confirmed),
    }
    return LearnReport(True, sum(told.values()), counts)


@dataclass(frozen=True)
class About:
    """A thing that an answer is about."""

    key: str
    text: str


@dataclass
class Case:
    """All answered rows that are alike."""

    cause: str
    shape: str
    """Of a session; "" for all else."""
    odds: dict[str, float]
    """What may be to blame, with the log-odds it began with."""
    text: str
    sure: bool
    """Whether anything in it was suspicious."""
    weight: float
    named: bool
    """Whether the answer is about the cause itself, rather than about a session that has it."""
    normal: int = 0
    abnormal: int = 0
    time: int = NO_TIME
    marks: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, row: Row, key: str, session: bool) -> Case:
        """Find what an answer about `row` is about; one that names an item or a cause is about that alone."""
        item, alarmed = str(row["item"]), bool(row.get("abnormal", True))
        cause = str(row.get("cause") or item)
        text = str(row.get("why") or row.get("template", ""))
        if key in ("item", "cause"):
            about = item if key == "item" else cause
            return cls(about, "", {about: ALARMED}, text, True, 1.0, True)
        odds = suspects.read(row.get("suspects"))
        sure = bool(odds) or alarmed
        if cause not in odds and (alarmed or not odds):
            odds[cause] = ALARMED if alarmed else QUIET
        weight = 1.0 if sure or row.get("group") is None else HIDDEN
        return cls(cause, item if session else "", odds, text, sure, weight, not session)

    @property
    def signature(self) -> Hashable:
        return self.cause, self.shape, tuple(sorted(self.odds)), self.sure

    @property
    def keys(self) -> list[str]:
        """All that an answer is filed under."""
        return [*self.odds, self.shape] if self.shape else [*self.odds]

    @property
    def share(self) -> float:
        """The answers as one: -1 all normal, 1 all abnormal."""
        return self.weight * (self.abnormal - self.normal) / (self.abnormal + self.normal)

    def hear(self, abnormal: bool, mark: str, time: int) -> None:
        self.abnormal += abnormal
        self.normal += not abnormal
        self.time = max(self.time, time)
        if mark and len(self.marks) < MOST_MARKS:
            self.marks.append(mark)


def rows_of(recipe: LogRecipe, data: Any) -> Sequence[Row]:
    """Give verdicts or alarm records as rows; other data is scored for them."""
    if isinstance(data, pl.DataFrame) and "item" in data.columns:
        return data.to_dicts()
    if isinstance(data, list | tuple) and data and isinstance(data[0], Mapping):
        return list(data)
    scorer = recipe.scorer()
    frames = [frame for records in recipe.batches(data) if (frame := scorer.push(records)) is not None]
    frames.extend(scorer.flush())
    return pl.concat(frames).sort("row").to_dicts() if frames else []


def is_session(recipe: LogRecipe, row: Row) -> bool:
    """Say whether a row is a session, whose item is its shape."""
    return bool(recipe.settings.group_by) and row.get("group") is not None


def mark_of(row: Row) -> str:
    """Tell a row from all others with the same cause; "" where nothing can."""
    time = _time_of(row)
    if time == NO_TIME:
        return ""
    return short_hash(f"{row.get('cause')} {time} {row.get('group')} {row.get('line')}")


def _answers(labels: Any, rows: Sequence[Row]) -> tuple[str, list[int | None]]:
    """Line answers up with rows: one each, or by the first of item, cause, group, row that `labels` is keyed by."""
    if isinstance(labels, Mapping):
        for key in KEYS:
            if any(row.get(key) in labels for row in rows):
                return key, [labels.get(row.get(key)) for row in rows]
        raise InputError("no label names an item, cause, group or row of this data")
    answers: list[int | None] = list(labels)
    if len(answers) != len(rows):
        raise InputError(f"{len(rows)} rows to answer for, got {len(answers)} labels: give one each, or a mapping")
    return "row", answers


def _folded(cases: Sequence[Case], beliefs: Beliefs) -> Iterator[tuple[About, Answer]]:
    """Make one answer per thing of all that was said at once: who is cleared comes first, then who is to blame."""
    cleared = [case for case in cases if case.share < 0.0]
    blamed = [case for case in cases if case.share > 0.0]
    in_doubt = {key for case in blamed for key in case.keys}
    parts: dict[str, list[tuple[Case, float]]] = {}
    for case in cleared:
        for key in case.keys:
            if case.sure or key in in_doubt:
                parts.setdefault(key, []).append((case, case.share))
    so_far = {key: _sum(found) for key, found in parts.items()}
    for case in blamed:
        now = {key: prior + beliefs.moved(key) for key, prior in case.odds.items()}
        shares = blame({key: odds + beliefs.step * so_far.get(key, 0.0) for key, odds in now.items()})
        for key in case.keys:
            parts.setdefault(key, []).append((case, case.share * shares.get(key, 1.0)))
    for key in sorted(parts):
        weight = _sum(parts[key])
        if weight:
            yield _answer(key, weight, [case for case, _ in parts[key]])


def _sum(parts: Sequence[tuple[Case, float]]) -> float:
    """Add up what cases say of one thing, as far as one answer goes."""
    return max(-1.0, min(1.0, math.fsum(share for _, share in parts)))


def _answer(key: str, weight: float, cases: Sequence[Case]) -> tuple[About, Answer]:
    text = next((case.text for case in cases if key in (case.cause, case.shape)), "")
    time = max(case.time for case in cases)
    marks = tuple(dict.fromkeys(mark for case in cases for mark in case.marks))[:MOST_MARKS]
    return About(key, text), Answer(weight > 0.0, abs(weight), time, marks, any(case.named for case in cases))


def _time_of(row: Row) -> int:
    time = row.get("time")
    if not isinstance(time, datetime):
        return NO_TIME
    return round(time.timestamp() * 1e6)

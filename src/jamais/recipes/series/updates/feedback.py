"""What does a person's answer about alarms or rows change?

Answers weigh as evidence for a cause. From the first "abnormal" on, windows near it are told as that incident, until
more is said against it; from the first "normal" on they alarm no more. An answer knows the windows of its alarms: what
shall enter the banks is learned with `learn`, from the data itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.errors import InputError
from jamais.learning import guard
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
from jamais.memory.nearest import squared_differences
from jamais.recipes.series.scorer import ALIKE, SeriesScorer
from jamais.recipes.series.updates.learning import kept_checks
from jamais.recipes.series.walk import Seen, Walk
from jamais.types import LearnReport, Vectors

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe


def feed(old: SeriesRecipe, new: SeriesRecipe, data: Any, labels: Any) -> LearnReport:
    """Take answers about alarm records, or about rows of data."""
    asked = list(of_records(data, labels, "window") if are_records(data) else _of_data(old, data, labels))
    if not asked:
        return LearnReport(True, 0, {"answers": 0})
    now = time.time_ns() // 1_000
    about = [one for one in asked if one.alarmed or one.label == 1 or one.cause in old.answers.by_cause]
    settled: list[str] = []
    for cause, answers in by_cause(about):
        settled += _answer(new, cause, answers, now)
    checks = kept_checks(old, new)
    told = [sum(one.label == label for one in asked) for label in (0, 1)]
    counts = {
        "rows answered normal": told[0],
        "rows answered abnormal": told[1],
        "of these ordinary already": len(asked) - len(about),
        "causes with an answer": len(new.answers),
        "of these settled": sum(one.settled(new.settings.answers) for one in new.answers.by_cause.values()),
    }
    return LearnReport(guard.passed(checks), len(asked), counts, checks, tuple(settled))


def _answer(new: SeriesRecipe, cause: str, asked: list[Asked], now: int) -> list[str]:
    """Let one answer about a cause take effect; say what is settled by it."""
    before, group = new.answers.by_cause.get(cause), new.waiting.groups.get(cause)
    given = [one for one in asked if one.vector is not None]
    if not given and before is None and group is None:
        raise InputError(f"alarm {asked[0].item} has no window, nor has any other given of its cause: {WAY_OUT}")
    windows = _windows(new, given)
    apart = _unlike_the_last(windows, new.reach)
    windows, names = windows[apart], [given[at].item for at in apart]
    if group is not None and cause not in names:
        windows, names = np.concatenate([windows, group.founder[None]]), [*names, cause]
    when = max((one.when for one in asked if one.when is not None), default=now)
    after = new.answers.told(cause, bool(asked[0].label), windows, names, asked[0].why, when)
    new.waiting.drop([cause])
    settings = new.settings.answers
    if after.settled(settings) and not (before is not None and before.settled(settings)):
        side = "abnormal" if after.balance > 0 else "normal"
        return [f"cause {cause} is settled: {side}, {after.given} answers"]
    return []


def _windows(new: SeriesRecipe, given: list[Asked]) -> Vectors:
    if not given:
        return np.empty((0, new.width), dtype=np.float32)
    return checked_rows([one.vector for one in given], new.width, "feedback")


def _unlike_the_last(windows: Vectors, reach: float) -> list[int]:
    """Choose windows [m, width] in the order of time, each unlike the last chosen: few places must do for a cause."""
    chosen: list[int] = []
    for at in range(len(windows)):
        last = windows[chosen[-1:]]
        if not chosen or float(np.sqrt(squared_differences(windows[at : at + 1], last))[0]) > ALIKE * reach:
            chosen.append(at)
    return chosen


def _of_data(old: SeriesRecipe, data: Any, labels: Any) -> Iterator[Asked]:
    """Score data to find what its rows are; only rows with an answer are kept."""
    scorer, given = SeriesScorer(old), None if isinstance(labels, Mapping) else list(labels)
    walk = Walk(old.banks.channels, old.banks.past, old.banks.ahead if scorer.hindsight else 0)
    n_rows = n_found = 0
    reader = old.batches(data)
    stretches = [*(walk.push(block) for block in reader), walk.flush()]
    for seen in stretches:
        if seen is None:
            continue
        for one in _of_stretch(old, scorer, seen, labels if given is None else given):
            n_found += 1
            yield one
        n_rows = max(n_rows, int(seen.rows.max()) + 1)
    if given is not None and len(given) != n_rows:
        raise InputError(f"{n_rows:,} rows to answer for, got {len(given):,} labels: give one each, or a mapping")
    if given is None and labels and not n_found:
        raise InputError("no label names an item, cause or row of this data")


def _of_stretch(old: SeriesRecipe, scorer: SeriesScorer, seen: Seen, labels: Any) -> Iterator[Asked]:
    of, alarms, names = scorer.judge(seen)
    by_place = {alarm.at: alarm for alarm in alarms}
    by_row = isinstance(labels, Mapping) and is_by_row(labels)
    for at in np.flatnonzero(seen.rows >= 0).tolist():
        row, alarm = int(seen.rows[at]), by_place.get(at)
        cause = alarm.cause if alarm is not None else of.answered.get(at, names[at])
        if isinstance(labels, Mapping):
            label = checked(answer_to({"row": row, "item": names[at], "cause": cause}, labels, by_row=by_row))
        else:
            label = checked(labels[row]) if row < len(labels) else None
        if label is None:
            continue
        window = old.places(seen.values, np.array([seen.first + at]))[0]
        why = "" if alarm is None else alarm.why
        yield Asked(names[at], cause, row, alarm is not None, why, None, label, window)

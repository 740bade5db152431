"""How is a memory walked through a flow, one item after the other, and what does the operator have of it?"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.online.logs.operators import Operator


class Judged(NamedTuple):
    """The verdict about an item: the cause under which a person would file the alarm, and what to ask, if anything."""

    alarm: bool
    cause: Hashable = None
    question: Any = None


class Memory(Protocol):
    """Judges items in order, before any answer about them."""

    def judge(self, item: int) -> Judged: ...

    def asked(self, question: Any) -> None:
        """Hear that the operator has taken the question."""
        ...

    def told(self, question: Any, abnormal: bool) -> None: ...


@dataclass(frozen=True)
class Walked:
    """One walk: an alarm and its cause per item, and how many questions were answered."""

    alarms: NDArray[np.bool_]
    causes: list[Hashable]
    n_questions: int


@dataclass(frozen=True)
class Quality:
    """What a walk is worth."""

    f1: float
    precision: float
    recall: float
    questions: int
    alarms: int
    alarm_causes: int
    false_alarms: int
    false_causes: int


def walk(memory: Memory, operator: Operator, n: int) -> Walked:
    """Show `memory` items `0 .. n - 1`; it may ask about each one after its verdict."""
    alarms = np.zeros(n, dtype=np.bool_)
    causes: list[Hashable] = [None] * n
    for item in range(n):
        for answer in operator.due(item):
            memory.told(answer.note, answer.abnormal)
        judged = memory.judge(item)
        alarms[item], causes[item] = judged.alarm, judged.cause
        if judged.question is not None and operator.ask(item, item, judged.question):
            memory.asked(judged.question)
    return Walked(alarms, causes, operator.n_asked)


def quality(walked: Walked, labels: NDArray[np.int64]) -> Quality:
    """Compare the alarms with `labels: [n]`."""
    alarms, bad = walked.alarms, labels == 1
    hits, false, missed = int((alarms & bad).sum()), int((alarms & ~bad).sum()), int((~alarms & bad).sum())
    return Quality(
        f1=2 * hits / max(2 * hits + false + missed, 1),
        precision=hits / max(hits + false, 1),
        recall=hits / max(hits + missed, 1),
        questions=walked.n_questions,
        alarms=hits + false,
        alarm_causes=_distinct(walked, alarms),
        false_alarms=false,
        false_causes=_distinct(walked, alarms & ~bad),
    )


def _distinct(walked: Walked, chosen: NDArray[np.bool_]) -> int:
    return len({walked.causes[item] for item in np.flatnonzero(chosen).tolist()})

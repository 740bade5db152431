"""What has a person said, and how much does it move the odds that something is abnormal?

An answer is evidence, not truth: whoever answers is wrong once in a while. With w the share of wrong answers, one of
them moves log-odds by log((1 - w) / w), and the answers about one thing add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jamais.types import NO_TIME, StateTree

MOST_ANSWERS = 32
"""Kept of one thing; the oldest make room, as what is abnormal may change in time."""
MOST_MARKS = 32
"""Rows remembered of one answer."""
MOST_EVIDENCE = 3.0
"""Agreeing answers beyond which more of them add nothing: a few can always overturn many."""
OLD_WEIGHT = 2.0
"""What an answer counts that was given to a version in which the last one held for ever."""
MEANT = 0.5
"""Weight from which an answer was about a thing, rather than about something else in the same row."""
LEAST_ODDS = -8.0
"""Nothing is less likely to be the one to blame: the last suspect of many is never wholly cleared."""


class Answer(NamedTuple):
    """One answer, as far as it is about one thing."""

    abnormal: bool
    weight: float
    """How much of it is about this thing: 0..1, or more if it comes from an old version."""
    time: int = NO_TIME
    """Of the row that was answered for, in microseconds."""
    marks: tuple[str, ...] = ()
    """Of the rows that were answered for, as far as they can be told apart."""
    named: bool = False
    """Whether the answer names this very thing, rather than a row that it is in."""


@dataclass(frozen=True)
class Told:
    """All answers about one thing, oldest first."""

    text: str
    answers: tuple[Answer, ...] = ()

    @property
    def evidence(self) -> float:
        """Answers that call it abnormal less those that call it normal, by weight."""
        return evidence_of(self.answers)

    @property
    def abnormal(self) -> bool:
        """Whether it was called abnormal rather than normal."""
        return self.evidence >= MEANT

    @property
    def meant(self) -> list[Answer]:
        """The answers that are about this thing for the greater part."""
        return [one for one in self.answers if one.weight >= MEANT]


class Beliefs:
    """Answers by key: an item, another cause of alarms, or the shape of a session."""

    def __init__(self, wrong_share: float = 0.05) -> None:
        self.step = math.log((1.0 - wrong_share) / wrong_share)
        """Nats that one answer moves log-odds by."""
        self.answers: dict[str, Told] = {}
        self._evidence: dict[str, float] = {}  # of `answers`, as scoring asks for it often

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, key: str, answer: Answer, text: str = "") -> None:
        """Take an answer about `key`; what was said before of the same rows no longer counts."""
        told = self.answers.get(key, Told(text))
        before = tuple(_without(told.answers, set(answer.marks)))
        told = Told(text or told.text, (*before, answer)[-MOST_ANSWERS:])
        self.answers[key] = told
        self._evidence[key] = told.evidence

    def evidence(self, key: str) -> float:
        """Give what people said of `key`, in answers: more than 0 abnormal, less normal, 0 nothing or undecided."""
        return self._evidence.get(key, 0.0)

    def moved(self, key: str) -> float:
        """Give by how much answers move the log-odds that `key` is abnormal."""
        return self.step * self.evidence(key)

    def moved_by_name(self, key: str) -> float:
        """Give by how much the answers that name `key` itself move its log-odds."""
        told = self.answers.get(key)
        return 0.0 if told is None else self.step * evidence_of(one for one in told.answers if one.named)

    def nats(self, key: str, counted: float) -> float:
        """Give the surprise of `key`, whatever the alarm rate: what was counted, moved by what people said."""
        return max(0.0, counted + self.moved(key))

    def count(self, key: str) -> int:
        """Give the number of answers about `key`."""
        return len(self.answers[key].meant) if key in self.answers else 0

    def said_of(self, key: str, mark: str) -> bool | None:
        """Give what was answered about `key` for the row with this mark: abnormal, normal, or None."""
        if mark and key in self.answers:
            for answer in self.answers[key].answers:
                if mark in answer.marks:
                    return answer.abnormal
        return None

    def is_abnormal(self, key: str) -> bool:
        """Say whether people have called `key` abnormal rather than normal."""
        return key in self.answers and self.answers[key].abnormal

    def copy(self) -> Beliefs:
        new = Beliefs()
        new.step, new.answers, new._evidence = self.step, dict(self.answers), dict(self._evidence)
        return new

    def state_dict(self) -> StateTree:
        return {
            key: [told.evidence > 0, told.text, [_saved(answer) for answer in told.answers]]
            for key, told in self.answers.items()
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Take over what was saved; versions before 0.4 had one answer of each, which was final."""
        self.answers = {key: Told(str(saved[1]), _answers(saved)) for key, saved in tree.items()}
        self._evidence = {key: told.evidence for key, told in self.answers.items()}


def evidence_of(answers: Iterable[Answer]) -> float:
    """Give the answers that say abnormal less those that say normal, by weight."""
    said = math.fsum(one.weight if one.abnormal else -one.weight for one in answers)
    return max(-MOST_EVIDENCE, min(MOST_EVIDENCE, said))


def blame(odds: Mapping[str, float]) -> dict[str, float]:
    """Say how likely each suspect is the one that makes an abnormal row abnormal: shares, their sum 1.

    `odds`: the log-odds of each, any one of which suffices (noisy-or).
    """
    bounded = {key: max(value, LEAST_ODDS) for key, value in odds.items()}
    highest = max(bounded.values(), default=0.0)
    weights = {key: math.exp(value - highest) for key, value in bounded.items()}
    whole = math.fsum(weights.values())
    return {key: weight / whole for key, weight in weights.items()}


def _without(answers: tuple[Answer, ...], marks: set[str]) -> Iterator[Answer]:
    """Give the answers that are about other rows, too, without the marked ones."""
    for answer in answers:
        left = tuple(mark for mark in answer.marks if mark not in marks)
        if left or not answer.marks:
            yield answer._replace(marks=left)


def _saved(answer: Answer) -> list[Any]:
    return [answer.abnormal, answer.weight, answer.time, list(answer.marks), answer.named]


def _answers(saved: list[Any]) -> tuple[Answer, ...]:
    if len(saved) < 3:
        return (Answer(bool(saved[0]), OLD_WEIGHT, named=True),)
    return tuple(
        Answer(bool(abnormal), float(weight), int(time), tuple(map(str, marks)), bool(named))
        for abnormal, weight, time, marks, named in saved[2]
    )

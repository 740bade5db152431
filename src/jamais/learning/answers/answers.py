"""What have people said of causes, and how sure is it? An answer is evidence, not truth.

Each answer moves the log-odds that a cause is abnormal by log((1 - w) / w), w being the share of wrong answers: log 19
for one in twenty. A cause is settled when several more speak for one side than for the other; no answer is the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError
from jamais.learning.answers.settings import AnswerSettings
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Ints, StateTree, Vectors

MOST = 3
"""Times `agreeing` answers that log-odds reach at most: the wildest certainty can be overturned by as many."""


@dataclass(frozen=True)
class Answer:
    """All that people have said of one cause."""

    balance: int
    """Answers "abnormal" less answers "normal"."""
    given: int
    rows: Vectors
    """Some rows [m, width] of the cause."""
    items: tuple[str, ...]
    """Their items [m]."""
    why: str
    when: int
    """Of the last answer, microseconds since 1970 UTC."""
    alarms: int = 0
    """Alarms that were answered for."""

    def log_odds(self, settings: AnswerSettings) -> float:
        """Give the log-odds that the cause is abnormal."""
        return self.balance * math.log((1.0 - settings.wrong) / settings.wrong)

    def belief(self, settings: AnswerSettings) -> float:
        """Give the probability that the cause is abnormal."""
        return 1.0 / (1.0 + math.exp(-self.log_odds(settings)))

    def settled(self, settings: AnswerSettings) -> bool:
        return abs(self.balance) >= settings.agreeing


class Answers:
    """Answers by cause; bounded, the longest untouched go first."""

    def __init__(self, settings: AnswerSettings, width: int, reach: float) -> None:
        self.settings, self.width, self.reach = settings, width, reach
        self.by_cause: dict[str, Answer] = {}
        self._near: tuple[NearestRows, list[str]] | None = None

    def __len__(self) -> int:
        return len(self.by_cause)

    def told(self, cause: str, abnormal: bool, rows: Vectors, items: list[str], why: str, when: int) -> Answer:
        """Take one answer about a cause of which `rows` [m, width] are known; give all that is known now."""
        before = self.by_cause.pop(cause, None) or Answer(0, 0, rows[:0], (), why, when)
        known = set(before.items)
        fresh = [at for at, item in enumerate(items) if item not in known and item not in items[:at]]
        fresh = fresh[: max(0, self.settings.rows - len(known))]
        most = MOST * self.settings.agreeing
        after = Answer(
            max(-most, min(most, before.balance + (1 if abnormal else -1))),
            before.given + 1,
            np.concatenate([before.rows.reshape(-1, self.width), rows[fresh]]).astype(np.float32),
            (*before.items, *(items[at] for at in fresh)),
            why or before.why,
            when,
            before.alarms + len(items),
        )
        self.by_cause[cause] = after
        if len(self.by_cause) > self.settings.causes:
            self.by_cause.pop(next(iter(self.by_cause)))
        self._near = None
        return after

    def near(self, rows: Vectors) -> list[str | None]:
        """Name the nearest answered cause that each of `rows` [n, width] is in reach of; None where there is none."""
        names, distances = self.closest(rows)
        return [
            name if distance <= self.reach else None for name, distance in zip(names, distances.tolist(), strict=True)
        ]

    def closest(self, rows: Vectors) -> tuple[list[str], Floats]:
        """Name the answered cause that each of `rows` [n, width] is nearest to, and how far it is [n].

        Infinitely far, and without a name, where nothing was answered.
        """
        if self._near is None:
            known = [answer.rows for answer in self.by_cause.values()]
            names = [cause for cause, answer in self.by_cause.items() for _ in answer.rows]
            self._near = NearestRows(np.concatenate(known) if known else rows[:0]), names
        search, names = self._near
        if not len(search):
            return [""] * len(rows), np.full(len(rows), np.inf)
        distances, slots = search.nearest(rows, 1)
        return [names[slot] for slot in slots[:, 0].tolist()], distances[:, 0]

    def labelled(self) -> tuple[Vectors, Ints]:
        """Give rows [m, width] of causes of which more was said for one side, and labels [m], 1 = abnormal."""
        sided = [answer for answer in self.by_cause.values() if answer.balance and len(answer.rows)]
        if not sided:
            return np.empty((0, self.width), dtype=np.float32), np.empty(0, dtype=np.int64)
        labels = [np.full(len(answer.rows), int(answer.balance > 0)) for answer in sided]
        return np.concatenate([answer.rows for answer in sided]), np.concatenate(labels)

    def copy(self) -> Answers:
        new = Answers(self.settings, self.width, self.reach)
        new.by_cause = dict(self.by_cause)
        return new

    def state_dict(self) -> StateTree:
        rows = [answer.rows for answer in self.by_cause.values()]
        return {
            "rows": np.concatenate(rows) if rows else np.empty((0, self.width), dtype=np.float32),
            "answers": [
                [cause, one.balance, one.given, list(one.items), one.why, one.when, one.alarms]
                for cause, one in self.by_cause.items()
            ],
        }

    def load_state_dict(self, tree: StateTree) -> None:
        rows, at = np.asarray(tree["rows"]), 0
        self.by_cause = {}
        for cause, balance, given, items, why, when, alarms in tree["answers"]:
            own = np.array(rows[at : at + len(items)], dtype=np.float32, order="C")
            at += len(items)
            known: Any = (int(balance), int(given), own, tuple(items), str(why), int(when), int(alarms))
            self.by_cause[str(cause)] = Answer(*known)
        if at != len(rows) or rows.ndim != 2 or rows.shape[1] != self.width:
            raise CorruptStateError("answers and their rows do not fit together: load another version")
        self._near = None

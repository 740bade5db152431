"""Who answers? A simulated person: some answers a day, some time later, and some of them wrong."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Habits:
    """How a person answers; time is counted in items (windows, sessions)."""

    name: str
    late: int = 0
    """An answer about what is asked after item i is in before item i + `late`, at the soonest before i + 1."""
    wrong: float = 0.0
    """Share of answers that say the opposite of the truth."""
    budget: int | None = None
    """Answers in each `day`; None: as many as are asked for."""
    day: int = 5_000

    @property
    def by_chance(self) -> bool:
        """Whether another seed is another run."""
        return self.wrong > 0

    @property
    def trust(self) -> float:
        """The share of answers that are right, for methods that want to be told."""
        return 1.0 - self.wrong


TRUTHFUL = Habits("truthful at once")
LATE_AND_WRONG = Habits("1,000 late, 5 % wrong", late=1_000, wrong=0.05, budget=50)
LATE = Habits("1,000 late, 0 % wrong", late=1_000, budget=50)
SOON_AND_WRONG = Habits("100 late, 5 % wrong", late=100, wrong=0.05, budget=50)
WRONG = Habits("at once, 5 % wrong", wrong=0.05, budget=50)


@dataclass(frozen=True)
class Answer:
    """What a person says about an item; `note` is what was asked."""

    due: int
    abnormal: bool
    note: Any


class Operator:
    """Answers questions about items whose truth `labels: [n]` tells, as its habits are."""

    def __init__(self, habits: Habits, labels: NDArray[np.int64], seed: int) -> None:
        self.habits = habits
        self.n_asked = 0
        self.n_wrong = 0
        self._labels = labels
        self._random = np.random.default_rng(seed)
        self._used: Counter[int] = Counter()
        self._answers: deque[Answer] = deque()

    def has_time(self, at: int) -> bool:
        """Say whether one more question may be asked after item `at`."""
        budget = self.habits.budget
        return budget is None or self._used[at // self.habits.day] < budget

    def next_day(self, at: int) -> int:
        """Give the first item of the day after `at`'s."""
        return (at // self.habits.day + 1) * self.habits.day

    def ask(self, at: int, about: int, note: Any = None) -> bool:
        """Ask after item `at` whether item `about` was abnormal; False if there is no time for it today."""
        if about > at:
            raise ValueError(f"item {about} has not come yet: this is after item {at}")
        if not self.has_time(at):
            return False
        slip = bool(self._random.random() < self.habits.wrong)
        self._used[at // self.habits.day] += 1
        self.n_asked += 1
        self.n_wrong += slip
        self._answers.append(Answer(at + max(self.habits.late, 1), bool(self._labels[about]) != slip, note))
        return True

    def due(self, item: int) -> list[Answer]:
        """Take the answers that are in before `item` comes, in the order they were asked for."""
        ready = []
        while self._answers and self._answers[0].due <= item:
            ready.append(self._answers.popleft())
        return ready

    def next_due(self) -> int | None:
        """Give the item before which the next answer is in."""
        return self._answers[0].due if self._answers else None

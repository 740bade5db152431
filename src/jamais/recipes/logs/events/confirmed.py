"""What has a person said? What was called normal is known, what was called abnormal always alarms."""

from __future__ import annotations

from typing import NamedTuple

from jamais.types import StateTree

CONFIRMED_NATS = 40.0
"""Beyond anything that counting can reach: what a person has called abnormal is abnormal."""


class Answer(NamedTuple):
    """A person's verdict about an item (a template, or a text that follows none) or about another cause."""

    abnormal: bool
    text: str


class Confirmed:
    """Answers by item or cause; the last one given holds."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, item: str, abnormal: bool, text: str) -> None:
        self.answers[item] = Answer(abnormal, text)

    def nats(self, item: str, otherwise: float) -> float:
        """Give the surprise of an item: an answer about it stands above what was counted."""
        answer = self.answers.get(item)
        if answer is None:
            return otherwise
        return CONFIRMED_NATS if answer.abnormal else 0.0

    def is_abnormal(self, item: str) -> bool:
        return item in self.answers and self.answers[item].abnormal

    def copy(self) -> Confirmed:
        new = Confirmed()
        new.answers = dict(self.answers)
        return new

    def state_dict(self) -> StateTree:
        return {item: [answer.abnormal, answer.text] for item, answer in self.answers.items()}

    def load_state_dict(self, tree: StateTree) -> None:
        self.answers = {item: Answer(bool(told[0]), str(told[1])) for item, told in tree.items()}

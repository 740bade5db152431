"""What do answers of people make of things, given what was expected of them?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from jamais.recipes.logs.events.beliefs import Beliefs
from jamais.recipes.logs.events.odds import AlarmLine
from jamais.types import NO_TIME, Floats

if TYPE_CHECKING:
    from jamais.recipes.logs.events.meaning import Meaning, Readings
    from jamais.recipes.logs.settings import FeedbackSettings

SHAPE_WEIGHT = 2.0
"""Of an answer about a session, for others of the same shape: nothing else says as much about them."""


class Judgement:
    """The beliefs, the line from which rows alarm, and how the two come together."""

    def __init__(
        self, beliefs: Beliefs, line: AlarmLine, settings: FeedbackSettings, cause_weight: float = 1.0
    ) -> None:
        """`cause_weight`: how much an answer about one row says about others with the same cause."""
        self.beliefs, self.line, self.settings, self.cause_weight = beliefs, line, settings, cause_weight

    @property
    def begun(self) -> bool:
        """Whether anybody has answered anything; until then nothing differs from what was counted."""
        return len(self.beliefs) > 0

    def knows(self, key: str) -> bool:
        return key in self.beliefs.answers

    def unseen(self, counted: Floats, meaning: Meaning, readings: Readings) -> Floats:
        """Give the log-odds `[n]` that unseen texts begin with."""
        trouble = meaning.trouble(readings.sound, self.settings.tone_zero)
        return self.line.unseen(counted, None if trouble is None else self.settings.tone_slope * trouble)

    def moved(self, key: str) -> float:
        return self.cause_weight * self.beliefs.moved(key)

    def score(self, key: str, prior: float, counted: float) -> float:
        """Give the score of one event or cause."""
        return self.line.score(prior + self.moved(key), counted)

    def score_of_row(self, score: float, item: str, cause: str | None) -> float:
        """Give the score of a row of which more than one event is known: a session by its shape, a silence, a rate.

        What was said of the row's own `item` can silence an alarm, not raise one. `cause` is None where what was said
        of it is in the score already.
        """
        alarms = score >= self.line.nats
        moved = (self.of_shape(item, alarms) if item else 0.0) + (self.moved(cause) if cause else 0.0)
        if not moved or (moved > 0.0 and not alarms):
            return score
        return self.line.score(float(self.line.counted(np.array([score]))[0]) + moved, score)

    def of_shape(self, item: str, alarms: bool) -> float:
        """Give by how much answers about sessions of one shape move the log-odds of another."""
        moved = SHAPE_WEIGHT * self.beliefs.moved(item)
        return moved if alarms else min(moved, 0.0)

    def before(self, key: str) -> str:
        """Say how often and when `key` was called abnormal; "" if it was not, or rather not."""
        if not self.beliefs.is_abnormal(key):
            return ""
        meant = self.beliefs.answers[key].meant
        bad = [answer for answer in meant if answer.abnormal]
        times = [answer.time for answer in bad if answer.time != NO_TIME]
        last = ""
        if times:
            when = datetime.fromtimestamp(max(times) // 1_000_000, UTC)
            last = f", like the incident of {when:%Y-%m-%d %H:%M} UTC"
        return f"confirmed abnormal before ({len(bad)} of {len(meant)} answers{last})"

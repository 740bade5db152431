"""What do answers of people make of events and rows, given what was expected of them?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from jamais.recipes.logs.answers.beliefs import Answer, Beliefs
from jamais.recipes.logs.answers.odds import ALARMED, AlarmLine
from jamais.types import NO_TIME, Floats

if TYPE_CHECKING:
    from jamais.recipes.logs.settings import FeedbackSettings


class Judgement:
    """The beliefs, the line from which rows alarm, and how the two come together.

    A line or window is as abnormal as its worst event, so answers are about events. A session is more than its
    events: answers are about its shape, the bag of its events, and only those that name a cause are about the cause.
    """

    def __init__(self, beliefs: Beliefs, line: AlarmLine, settings: FeedbackSettings, sessions: bool) -> None:
        self.beliefs, self.line, self.settings, self.sessions = beliefs, line, settings, sessions

    @property
    def begun(self) -> bool:
        """Whether anybody has answered anything; until then nothing differs from what was counted."""
        return len(self.beliefs) > 0

    @property
    def tells_events(self) -> bool:
        """Whether events are judged one by one by now."""
        return self.begun and not self.sessions

    def settled(self, key: str) -> bool:
        """Say whether enough answers about `key` agree."""
        return abs(self.beliefs.evidence(key)) >= self.settings.settled

    def knows(self, key: str) -> bool:
        return key in self.beliefs.answers

    def unseen(self, counted: Floats, meaning: Floats | None) -> Floats:
        """Give the log-odds `[n]` that unseen texts begin with.

        `meaning: [n]` is how troubling they are, 0..1, by sound and distance from all known ones; None: nobody listens.
        """
        asked = self.settings
        expected = (
            np.full(len(counted), ALARMED) if meaning is None else asked.prior_slope * (meaning - asked.prior_zero)
        )
        return self.line.unseen(counted, expected)

    def score(self, key: str, prior: float, counted: float) -> float:
        """Give the score of one event."""
        return self.line.score(prior + self.beliefs.moved(key), counted)

    def score_of_row(self, score: float, moved: float) -> float:
        """Give the score of a row that is not that of one event: a session, a silence, a rate, a value.

        `moved`: by how much answers move its log-odds. They can silence an alarm; they raise none by themselves.
        """
        if not moved or score < self.line.nats:
            return score
        return self.line.score(ALARMED + moved, score)

    def moved(self, shape: str, cause: str) -> float:
        """Give by how much answers move the log-odds of a row with this `cause` that alarms; `shape` of a session."""
        if shape:
            return self.beliefs.moved(shape) + self.beliefs.moved_by_name(cause)
        return self.beliefs.moved(cause)

    def before(self, *keys: str) -> str:
        """Say how often and when one of `keys` was called abnormal; "" if none was, or rather not."""
        for key in keys:
            if key and self.beliefs.is_abnormal(key):
                return _before(self.beliefs.answers[key].meant)
        return ""


def _before(answers: list[Answer]) -> str:
    bad = [answer for answer in answers if answer.abnormal]
    times = [answer.time for answer in bad if answer.time != NO_TIME]
    last = ""
    if times:
        when = datetime.fromtimestamp(max(times) // 1_000_000, UTC)
        last = f", like the incident of {when:%Y-%m-%d %H:%M} UTC"
    return f"confirmed abnormal before ({len(bad)} of {len(answers)} answers{last})"

"""How do what was counted, what was expected and what people said become one log-odds, and that a score?

As long as nobody has answered, the score is what was counted. From the first answer on, what was never seen or was
answered for alarms when it is more likely abnormal than not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jamais.types import Floats

EVERY_DAY = -6.0
"""Log-odds of what is seen every day: several answers must agree against it."""
VOUCHED = -4.0
"""Log-odds of what data that somebody vouched for held, if rarely. On BGL such alarms are the false ones that the
alarm rate promises; a question is worth its time when it has come some twenty times."""
ALARMED = 0.8
"""Log-odds of what alarms while nothing else is known of it: abnormal, and worth a question at once."""
MOST_EXPECTED = 0.85
"""In answers: whatever was expected, the first answer decides for the time being."""


@dataclass(frozen=True)
class AlarmLine:
    """Translates log-odds of being abnormal into scores: at the alarm line they are even."""

    nats: float
    """The score from which a row is abnormal."""
    step: float
    """Nats of one answer."""

    def known(self, counted: Floats) -> Floats:
        """Give the log-odds `[n]` of known templates that are `counted: [n]` nats rare."""
        return np.where(counted >= self.nats, VOUCHED, EVERY_DAY)

    def unseen(self, counted: Floats, expected: Floats) -> Floats:
        """Give the log-odds `[n]` of texts never seen, `expected: [n]` by their meaning.

        Where even a text never seen is no rarer than normal life, it is not taken for abnormal either.
        """
        most = MOST_EXPECTED * self.step
        bounded = np.clip(expected, -most, most)
        quiet = np.minimum(bounded, np.maximum(counted - self.nats, -most))
        return np.where(counted >= self.nats, bounded, quiet)

    def score(self, odds: float, counted: float) -> float:
        """Give the score of what was counted as surprising, now that its log-odds are known."""
        if odds > 0.0:
            return max(counted, self.nats * (1.0 + 1e-9) + odds)
        return min(counted, 2.0 * self.nats * probability(odds))


def probability(odds: float) -> float:
    """Give the probability of log-odds."""
    return 1.0 / (1.0 + math.exp(-odds)) if odds > -500.0 else 0.0

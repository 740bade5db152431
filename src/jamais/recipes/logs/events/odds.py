"""How do a count, the sound of a text and the answers of people become one log-odds, and that a score?

As long as nobody has answered, the score is what was counted. From the first answer on a thing that has never been
seen, or that has been answered for, alarms when it is more likely abnormal than not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jamais.types import Floats

LEAST_COUNTED = -6.0
"""Log-odds of what is seen every day: several answers must agree against it."""
SILENT_PRIOR = 1.0
"""Log-odds of a thing never seen whose tone says nothing: it alarms."""
MOST_PRIOR = 0.85
"""In answers: the first answer always decides, whatever was expected."""
LEAST_ALARM = 0.5
"""Log-odds of what is just as rare as an alarm must be."""


@dataclass(frozen=True)
class AlarmLine:
    """Translates between scores in nats and log-odds of being abnormal: at the line they are even."""

    nats: float
    """The score from which a row is abnormal."""
    step: float
    """Nats of one answer."""

    @property
    def most_prior(self) -> float:
        return MOST_PRIOR * self.step

    def counted(self, nats: Floats) -> Floats:
        """Give the log-odds `[n]` of what was counted as `nats: [n]` surprising."""
        above = np.clip(nats - self.nats, LEAST_ALARM, self.most_prior)
        return np.where(nats >= self.nats, above, np.clip(nats - self.nats, LEAST_COUNTED, 0.0))

    def unseen(self, nats: Floats, trouble: Floats | None) -> Floats:
        """Give the log-odds `[n]` of things never seen: by how troubling they sound, None if nobody listens.

        Where even an alarming unseen thing is no rarer than normal life, it is not taken for abnormal either.
        """
        sound = np.full(len(nats), SILENT_PRIOR) if trouble is None else trouble
        sound = np.clip(sound, -self.most_prior, self.most_prior)
        return np.where(nats >= self.nats, sound, np.minimum(sound, np.maximum(nats - self.nats, -self.most_prior)))

    def score(self, odds: float, counted: float) -> float:
        """Give the score of what was counted as surprising, now that its log-odds are known."""
        if odds > 0.0:
            return max(counted, self.nats * (1.0 + 1e-9) + odds)
        return min(counted, 2.0 * self.nats * probability(odds))


def probability(odds: float) -> float:
    """Give the probability of log-odds."""
    return 1.0 / (1.0 + math.exp(-odds)) if odds > -500.0 else 0.0

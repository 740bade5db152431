"""How do several surprises in one window of time add up?"""

from __future__ import annotations

import numpy as np

from jamais.types import Floats

WEIGHTS = np.array([1.0, 0.5, 0.25, 0.125])
"""Of the loudest, the second and so on. A fault says several new things at once, a rare routine one or two."""


def loudest(nats: Floats) -> Floats:
    """Give the four largest of `nats: [n]`, largest first, filled up with zeros, [4]."""
    top = np.sort(nats)[::-1][: len(WEIGHTS)]
    return np.concatenate([top, np.zeros(len(WEIGHTS) - len(top))])


def mixed(nats: Floats) -> float:
    """Give the score of a window in which distinct things were `nats: [n]` surprising."""
    return float(loudest(nats) @ WEIGHTS)


MOST_CARRIED = 3.0
"""Nats: what lasts may lift a window over the threshold, not carry one that is barely odd."""


class Persistence:
    """What lasts is worse than what passes: part of a window's excess is carried over to the next one.

    With the surprise s of a window alone and its reference k, the score is s + c where s is above k, else s; and c
    becomes half of c + s - k, at most 3, or 0 after a window not above k. That is a one-sided cumulative sum (Page,
    1954) with a short memory, which adds nothing to a window that is normal by itself: a fault ends when it ends.
    """

    def __init__(self, reference: float, carried: float = 0.0) -> None:
        self.reference = reference
        self.carried = carried

    def score(self, alone: float) -> float:
        """Take the surprise of the next window; give its score."""
        before = self.carried
        if alone <= self.reference:
            self.carried = 0.0
            return alone
        self.carried = min(MOST_CARRIED, 0.5 * (before + alone - self.reference))
        return alone + before

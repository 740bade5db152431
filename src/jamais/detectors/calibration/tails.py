"""How fast do scores of normal rows thin out above the highest that was kept?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jamais.types import Floats

_LARGEST_SHAPE = 0.95  # from 1 on a tail has no mean, and its moments say nothing
_LARGEST_SCALE = 1e300  # an excess of infinity is still more than so much


@dataclass(frozen=True)
class Tail:
    """The excess over the highest kept score: exponential (`shape` 0), or generalised Pareto with a heavy tail."""

    scale: float = 1.0
    shape: float = 0.0

    def nats(self, excess: Floats) -> Floats:
        """Return -log P(a higher score exceeds the highest by at least `excess` [n] >= 0) -> [n]."""
        with np.errstate(over="ignore"):
            parts = excess / self.scale
            return parts if self.shape == 0.0 else np.log1p(self.shape * parts) / self.shape

    def excess(self, nats: float) -> float:
        """Return the excess that is that unlikely: the inverse of `nats`."""
        if self.shape == 0.0:
            return self.scale * nats
        exponent = self.shape * nats
        return math.inf if exponent > 700.0 else self.scale * math.expm1(exponent) / self.shape


def exponential(excess: Floats, weights: Floats, smallest_scale: float) -> Tail:
    """Fit the `excess` [k] of the highest scores over the one below them; `weights` [k] say how often each."""
    return Tail(max(smallest_scale, float(np.average(excess, weights=weights))))


def pareto(excess: Floats, weights: Floats, smallest_scale: float) -> Tail:
    """Fit a generalised Pareto tail by probability-weighted moments (Hosking & Wallis, Technometrics 1987).

    The shape is raised by its standard error and never negative: a tail thought too short makes p-values too
    small by orders of magnitude, one thought too long makes them somewhat large. So bounded scores get an
    exponential tail, and p-values on the safe side.
    """
    finite = np.isfinite(excess)
    excess, weights = excess[finite], weights[finite]
    largest = float(excess.max()) if len(excess) else 0.0
    if not largest > 0.0:
        return Tail(min(smallest_scale, _LARGEST_SCALE))
    k = float(weights.sum())
    upto = np.cumsum(weights)
    parts = excess / largest  # no product overflows
    ranks = (upto - (weights - 1.0) / 2.0 - 0.35) / k
    mean = float(np.add.reduce(weights * parts)) / k
    lower = float(np.add.reduce(weights * (1.0 - ranks) * parts)) / k
    gap = mean - 2.0 * lower
    found = min(2.0 - mean / gap, _LARGEST_SHAPE) if gap > 0.0 else -math.inf
    shape = max(found, 0.0)
    raised = min(max(found + (1.0 + shape) / math.sqrt(k), 0.0), _LARGEST_SHAPE)
    # Above the highest, an excess follows the same law with a scale grown by shape x its height.
    return Tail(min(max(smallest_scale, (mean * (1.0 - shape) + raised) * largest), _LARGEST_SCALE), raised)


FITS = {"exponential": exponential, "pareto": pareto}

"""How high must the bar be that only so many known rows pass it?"""

from __future__ import annotations

import math

import numpy as np

from jamais.types import Floats

LOWEST = -0.7
"""A new cluster has fewer exemplars at first, which makes it seem farther: a bit nearer to known ones is allowed."""
_COUNTED = 5  # rows beyond the bar make a quantile that can be trusted; below that the tail is fitted
_TAIL = 0.1  # of the rows


def bar_for(values: Floats, share: float) -> float:
    """Return a bar of at least `LOWEST` that a share of at most `share` of rows like those with `values` [n] passes.

    With few rows the tail beyond the highest tenth is taken as exponential: the highest of 240 values alone would
    let .4 % pass on average, and much more now and then.
    """
    if not len(values) or share <= 0.0:
        return math.inf
    falling = np.sort(values)[::-1]
    if share * len(falling) >= _COUNTED:
        return float(max(LOWEST, falling[int(share * len(falling))]))
    start, mean, beyond = _tail(falling)
    return max(LOWEST, start + mean * math.log(max(1.0, beyond / share)))


def share_beyond(values: Floats, bar: float) -> float:
    """Return about which share of rows like those with `values` [n] passes `bar`."""
    falling = np.sort(values)[::-1]
    n_beyond = int((falling > bar).sum())
    if n_beyond >= _COUNTED or not len(falling):
        return n_beyond / max(1, len(falling))
    start, mean, beyond = _tail(falling)
    if bar <= start or mean <= 0.0:
        return n_beyond / len(falling)
    return beyond * math.exp(-(bar - start) / mean)


def chance(n: int, of: int, share: float) -> float:
    """Return the log of the probability that `n` or more `of` so many rows come where a `share` was expected."""
    if n <= share * of:
        return 0.0
    # Chernoff's bound: close enough where only orders of magnitude matter, and never too small.
    part = n / of
    share = min(max(share, 1e-12), 1.0)
    rest = (1.0 - part) * math.log((1.0 - part) / max(1.0 - share, 1e-12)) if part < 1.0 else 0.0
    return -of * (part * math.log(part / share) + rest)


def _tail(falling: Floats) -> tuple[float, float, float]:
    """Return where the tail starts, its mean excess, and the share of rows in it."""
    m = min(max(_COUNTED, int(_TAIL * len(falling))), len(falling) - 1)
    if m < 1:
        return float(falling[0]), 0.0, 1.0
    start = float(falling[m])
    return start, float(falling[:m].mean() - start), m / len(falling)

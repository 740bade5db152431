"""Which numbers describe the window that ends at a row?

Each descriptor gives whole numbers, notches of a spread, NaN where nothing is known. They stand in the order [feature,
channel], so that what is far can be put down to channels.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from jamais.detectors.windows.described.grid import NOTCHES, STEPS, ChannelScale, notched
from jamais.detectors.windows.described.trailing import Trailing
from jamais.types import Floats

PARTS = 16
"""Means that tell the course of a window."""


class Descriptor(Protocol):
    """Describes windows of `w` rows."""

    name: str
    w: int
    group: str
    """Descriptions of one group share one vote."""

    def of(self, trailing: Trailing) -> Floats:
        """Describe the windows that end at the rows asked about: [tail, features * C], or [tail, width]; rows before
        them may stand before those."""
        ...


class Statistics:
    """Mean, standard deviation, range, maximum and minimum of every channel; of one row, the row itself."""

    group = "statistics"

    def __init__(self, w: int) -> None:
        self.w, self.name = w, f"statistics {w}"

    def of(self, trailing: Trailing) -> Floats:
        if self.w == 1:
            return notched(trailing.steps[trailing.first :])
        mean, spread, high, low = _moments(trailing, self.w)
        return notched(np.concatenate([mean, spread, high - low, high, low], axis=1))


class Deviations:
    """Standard deviation and range of every channel, and how far it went above and below its mean.

    A level that drifts changes nothing, which is why it is asked beside the statistics.
    """

    group = "deviations"

    def __init__(self, w: int) -> None:
        self.w, self.name = w, f"deviations {w}"

    def of(self, trailing: Trailing) -> Floats:
        mean, spread, high, low = _moments(trailing, self.w)
        return notched(np.concatenate([spread, high - low, high - mean, low - mean], axis=1))


class Shape:
    """The course of every channel about its own mean, by its standard deviation plus one spread of the channel.

    16 means over equal parts, less that of the window: piecewise aggregate approximation (Keogh et al., 2001).
    """

    group = "shapes"

    def __init__(self, w: int) -> None:
        self.w, self.name = w, f"shape {w}"

    def of(self, trailing: Trailing) -> Floats:
        course = _course(trailing, self.w)
        return _standardised(course, axis=1, least=1.0).reshape(len(course), -1)


class Pattern:
    """The course of all channels together, less its mean and by its standard deviation: what it looks like, not how
    large it is (the windows of KMeansAD, Yairi et al., 2001). Channels lie between their extremes in the fit data."""

    group = "patterns"

    def __init__(self, w: int, scale: ChannelScale) -> None:
        self.w, self.name, self._scale = w, f"pattern {w}", scale

    def of(self, trailing: Trailing) -> Floats:
        within: Trailing | None = trailing.known.get(("within", 0))
        if within is None:
            tail = len(trailing.steps) - trailing.first
            within = trailing.known["within", 0] = Trailing(self._scale.of_extent(trailing.steps), tail)
        course = _course(within, self.w)
        return _standardised(course.reshape(len(course), -1), axis=1, least=1e-3)


def _moments(trailing: Trailing, w: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Give mean, standard deviation, maximum and minimum in steps, [tail, C] each; NaN where nothing is known."""
    found: tuple[Floats, Floats, Floats, Floats] | None = trailing.known.get(("moments", w))
    if found is not None:
        return found
    n_known = trailing.counts(w)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = trailing.sums(w) / n_known
        spread = np.sqrt(np.maximum(trailing.squares(w) / n_known - mean * mean, 0.0))
    high, low = trailing.highest(w), trailing.lowest(w)
    if trailing.missing is not None:
        nothing = n_known == 0
        mean, spread, high, low = (np.where(nothing, np.nan, one) for one in (mean, spread, high, low))
    trailing.known["moments", w] = mean, spread, high, low
    return mean, spread, high, low


def _course(trailing: Trailing, w: int) -> Floats:
    """Give the means of 16 parts of each window, the oldest first, [tail, 16, C], in whole steps."""
    found: Floats | None = trailing.known.get(("course", w))
    if found is not None:
        return found
    rows, first = w // PARTS, trailing.first
    # Means of parts that end at any row from the first part of the first window on.
    begin = max(0, first - (PARTS - 1) * rows)
    parts = Trailing(trailing.steps[max(0, begin + 1 - rows) :], len(trailing.steps) - begin)
    means = parts.steps[parts.first :]
    if rows > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.rint(parts.sums(rows) / parts.counts(rows))
    n, channels = len(trailing.steps) - first, trailing.steps.shape[1]
    course = np.empty((n, PARTS, channels))
    for part in range(PARTS):
        start = first - begin - (PARTS - 1 - part) * rows  # row of `means` that the first window has here
        course[: max(0, -start), part] = np.nan  # before the first row
        course[max(0, -start) :, part] = means[max(0, start) : max(0, start + n)]
    trailing.known["course", w] = course
    return course


def _standardised(course: Floats, axis: int, least: float) -> Floats:
    """Take the mean along an axis and divide by the standard deviation plus `least` spreads; NaN is left out.

    Sums are of whole numbers, so they are exact in any order.
    """
    size = course.shape[axis]
    sums = course.sum(axis=axis, keepdims=True)
    filled, n_known = course, np.float64(size)
    if np.isnan(sums.sum()):
        unknown = np.isnan(course)
        filled = np.where(unknown, 0.0, course)
        n_known = np.maximum(size - unknown.sum(axis=axis, keepdims=True), 1)
        sums = filled.sum(axis=axis, keepdims=True)
    mean = sums / n_known
    squares = (filled * filled).sum(axis=axis, keepdims=True) / n_known
    spread = np.sqrt(np.maximum(squares - mean * mean, 0.0)) + least * STEPS
    return np.asarray(np.rint((course - mean) / spread * NOTCHES))

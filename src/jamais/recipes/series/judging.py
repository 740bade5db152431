"""When is a row abnormal? Here is the line that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jamais.memory.nearest import squared_differences
from jamais.recipes.series.walk import Seen
from jamais.types import Bools, Floats, Ints, Vectors

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

_Words = NDArray[np.uint64]


NEARER = 0.8
"""Share of its distance to anything normal within which a window that overlaps one that was answered for is still of
its cause: another anomaly that comes meanwhile is farther from what was answered than from normal life."""


@dataclass
class Going:
    """The answered cause that was met last: what overlaps it is of its coming and going."""

    cause: str = ""
    at: int = -1
    """How many rows had passed by before the last row of it."""


@dataclass(frozen=True)
class Judged:
    """What is known of some rows [m] of a stretch, before causes are told apart."""

    seen: Seen
    score: Floats
    p_value: Floats
    extrapolated: Bools
    abnormal: Bools
    missing: Bools
    parts: Floats
    """Calibrated distance in each bank [m, banks]."""
    answered: dict[int, str]
    """Causes with an answer, by row; of rows that alarm, or would without the answer."""
    asked: Ints
    """Rows that alarm, or would without an answer [a]."""
    places: Vectors
    """The windows of the rows asked [a, width]; empty where nobody has answered or waits."""


def judged(recipe: SeriesRecipe, seen: Seen, going: Going, *, hindsight: bool) -> Judged:
    """Score the rows of a stretch, each by the rows around it; only `going` changes."""
    calibration = recipe.banks.calibration(hindsight)
    look = recipe.banks.look(seen.values, seen.first, seen.last, hindsight=hindsight)
    missing = seen.missing
    score = np.where(missing, 0.0, look.score)
    p_value, extrapolated = calibration.p_value(score)
    p_value[missing], extrapolated[missing] = 1.0, False
    asked = np.flatnonzero(p_value <= recipe.alarm_rate)
    places = recipe.places(seen.values, asked[: None if len(recipe.answers) else 0] + seen.first)
    answered = _answered(recipe, seen.at, asked, places, going)
    if answered:
        told = np.array([row for row, cause in answered.items() if recipe.answers.by_cause[cause].balance < 0], int)
        for row in told.tolist():
            # As rare as the answers leave it: a normal one is right with probability 1 - belief.
            belief = recipe.answers.by_cause[answered[row]].belief(recipe.settings.answers)
            score[row] = min(score[row], calibration.threshold(1.0 - belief))
        if len(told):
            p_value[told], extrapolated[told] = calibration.p_value(score[told])
    abnormal = p_value <= recipe.alarm_rate
    parts = np.where(missing[:, None], 0.0, look.parts)
    return Judged(seen, score, p_value, extrapolated, abnormal, missing, parts, answered, asked, places)


def _answered(recipe: SeriesRecipe, at: int, asked: Ints, places: Vectors, going: Going) -> dict[int, str]:
    """Give the answered causes of rows asked [a], by row; none where nobody has answered.

    Windows change fast while an anomaly comes and goes, and not all of them are kept: those that overlap with one of
    its cause may be farther away.
    """
    if not len(places):
        return {}
    answered: dict[int, str] = {}
    names, distances = recipe.answers.closest(places)
    for row, cause, distance, place in zip(asked.tolist(), names, distances.tolist(), places, strict=True):
        overlaps = cause == going.cause and at + row - going.at <= recipe.banks.past
        if distance <= recipe.reach or (overlaps and distance <= NEARER * _from_normal(recipe, place)):
            answered[row], going.cause, going.at = cause, cause, at + row
    return answered


def _from_normal(recipe: SeriesRecipe, place: Vectors) -> float:
    """Give the distance of one place [width] to the nearest remembered window."""
    known = recipe.banks.jury.own_places()
    return float(np.sqrt(squared_differences(np.broadcast_to(place, known.shape), known).min()))


def items(seen: Seen, past: int) -> list[str]:
    """Name each row [m] by the bits of its values and of the `past` rows before it."""
    start = max(0, seen.first - past)
    rows = _row_hashes(seen.values[start : seen.last])
    lags = _odd(past + 1)[::-1]  # the last one meets the row itself
    padded = np.concatenate([np.zeros(past - (seen.first - start), dtype=np.uint64), rows])
    windows = np.lib.stride_tricks.sliding_window_view(padded, past + 1)
    mixed = _mixed(np.add.reduce(windows * lags, axis=1))
    return [f"{one:016x}" for one in mixed.tolist()]


def _row_hashes(values: Floats) -> _Words:
    """Hash rows [n, channels] to [n]; 0.0 and -0.0 are one, and so is all that is missing."""
    plain = np.where(np.isnan(values), np.nan, values) + 0.0
    words: Any = np.ascontiguousarray(plain).view(np.uint64)
    odd = _odd(words.shape[1])
    return _mixed(np.add.reduce(_mixed(words + odd) * odd, axis=1))


@lru_cache(maxsize=8)
def _odd(n: int) -> _Words:
    """Give n odd numbers, always the same."""
    return _mixed(np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)


def _mixed(words: _Words) -> _Words:
    """Finish as SplitMix64 does (Steele, Lea and Flood 2014): each bit of the input moves half of the output."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))

"""Did an explanation name the channels that were to blame?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Bools, Floats


@dataclass(frozen=True)
class HitRate:
    """Share of the truly responsible channels among those ranked first."""

    each: Floats
    """[m] by row (a segment, or a point of one)."""
    mean: float
    random: float
    """What a random ranking has in the mean."""


def hit_rate(truth: ArrayLike, blame: ArrayLike, percent: float = 100) -> HitRate:
    """Return HitRate@P%: [m, channels] of 0/1 who is to blame, [m, channels] how much each is blamed -> HitRate.

    |truth in the first floor(P% * |truth|) of the ranking| / |truth| (Su et al., OmniAnomaly, KDD 2019; InterFusion
    rounds down, too). Channels of equal blame share the places that they fill, so that no order of channels wins.
    Raises InputError where a row blames nobody in truth.
    """
    real, given = np.asarray(truth), np.asarray(blame, dtype=np.float64)
    if real.ndim != 2 or real.shape != given.shape:
        raise ShapeMismatchError(f"truth and blame are [segments, channels] both, got {real.shape} and {given.shape}")
    if not len(real):
        raise InputError("there is nothing to evaluate: got no segments")
    if not np.isin(real, (0, 1)).all() or np.isnan(given).any():
        raise InputError("truth must be 0 or 1 and blame a number, for every channel of every segment")
    guilty: Bools = real.astype(np.bool_)
    if not guilty.any(axis=1).all():
        row = int(np.flatnonzero(~guilty.any(axis=1))[0])
        raise InputError(f"row {row} has no responsible channel in truth: leave such segments out")
    if percent <= 0:
        raise InputError(f"percent must be above 0, got {percent:g}")
    sizes = guilty.sum(axis=1)
    places = np.minimum(np.floor(percent * sizes / 100), guilty.shape[1]).astype(int)
    each = np.array([_hits(*row) for row in zip(guilty, given, places, strict=True)]) / sizes
    return HitRate(each=each, mean=float(each.mean()), random=float((places / guilty.shape[1]).mean()))


def _hits(guilty: Bools, blame: Floats, places: int) -> float:
    """Count the guilty in the first places; those at the border share what is left."""
    if not places:
        return 0.0
    border = np.sort(blame)[-places]
    above, tied = blame > border, blame == border
    return float(guilty[above].sum() + guilty[tied].sum() * (places - above.sum()) / tied.sum())

"""Where do the abnormal stretches of a series begin and end?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jamais.evaluation.series.given import checked_alarms
from jamais.types import Ints


def segments(labels: ArrayLike) -> Ints:
    """Cut labels (or alarms) into stretches of ones: [n] of 0/1 or bool -> [k, 2] of first row and row after the last.

    `labels[first:after]` is a stretch. Raises InputError on labels other than 0 and 1.
    """
    ones = checked_alarms(labels)
    steps = np.diff(ones.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1).astype(np.int64)

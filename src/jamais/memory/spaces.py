"""Where is a metric Euclidean, so that one exact search serves them all?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Vectors

METRICS = ("euclidean", "cosine")


def in_space(rows: Vectors, metric: str) -> NDArray[Any]:
    """Map rows [n, width] to where the metric is Euclidean; Euclidean rows stay as they are.

    Cosine: unit vectors in float64 with one more coordinate, which only zero vectors use: their distance is 1
    to all others and 0 to one another.
    """
    if metric == "euclidean":
        return rows
    wide = rows.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    zero = norms == 0.0
    return np.concatenate([wide / np.where(zero, 1.0, norms)[:, None], zero[:, None]], axis=1)

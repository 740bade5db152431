"""Which channels fell silent?"""

from __future__ import annotations

import numpy as np

from jamais.detectors.windows.described.grid import NOTCHES
from jamais.detectors.windows.described.trailing import Trailing
from jamais.types import Floats

OVER = 16
"""Rows over which silence is measured."""
FAR = 40.0
"""Spreads that a channel is far out when it was silent in all of them."""


class Silence:
    """Share of the rows in which a channel is missing while others are there.

    Rows in which all is missing, such as gaps between the stamps and what lies before the first row, say nothing.
    """

    group, name, w = "silence", f"silence {OVER}", OVER

    def of(self, trailing: Trailing) -> Floats:
        tail = len(trailing.steps) - trailing.first
        if trailing.missing is None:
            return np.zeros((tail, trailing.steps.shape[1]))
        there = np.asarray(~trailing.missing.all(axis=1))
        silent = Trailing((trailing.missing & there[:, None]).astype(np.float64), tail)
        rows = Trailing(there.astype(np.float64)[:, None], tail)
        return np.rint(FAR * NOTCHES * silent.sums(OVER) / np.maximum(rows.sums(OVER), 1.0))

"""What is a calibration row worth of which other copies are remembered?

Were one copy not learned, the others would be. Detectors that average over random parts (trees, folds) may score it
a little lower then than they score the next copy that comes, and p-values of ordinary repeats would be far too low.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jamais.memory.feature_memory import FeatureMemory
from jamais.types import Floats, Vectors


def not_below_their_repeats(
    unseen: Floats, rows: Vectors, memory: FeatureMemory, scores: Callable[[Vectors], Floats]
) -> Floats:
    """Raise the `unseen` scores [n] of remembered `rows` [n, width] with copies to what the next copy would score."""
    ids = memory.normal.ids_of(rows)
    slots = np.searchsorted(memory.ids, ids)
    several = ids >= 0
    several[several] = memory.counts[slots[several]] > 1
    if not several.any():
        return unseen
    raised = unseen.copy()
    raised[several] = np.maximum(unseen[several], scores(rows[several]))
    return raised

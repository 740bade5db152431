"""Which remembered rows does the model learn from, and which models have not seen a given row?

Where rows are many, those in the calibration sample are held out: a row drawn on arrival is not learned until the
sample drops it. Where the sample is most of what is remembered, the model learns from all, and each row is judged
by one of a few models that have not learned it (cross-conformal prediction, Vovk 2015).
"""

from __future__ import annotations

import numpy as np

from jamais.memory.feature_memory import FeatureMemory
from jamais.types import Floats, Ints, Vectors

FOLDS = 10
MANY = 5
"""Calibration rows are held out if there are this many times as many rows; and at least:"""
ENOUGH = 50


def holds_out(memory: FeatureMemory) -> bool:
    """Say whether calibration rows are kept from the model."""
    n_rows = int(memory.counts.sum())
    return n_rows >= max(ENOUGH, MANY * len(memory.calibration))


def training_weights(memory: FeatureMemory) -> Floats:
    """Return how many of the rows behind each exemplar the model learns from, [m]."""
    weights = memory.counts.astype(np.float64)
    if holds_out(memory):
        slots = own_slots(memory, memory.calibration.rows)
        np.subtract.at(weights, slots[slots >= 0], 1.0)
        weights = np.maximum(weights, 0.0)
    return weights


def fold_weights(memory: FeatureMemory, fold: int) -> Floats:
    """Return how many of the rows behind each exemplar are not in `fold`, [m]."""
    counts = memory.counts
    turns = (fold - memory.ids) % FOLDS  # the first row of an exemplar is in fold id % FOLDS, the next in the next
    return np.asarray(counts - counts // FOLDS - (turns < counts % FOLDS), dtype=np.float64)


def own_slots(memory: FeatureMemory, rows: Vectors) -> Ints:
    """Return the slot [n] of the exemplar that stands for each of `rows` [n, width]; -1 for those not remembered."""
    reach = memory.normal.reach
    if reach > 0 and len(rows):
        distances, slots = memory.index().nearest(rows, 1)
        return np.where(distances[:, 0] <= reach, slots[:, 0], -1)
    known = {row.tobytes(): slot for slot, row in enumerate(memory.rows)}
    return np.array([known.get(row.tobytes(), -1) for row in rows], dtype=np.int64)

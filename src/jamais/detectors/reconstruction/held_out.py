"""Which remembered rows does the model learn from, and which models have not seen a given row?

Where rows are many, those in the calibration sample are held out: a row drawn on arrival is not learned until the
sample drops it. Where the sample is most of what is remembered, the model learns from all, and each row is judged
by one of a few models that have not learned it (cross-conformal prediction, Vovk 2015).
"""

from __future__ import annotations

import numpy as np

from jamais.memory.feature_memory import FeatureMemory
from jamais.types import Floats, Ints, Vectors

_NARROW, _MANY_FOLDS, _FEW_FOLDS = 128, 10, 5
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


def n_folds(memory: FeatureMemory) -> int:
    """Say in how many parts rows are judged: the more, the less is missing to each model, and the more it costs."""
    return _MANY_FOLDS if (memory.width or 0) <= _NARROW else _FEW_FOLDS


def folds_of(memory: FeatureMemory, rows: Vectors) -> Ints:
    """Return the fold [n] of each of `rows` [n, width]; -1 for those that are not remembered."""
    slots = own_slots(memory, rows)
    return np.where(slots >= 0, memory.ids[slots] % n_folds(memory), -1)


def fold_weights(memory: FeatureMemory, fold: int) -> Floats:
    """Return how many of the rows behind each exemplar are not in `fold`, [m]."""
    counts, n = memory.counts, n_folds(memory)
    turns = (fold - memory.ids) % n  # the first row of an exemplar is in fold id % n, the next in the next one
    return np.asarray(counts - counts // n - (turns < counts % n), dtype=np.float64)


def own_slots(memory: FeatureMemory, rows: Vectors) -> Ints:
    """Return the slot [n] of the exemplar that stands for each of `rows` [n, width]; -1 for those not remembered."""
    reach = memory.normal.reach
    if reach > 0 and len(rows):
        distances, slots = memory.index().nearest(rows, 1)
        return np.where(distances[:, 0] <= reach, slots[:, 0], -1)
    known = {row.tobytes(): slot for slot, row in enumerate(memory.rows)}
    return np.array([known.get(row.tobytes(), -1) for row in rows], dtype=np.int64)

"""How do a few remembered abnormal rows sharpen the boundary, without being learned as normal?

A row that is nearer to a remembered abnormal row than to any normal one is lifted above all calibration scores:
by nothing half way, by `NATS` nats where it repeats the abnormal row. Rows nearer to normal ones keep their score.
"""

from __future__ import annotations

import numpy as np

from jamais.detectors.calibration.conformal import Calibration
from jamais.memory.feature_memory import FeatureMemory
from jamais.memory.nearest import NearestRows
from jamais.types import Floats, Vectors

NATS = 5.0


def lifted(
    scores: Floats, rows: Vectors, memory: FeatureMemory, calibration: Calibration, *, own: bool = False
) -> Floats:
    """Lift the scores [n] of `rows` [n, width] that are like an abnormal row; the others stay.

    With `own`, the rows are remembered ones, and the exemplar that stands for each does not count as near.
    """
    to_abnormal = NearestRows(memory.abnormal.rows).nearest(rows, 1)[0][:, 0]
    near = memory.index().nearest(rows, 2 if own else 1)[0]
    to_normal = near[:, 0]
    if own and near.shape[1] > 1:
        to_normal = np.where(near[:, 0] <= memory.normal.reach, near[:, 1], near[:, 0])
    nearer = to_abnormal < to_normal
    closeness = 1.0 - to_abnormal[nearer] / to_normal[nearer]
    higher = scores.copy()
    floor = calibration.values[-1] + calibration.scale * NATS * closeness
    higher[nearer] = np.maximum(scores[nearer], floor)
    return higher

"""Are labels, scores and alarms what the figures of a series need?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Bools, Floats


def checked_labels(labels: ArrayLike, figure: str) -> Bools:
    """Give labels as booleans: [n] of 0/1 or bool -> [n]; a copy.

    Raises InputError on labels that are neither 0 nor 1, and unless there are abnormal and normal rows.
    """
    truth = _binary(labels, "labels must be 0 (normal) or 1 (abnormal): give every row one of them")
    n_abnormal = int(truth.sum())
    if not n_abnormal:
        raise InputError(f"{figure} needs at least one abnormal row, got 0 of {len(truth):,}")
    if n_abnormal == len(truth):
        raise InputError(f"{figure} needs at least one normal row, got 0 of {len(truth):,}")
    return truth


def checked_scores(score: ArrayLike, n: int) -> Floats:
    """Give scores as float64: [n] -> [n]. Raises InputError on another length and on scores that are not numbers."""
    values = np.asarray(score, dtype=np.float64)
    if values.shape != (n,):
        raise ShapeMismatchError(f"there must be one score for each of the {n:,} labels, got {values.shape}")
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum()):,} scores are not numbers: every row needs one")
    return values


def checked_alarms(alarms: ArrayLike, n: int | None = None) -> Bools:
    """Give alarms as booleans: [n] of 0/1 or bool -> [n]; a copy. Raises InputError on anything else."""
    raised = _binary(alarms, "alarms must be true or false: compare scores with a threshold first")
    if n is not None and len(raised) != n:
        raise ShapeMismatchError(f"there must be one alarm (true or false) for each of {n:,} rows, got {len(raised):,}")
    return raised


def _binary(given: ArrayLike, wanted: str) -> Bools:
    values: NDArray[Any] = np.asarray(given)
    if values.ndim != 1:
        raise ShapeMismatchError(f"one row of {wanted.split()[0]} is needed, got an array of shape {values.shape}")
    if not len(values):
        raise InputError("there is nothing to evaluate: got no rows")
    if not np.isin(values, (0, 1)).all():
        raise InputError(wanted)
    return values.astype(np.bool_)

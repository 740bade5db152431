"""What do scores reach that know nothing, or next to nothing?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Bools, Floats

_FLOOR = 0.05  # of the spread of all values: what hardly moved in train must not drown the rest


def squared_norm(values: ArrayLike, train: ArrayLike | None = None) -> Floats:
    """Score each row by its mean squared distance from the mean, channel by channel scaled: [n, channels] -> [n].

    The simplest score there is; a model that does not beat it is not worth its cost. Mean and spread are those of
    `train` [m, channels], or of the values themselves. Missing values (NaN) and constant channels count 0.
    """
    rows = _table(values, "values")
    past = rows if train is None else _table(train, "train")
    if past.shape[1] != rows.shape[1]:
        raise ShapeMismatchError(f"train must have the {rows.shape[1]} channels of the values, got {past.shape[1]}")
    total: Floats = np.zeros(len(rows))
    for channel, before in zip(rows.T, past.T, strict=True):
        known, seen = channel[np.isfinite(channel)], before[np.isfinite(before)]
        if not len(known) or not len(seen):
            continue
        spread = max(float(seen.std()), _FLOOR * float(np.concatenate((known, seen)).std()))
        if spread > 0:
            total += np.where(np.isfinite(channel), ((channel - seen.mean()) / spread) ** 2, 0)
    total /= rows.shape[1]
    return total


def highest(score: Floats, n_alarms: int) -> Bools:
    """Alarm on so many rows, those of the highest score: [n] -> [n]; the earlier of equal ones."""
    alarms: Bools = np.zeros(len(score), dtype=np.bool_)
    alarms[np.argsort(-score, kind="stable")[:n_alarms]] = True
    return alarms


def _table(values: ArrayLike, name: str) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.shape[1]:
        raise ShapeMismatchError(f"{name} must be [rows, channels], got {table.shape}")
    if not len(table):
        raise InputError(f"{name} have no rows: leave them out instead")
    return table

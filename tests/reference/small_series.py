"""A small series that repeats, anomalies to put into it, and watchers of it."""

from __future__ import annotations

from typing import Any

import numpy as np

import jamais

PERIODS = (20.0, 40.0, 10.0)
TINY: dict[str, Any] = {
    "alarm_rate": 0.005,
    "banks.prototypes": 64,
    "banks.statistics": (1, 8),
    "banks.deviations": (8,),
    "banks.shapes": (16,),
    "banks.patterns": (16,),
    "reading.block_rows": 64,
}


def normal(n: int, seed: int = 0, at: int = 0) -> np.ndarray:
    """Give rows [n, 3] of ordinary life from row `at` of its clock on."""
    rng = np.random.default_rng(seed)
    times = np.arange(at, at + n)[:, None]
    return np.asarray(np.sin(2 * np.pi * times / np.array(PERIODS)) + 0.1 * rng.normal(size=(n, 3)))


def shifted(values: np.ndarray, first: int, last: int, channel: int = 1, by: float = 3.0) -> np.ndarray:
    """Give the same rows, one channel of rows first … last - 1 being moved."""
    new = values.copy()
    new[first:last, channel] += by
    return new


def today() -> np.ndarray:
    """Give rows [160, 3] with two anomalies, some missing values and two empty rows."""
    rows = shifted(shifted(normal(160, 1, 400), 60, 75), 120, 124)
    rows[30, 0] = np.nan
    rows[31:33] = np.nan
    return rows


def listed(values: np.ndarray) -> list[list[float | None]]:
    """Give rows as lists, None for what is missing."""
    return [[None if value != value else value for value in row] for row in values.tolist()]


def watcher(n: int = 400, data: Any = None, **settings: Any) -> jamais.watcher.Watcher:
    """Fit a small watcher."""
    return jamais.fit(normal(n) if data is None else data, kind="series", settings={**TINY, **settings})

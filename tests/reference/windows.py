"""What do window banks say of one row, written to be obviously right? Plain loops over one window after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS, NOTCHES, PARTS, MOST = 256, 32, 16, 5.0


def score(banks: Any, values: np.ndarray, row: int) -> float:
    """Give the score of one row of `values` [n, C], looking at nothing after it."""
    steps = np.rint(
        np.clip((values - banks.scale.mean) / banks.scale.unit, -banks.scale.clip, banks.scale.clip) * STEPS
    )
    total = 0.0
    for at, bank in enumerate(banks.jury.banks):
        name, w = bank.descriptor.name.split()[0], bank.descriptor.w
        if name == "surprise":
            continue  # has a twin of its own
        mine = described(name, w, steps[: row + 1], banks.scale)
        theirs = [described(name, w, window, banks.scale) for window in windows_of(banks.remembered)]
        part = nearest_mean(mine, theirs, banks.remembered.stands, banks.settings.neighbours) / banks.units[at]
        if known_rows(steps[: row + 1], w) < 0.75 * w:
            part = 0.0
        total += banks.weights[at] * MOST * part / (MOST + part)
    return total


def windows_of(remembered: Any) -> list[np.ndarray]:
    windows = remembered.windows.astype(np.float64)
    windows[windows == np.iinfo(np.int16).min] = np.nan
    return list(windows)


def described(name: str, w: int, steps: np.ndarray, scale: Any) -> np.ndarray:
    """Describe the last `w` rows of `steps` [n, C]; NaN where nothing is known."""
    if name == "pattern":
        steps = np.rint(steps * (scale.unit / scale.extent) + (scale.mean - scale.low) / scale.extent * STEPS)
    window = np.full((w, steps.shape[1]), np.nan)
    last = steps[-w:]
    window[w - len(last) :] = last
    if name == "silence":
        there = [row for row in window if not np.isnan(row).all()]
        silent = [sum(np.isnan(row[c]) for row in there) / max(len(there), 1) for c in range(steps.shape[1])]
        return np.rint(np.array(silent) * 40.0 * NOTCHES)
    if name in ("statistics", "deviations"):
        return notched(np.concatenate(moments(window, w, name)))
    rows = w // PARTS
    with np.errstate(invalid="ignore"):
        course = np.array([rounded_mean(window[part * rows : (part + 1) * rows]) for part in range(PARTS)])
    if name == "shape":
        return np.concatenate([list(column) for column in zip(*(standard(c, 1.0) for c in course.T), strict=True)])
    return standard(course.ravel(), 1e-3)


def moments(window: np.ndarray, w: int, name: str) -> list[np.ndarray]:
    if w == 1:
        return [window[0]]
    found = []
    for column in window.T:
        known = column[~np.isnan(column)]
        if not len(known):
            found.append([np.nan] * (5 if name == "statistics" else 4))
            continue
        mean, sd, high, low = known.mean(), known.std(), known.max(), known.min()
        found.append(
            [mean, sd, high - low, high, low] if name == "statistics" else [sd, high - low, high - mean, low - mean]
        )
    return list(np.array(found).T)


def rounded_mean(rows: np.ndarray) -> np.ndarray:
    known = (~np.isnan(rows)).sum(axis=0)
    sums = np.nansum(rows, axis=0)
    return np.where(known > 0, np.rint(sums / np.maximum(known, 1)), np.nan)


def standard(course: np.ndarray, least: float) -> np.ndarray:
    known = course[~np.isnan(course)]
    if not len(known):
        return course
    return np.rint((course - known.mean()) / (known.std() + least * STEPS) * NOTCHES)


def notched(steps: np.ndarray) -> np.ndarray:
    return np.rint(steps * (NOTCHES / STEPS))


def nearest_mean(mine: np.ndarray, theirs: list[np.ndarray], stands: np.ndarray, k: int) -> float:
    """Give the mean of the k smallest distances, a window counting as often as those it stands for."""
    distances = []
    for other, times in zip(theirs, stands.tolist(), strict=True):
        both = ~np.isnan(mine) & ~np.isnan(other)
        if both.any():
            square = ((mine[both] - other[both]) ** 2).sum() * len(mine) / both.sum()
            distances += [np.sqrt(square) / NOTCHES] * times
    return float(np.mean(sorted(distances)[:k])) if distances else 0.0


def known_rows(steps: np.ndarray, w: int) -> int:
    return int((~np.isnan(steps[-w:]).all(axis=1)).sum())

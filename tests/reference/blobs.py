"""Rows of numbers in clusters that are known exactly, and watchers of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from jamais import Watcher
from jamais.api import fit

WIDTH = 6
CENTRES = 20 * np.random.default_rng(7).normal(size=(8, WIDTH))
"""Far from each other: their rows spread by 1."""
KNOWN = (0, 1, 2)


def blob(cluster: int, n: int, seed: int) -> np.ndarray:
    """Give `n` rows of one cluster."""
    chance = np.random.default_rng([seed, cluster])
    return (CENTRES[cluster] + chance.normal(size=(n, WIDTH))).astype(np.float32)


def tight(cluster: int, n: int, seed: int) -> np.ndarray:
    """Give `n` rows of one cluster that lie so near to each other that they are of one cause."""
    return ((blob(cluster, n, seed) - CENTRES[cluster]) * 0.2 + CENTRES[cluster]).astype(np.float32)


def ordinary(n: int, seed: int) -> np.ndarray:
    """Give about `n` rows of the known clusters, mixed."""
    rows = np.concatenate([blob(cluster, n // 3, seed) for cluster in KNOWN])
    return np.random.default_rng(seed).permutation(rows)


def scattered(n: int, seed: int) -> np.ndarray:
    """Give `n` rows that are far from everything and from each other."""
    return (400 * np.random.default_rng([seed, 99]).normal(size=(n, WIDTH))).astype(np.float32)


def watcher(n: int = 450, **changes: Any) -> Watcher:
    """Fit a watcher of ordinary rows."""
    return fit(ordinary(n, seed=1), kind="embeddings", settings={"alarm_rate": 0.01, **changes})


@functools.cache
def fitted() -> Watcher:
    """Give one that is shared: not to be changed."""
    return watcher()

"""Which rows are scored, and which of them are abnormal?

The 17 ODDS sets that PyOD keeps in its repository (`notebooks/data/*.mat`), read where they lie; sets made from what
scikit-learn brings along; generated ones; and templates of logs, one system left out at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import data_folder

LARGEST = 4_000
"""Rows of a set that take part in one round; larger ones are drawn from, seed by seed."""
_FIT_SHARE = 0.6

Rows = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Rows to fit on and rows to test on, standardised by the fitted ones."""

    table: str
    data: str
    seed: int
    fit: Rows
    test: Rows
    abnormal: Bools
    """Which of the test rows."""


def odds_splits(folder: Path | None, seeds: int) -> Iterator[Split]:
    """Split each tabular set in two ways: fit on 60 % as they are, and on the normal ones among these."""
    for name, rows, abnormal in _tabular(folder):
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(rows))[:LARGEST]
            cut = int(_FIT_SHARE * len(order))
            fit, test = order[:cut], order[cut:]
            if abnormal[test].any() and not abnormal[test].all():
                yield _split("as they are", name, seed, rows[fit], rows[test], abnormal[test])
                yield _split("normals only", name, seed, rows[fit[~abnormal[fit]]], rows[test], abnormal[test])


def template_splits(seeds: int) -> Iterator[Split]:
    """Leave out each of 16 systems: fit on 60 % of the other systems' templates, test on the rest and on it."""
    path = data_folder().parent / "embeddings" / "loghub_templates1363_minilm384_f16.npz"
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as kept:
        rows, systems = kept["X"].astype(np.float64), kept["system"]
    for system in np.unique(systems).tolist():
        left_out = np.flatnonzero(systems == system)
        for seed in range(seeds):
            others = np.random.default_rng(seed).permutation(np.flatnonzero(systems != system))
            cut = int(_FIT_SHARE * len(others))
            test = np.concatenate([others[cut:], left_out])
            abnormal = np.arange(len(test)) >= len(others) - cut
            yield Split("templates", str(system), seed, rows[others[:cut]], rows[test], abnormal)


def _split(table: str, name: str, seed: int, fit: Rows, test: Rows, abnormal: Bools) -> Split:
    centre, spread = fit.mean(axis=0), fit.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return Split(table, name, seed, (fit - centre) / spread, (test - centre) / spread, abnormal)


def _tabular(folder: Path | None) -> Iterator[tuple[str, Rows, Bools]]:
    for path in sorted(folder.glob("*.mat")) if folder else []:
        from scipy.io import loadmat

        found = loadmat(str(path))
        yield path.stem, np.asarray(found["X"], dtype=np.float64), np.asarray(found["y"]).ravel() > 0
    for name, make in _MADE.items():
        yield (name, *make())


def _bundled(loader: str, abnormal_class: int, n_abnormal: int) -> Callable[[], tuple[Rows, Bools]]:
    """Let a class of a set that scikit-learn brings along be rare and abnormal."""

    def make() -> tuple[Rows, Bools]:
        from sklearn import datasets

        rows, classes = getattr(datasets, loader)(return_X_y=True)
        rare = np.flatnonzero(classes == abnormal_class)
        kept = np.random.default_rng(0).permutation(rare)[:n_abnormal]
        chosen = np.concatenate([np.flatnonzero(classes != abnormal_class), kept])
        return np.asarray(rows[chosen], dtype=np.float64), classes[chosen] == abnormal_class

    return make


def _clusters_with_near_outliers() -> tuple[Rows, Bools]:
    """Draw 12 clusters in 16 dimensions; outliers lie at 1.5 to 2 times the spread of one."""
    rng = np.random.default_rng(0)
    centres, sizes = rng.normal(size=(12, 16)) * 3, rng.uniform(0.3, 1.5, size=12)
    which = rng.integers(0, 12, 1500)
    far = rng.uniform(1.5, 2.0, size=(80, 1))
    rows = centres[which] + rng.normal(size=(1500, 16)) * sizes[which, None]
    at = rng.integers(0, 12, 80)
    return _with(rows, centres[at] + rng.normal(size=(80, 16)) * sizes[at, None] * far)


def _dense_beside_sparse() -> tuple[Rows, Bools]:
    """Draw a dense and a sparse cloud in the plane; outliers lie beside the dense one: only locally abnormal."""
    rng = np.random.default_rng(1)
    angles = rng.uniform(0, 2 * np.pi, 60)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.8, 1.4, size=(60, 1))
    return _with(np.concatenate([rng.normal(size=(700, 2)) * 0.15, rng.normal(size=(500, 2)) * 2 + 8]), ring)


def _many_columns() -> tuple[Rows, Bools]:
    """Draw rows of rank 5 in 60 columns; outliers leave the subspace."""
    rng = np.random.default_rng(2)
    basis = rng.normal(size=(5, 60))
    rows = rng.normal(size=(1200, 5)) @ basis + 0.3 * rng.normal(size=(1200, 60))
    return _with(rows, rng.normal(size=(60, 5)) @ basis + 0.6 * rng.normal(size=(60, 60)))


def _with(rows: Rows, outliers: Rows) -> tuple[Rows, Bools]:
    return np.concatenate([rows, outliers]), np.arange(len(rows) + len(outliers)) >= len(rows)


_MADE: dict[str, Callable[[], tuple[Any, Any]]] = {
    "breast cancer (scikit-learn)": _bundled("load_breast_cancer", 0, 30),
    "digits, 4 rare (scikit-learn)": _bundled("load_digits", 4, 60),
    "wine (scikit-learn)": _bundled("load_wine", 2, 10),
    "clusters, near outliers": _clusters_with_near_outliers,
    "dense beside sparse": _dense_beside_sparse,
    "many columns, rank 5": _many_columns,
}

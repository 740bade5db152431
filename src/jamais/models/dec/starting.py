"""Which first clusters are there?"""

from __future__ import annotations

import numpy as np

from jamais.detectors.cluster.kmeans import k_means
from jamais.errors import InputError
from jamais.learning.dec.neighbours import spectral_rows
from jamais.models.dec.config import DECConfig
from jamais.types import Floats, Ints, Vectors


def first_labels(latents: Vectors, neighbours: Ints | None, config: DECConfig) -> Ints:
    """Return the labels [n] of the best of `n_init` runs of k-means.

    It looks at the latents [n, width], or where there are `neighbours` [n, m] at twice as many eigenvectors of their
    graph as there are clusters: with as many, a cluster that is loosely connected hides another.
    Raise `InputError` when fewer rows differ than there are clusters.
    """
    seen = latents if neighbours is None else spectral_rows(neighbours, 2 * config.n_clusters)
    rows = np.ascontiguousarray(seen - seen.mean(axis=0, dtype=np.float64), dtype=np.float32)
    best: Ints | None = None
    least = np.inf
    for run in range(config.n_init):
        labels = k_means(rows, np.ones(len(rows)), config.n_clusters, np.random.default_rng([config.seed, run]))
        if int(labels.max()) + 1 == config.n_clusters:
            inertia = float(np.square(rows - means_of(rows, labels)[labels]).sum())
            if inertia < least:
                best, least = labels, inertia
    if best is None:
        raise InputError(
            f"n_clusters={config.n_clusters}, but k-means found no more than {len(np.unique(rows, axis=0))} different "
            f"latents in {len(rows):,} rows: set fewer clusters, or give rows that differ"
        )
    return best


def means_of(rows: Vectors, labels: Ints) -> Floats:
    """Return the mean [k, width] of the rows [n, width] of each label."""
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(sums, labels, rows)
    return np.asarray(sums / np.bincount(labels)[:, None])

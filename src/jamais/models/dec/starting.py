"""Where do the first centres lie?"""

from __future__ import annotations

import numpy as np

from jamais.detectors.cluster.kmeans import k_means
from jamais.errors import InputError
from jamais.models.dec.config import DECConfig
from jamais.types import Floats, Ints, Vectors


def start_centres(latents: Vectors, config: DECConfig) -> Vectors:
    """Return the centres [n_clusters, width] of the best of `n_init` runs of k-means on latents [n, width].

    Raise `InputError` when there are fewer different latents than clusters.
    """
    middle = latents.mean(axis=0, dtype=np.float64)
    rows = np.ascontiguousarray(latents - middle, dtype=np.float32)
    weights = np.ones(len(rows))
    best: Floats | None = None
    least = np.inf
    for run in range(config.n_init):
        labels = k_means(rows, weights, config.n_clusters, np.random.default_rng([config.seed, run]))
        centres = _means(rows, labels)
        if len(centres) == config.n_clusters:
            inertia = float(np.square(rows - centres[labels]).sum())
            if inertia < least:
                best, least = centres, inertia
    if best is None:
        raise InputError(
            f"n_clusters={config.n_clusters}, but k-means found no more than {len(np.unique(rows, axis=0))} different "
            f"latents in {len(rows):,} rows: set fewer clusters, or give rows that differ"
        )
    return np.asarray(best + middle, dtype=np.float32)


def _means(rows: Vectors, labels: Ints) -> Floats:
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(sums, labels, rows)
    return np.asarray(sums / np.bincount(labels)[:, None])

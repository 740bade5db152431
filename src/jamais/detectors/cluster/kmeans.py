"""Around which few centres do weighted rows lie?

Lloyd's iterations from k-means++ seeds (Arthur & Vassilvitskii, SODA 2007; each seed the best of a few draws).
Products are taken in float32: they decide who belongs together, never a score.
"""

from __future__ import annotations

import numpy as np

from jamais.types import Floats, Ints, Vectors

_DRAWS = 3  # candidates per seed
_ITERATIONS = 50
_SETTLED = 1e-3  # share of rows that may still change sides
_SAME = 1e-6  # squared distance, of the squared norms: what float32 products cannot tell from a repeat


def k_means(rows: Vectors, weights: Floats, k: int, rng: np.random.Generator) -> Ints:
    """Label `rows` [n, width] (centred) with one of at most `k` clusters; fewer where rows repeat. -> [n]"""
    return settled(rows, weights, rows[seeds(rows, weights, k, rng)])


def settled(rows: Vectors, weights: Floats, centres: Vectors) -> Ints:
    """Move `centres` [k, width] to the means of the rows nearest to them until few rows change sides.

    Return the labels [n] of the rows, 0 … k'-1: centres that lost all rows are gone.
    """
    heavy = weights.astype(np.float32)
    every = np.arange(len(rows))
    labels = np.full(len(rows), -1)
    for _ in range(_ITERATIONS):
        before, labels = labels, nearest(rows, centres)
        if np.count_nonzero(labels != before) <= _SETTLED * len(rows):
            break
        members = np.zeros((len(centres), len(rows)), dtype=np.float32)
        members[labels, every] = heavy
        mass = members.sum(axis=1, dtype=np.float64)
        kept = mass > 0
        centres = ((members[kept] @ rows) / mass[kept, None]).astype(np.float32)
        labels = (np.cumsum(kept) - 1)[labels]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def nearest(rows: Vectors, centres: Vectors) -> Ints:
    """Return the nearest of `centres` [k, width] to each of `rows` [n, width], [n], up to rounding."""
    squares = (-2 * centres) @ rows.T  # [k, n]: the minimum over few rows of it is cheap
    squares += np.add.reduce(centres * centres, axis=1)[:, None]
    return np.asarray(squares.argmin(axis=0), dtype=np.int64)


def seeds(rows: Vectors, weights: Floats, k: int, rng: np.random.Generator) -> Ints:
    """Draw at most `k` distinct rows, each the likelier the farther it is from those before; return slots."""
    norms = np.add.reduce(rows * rows, axis=1)
    chosen = [int(rng.choice(len(rows), p=weights / weights.sum()))]
    gaps = _gaps(rows, norms, np.array(chosen))[0]
    while len(chosen) < k:
        upto = np.cumsum(weights * gaps)
        if not upto[-1] > 0:
            break
        drawn = np.minimum(np.searchsorted(upto, rng.random(_DRAWS) * upto[-1], side="right"), len(rows) - 1)
        smaller = np.minimum(_gaps(rows, norms, drawn), gaps)
        best = int((smaller @ weights).argmin())
        chosen.append(int(drawn[best]))
        gaps = smaller[best]
    return np.array(chosen, dtype=np.int64)


def _gaps(rows: Vectors, norms: Vectors, slots: Ints) -> Floats:
    """Return squared distances [len(slots), n]; 0 for repeats."""
    scale = norms + norms[slots, None]
    squares = scale - 2 * (rows[slots] @ rows.T)
    squares[squares <= _SAME * scale] = 0
    squares[np.arange(len(slots)), slots] = 0
    return squares.astype(np.float64)

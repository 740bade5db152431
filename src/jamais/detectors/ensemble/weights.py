"""How much does each detector count? Without labels by how it hears rows that are not normal; else by labels.

Two kinds of rows are made from normal ones. *Strays* lie beyond them: a member that agrees with nobody on normal rows
and strays is noise. (On normal rows alone, good detectors that look at different things agree no more than noise does;
weights by such agreement are worse than none.) *Mixtures* have each column from another row: the louder a member
hears that columns do not belong together, the more it counts.
"""

from __future__ import annotations

import numpy as np

from jamais.types import Bools, Floats, Vectors

N_MADE = 300
_ENOUGH = 0.3  # agreement beyond chance from which on a member is no noise
_LOUDEST = 30.0  # nats
_ROUNDS = 20
_STRENGTH = 1.0  # of the pull towards the weights without labels, in labelled rows
_GENTLE = 0.01  # keeps a scale finite where labels are told apart without a mistake
_STEPS = 500


def strays(rows: Vectors) -> Vectors:
    """Make rows that stray from normal `rows` [n, width]: each as far beyond one as another is on its other side."""
    some = rows[:N_MADE].astype(np.float64)
    largest = float(np.finfo(np.float32).max)
    return np.clip(2.0 * some - np.roll(some, 1, axis=0), -largest, largest).astype(np.float32)


def mixtures(rows: Vectors) -> Vectors:
    """Make rows each of whose columns comes from another of the normal `rows` [n, width], which are in random order."""
    n, width = rows.shape
    columns = np.arange(width)
    return np.asarray(rows[(np.arange(min(n, N_MADE))[:, None] + columns) % n, columns])


def agreement(nats: Floats) -> Floats:
    """Rank-correlate each column of `nats` [n, m] with the consensus of the others -> [m], each in -1 … 1.

    The consensus is the mean of ranks, weighted by how much each of the others agrees in turn: a column of noise
    agrees with nobody, and spoils nobody's consensus.
    """
    n, m = nats.shape
    if m < 2 or n < 3:
        return np.ones(m)
    ranks = np.stack([_ranks(nats[:, j]) for j in range(m)])
    found = np.ones(m)
    for _ in range(_ROUNDS):
        weights = np.maximum(found, 0.0)
        total = np.add.reduce(ranks * weights[:, None], axis=0)
        # Of two columns each is the other's only judge: a weight would cancel, and 0 leave nothing to compare.
        others = [total - weights[j] * ranks[j] if weights.sum() > weights[j] else _rest(ranks, j) for j in range(m)]
        found = np.array([_correlation(ranks[j], others[j]) for j in range(m)])
    return found


def without_labels(agreed: Floats, n_rows: int, mixed: Floats) -> Floats:
    """Turn `agreement` [m] on `n_rows` and nats of `mixtures` [k, m] into weights [m] that add up to 1.

    Agreement that noise may reach counts for nothing; beyond it, a weight is the mean of the nats.
    """
    heard = np.clip((agreed - 2.0 / np.sqrt(max(n_rows, 1))) / _ENOUGH, 0.0, 1.0)
    loud = heard * np.minimum(mixed, _LOUDEST).mean(axis=0)
    for weights in (loud, heard):
        if float(weights.sum()) > 0.0:
            return np.asarray(weights / weights.sum(), dtype=np.float64)
    return np.full(len(agreed), 1.0 / len(agreed))


def from_labels(nats: Floats, abnormal: Bools, prior: Floats) -> Floats:
    """Learn weights [m] >= 0 that add up to 1 from `nats` [n, m] of labelled rows, starting from `prior` [m].

    Logistic regression on nats, both kinds of rows weighing the same, with a ridge towards the prior: a few labels
    move the weights a little, many move them as far as the data say. Solved by projected gradient steps.
    """
    if abnormal.all() or not abnormal.any():
        return prior
    shares = np.where(abnormal, 0.5 / abnormal.sum(), 0.5 / (~abnormal).sum())
    sign = np.where(abnormal, 1.0, -1.0)
    centre = np.add.reduce(nats * shares[:, None], axis=0)
    centred = nats - centre
    ridge = _STRENGTH / float(abnormal.sum())
    along_prior = np.add.reduce(centred * prior, axis=1)[:, None]
    scale, offset = _descend(along_prior, sign, shares, np.zeros(1), _GENTLE)
    pulled, _ = _descend(centred, sign, shares, float(scale[0]) * prior, ridge, offset)
    total = float(pulled.sum())
    return pulled / total if total > 0.0 else prior


def _descend(
    columns: Floats, sign: Floats, shares: Floats, towards: Floats, ridge: float, offset: float = 0.0
) -> tuple[Floats, float]:
    """Minimise the mean logistic loss + ridge / 2 |w - towards|² over w >= 0 and an offset; return both."""
    weights = towards.copy()
    curvature = 0.25 * float(np.add.reduce(shares * (np.add.reduce(columns * columns, axis=1) + 1.0))) + ridge
    for _ in range(_STEPS):
        margin = sign * (np.add.reduce(columns * weights, axis=1) + offset)
        pull = -shares * sign / (1.0 + np.exp(np.clip(margin, -700.0, 700.0)))
        slope = np.add.reduce(columns * pull[:, None], axis=0) + ridge * (weights - towards)
        weights = np.maximum(weights - slope / curvature, 0.0)
        offset -= float(np.add.reduce(pull)) / curvature
    return weights, offset


def _rest(ranks: Floats, j: int) -> Floats:
    return np.asarray(np.delete(ranks, j, axis=0).sum(axis=0), dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    """Give ranks [n], tied values sharing their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[places], dtype=np.float64)


def _correlation(left: Floats, right: Floats) -> float:
    left, right = left - left.mean(), right - right.mean()
    spread = float(np.sqrt(np.add.reduce(left * left) * np.add.reduce(right * right)))
    return float(np.add.reduce(left * right)) / spread if spread > 0.0 else 0.0

"""How many clusters do the rows form?

Cut too fine, then join while that explains the rows no worse. Each clustering is judged as a mixture of Gaussians
with a spread per column, with rows counted for their own cluster alone: classification likelihood (Biernacki,
Celeux & Govaert, PAMI 2000), less 3/2 a parameter (AIC3, Bozdogan 1994). The entropy of that likelihood, ln 2 per
row for two halves, is more than the .507 nats that cutting a Gaussian in half gains, so one blob stays one.
"""

from __future__ import annotations

import numpy as np

from jamais.detectors.cluster.kmeans import k_means
from jamais.types import Floats, Ints, Vectors

MOST = 16
"""Clusters that are chosen at most; more have to be asked for. (32 or 64 are better where every row is known to
be normal, and far worse where outliers come in groups: these get clusters of their own.)"""
_SAMPLE = 2_000  # rows that are looked at to choose
_PENALTY = 1.5  # per parameter
_PRIOR = 1.0  # rows' worth of the variance within the fine clusters in every spread: few rows promise nothing
_SMALLEST = 1e-4  # of the whole variance, where the fine clusters are repeats and have none


def chosen_centres(rows: Vectors, weights: Floats, rng: np.random.Generator, most: int = MOST) -> Vectors:
    """Return centres [k, width] for as many clusters as `rows` [n, width] (centred) with `weights` [n] form."""
    if len(rows) > _SAMPLE:
        drawn = rng.permutation(len(rows))[:_SAMPLE]
        rows, weights = rows[drawn], weights[drawn]
    most = max(1, min(most, int(np.sqrt(len(rows))) + 1))
    fine = _Mixture.of(rows, weights, k_means(rows, weights, most, rng))
    return fine.joined().astype(np.float32)


class _Mixture:
    """Mass [k], means [k, width] and squared deviations [k, width] of clusters, and what each costs in nats [k]."""

    def __init__(self, mass: Floats, means: Floats, squares: Floats) -> None:
        self.mass, self.means, self.squares = mass, means, squares
        self._whole = float(mass.sum())
        within = float(squares.sum()) / self._whole / squares.shape[1]
        centre = (mass @ means) / self._whole
        between = float((mass @ (means - centre) ** 2).mean()) / self._whole
        self._typical = max(within, _SMALLEST * (within + between), 1e-300)
        self.costs = self._cost(mass, squares)

    @classmethod
    def of(cls, rows: Vectors, weights: Floats, labels: Ints) -> _Mixture:
        members = np.zeros((int(labels.max()) + 1, len(rows)))
        members[labels, np.arange(len(rows))] = weights
        mass = members.sum(axis=1)
        wide = rows.astype(np.float64)
        means = (members @ wide) / mass[:, None]
        squares = members @ (wide - means[labels]) ** 2
        return cls(mass, means, squares)

    def joined(self) -> Floats:
        """Join the best pair again and again down to one; return the means [k, width] at the cheapest number."""
        live = np.arange(len(self.mass))
        total = cheapest = float(self.costs.sum())
        best = self.means.copy()
        gains = np.full((len(live), len(live)), -np.inf)
        for slot in live.tolist():
            self._gain(slot, live, gains)
        while len(live) > 1:
            kept, lost = (int(i) for i in np.unravel_index(gains.argmax(), gains.shape))
            total -= float(gains[kept, lost])
            self._join(kept, lost)
            live = live[live != lost]
            gains[lost], gains[:, lost] = -np.inf, -np.inf
            self._gain(kept, live, gains)
            if total <= cheapest:
                cheapest, best = total, self.means[live].copy()
        return best

    def _gain(self, slot: int, live: Ints, gains: Floats) -> None:
        """Note what joining `slot` with each other live cluster would save."""
        others = live[live != slot]
        if len(others):
            mass, squares = self._both(slot, others)
            saved = self.costs[slot] + self.costs[others] - self._cost(mass, squares)
            gains[slot, others] = gains[others, slot] = saved

    def _both(self, slot: int, others: Ints) -> tuple[Floats, Floats]:
        mass = self.mass[slot] + self.mass[others]
        apart = (self.mass[slot] * self.mass[others] / mass)[:, None] * (self.means[others] - self.means[slot]) ** 2
        return mass, self.squares[slot] + self.squares[others] + apart

    def _join(self, kept: int, lost: int) -> None:
        mass, squares = self._both(kept, np.array([lost]))
        share = self.mass[lost] / mass[0]
        self.means[kept] += share * (self.means[lost] - self.means[kept])
        self.mass[kept], self.squares[kept] = mass[0], squares[0]
        self.costs[kept] = self._cost(mass, squares)[0]

    def _cost(self, mass: Floats, squares: Floats) -> Floats:
        """Return -log likelihood of each cluster with its share, and the price of its parameters, [k]."""
        spreads = (squares + _PRIOR * self._typical) / (mass + _PRIOR)[:, None]
        fit = 0.5 * ((mass + _PRIOR)[:, None] * np.log(spreads / self._typical)).sum(axis=1)
        shares = mass * np.log(mass / self._whole)
        return np.asarray(fit - shares + _PENALTY * (2 * squares.shape[1] + 1), dtype=np.float64)

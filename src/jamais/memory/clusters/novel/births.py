"""Which recent rows form clusters that are not known yet?

Rows that the known ones do not explain are found by a two-sample test, recruit their like until that settles, and
fall into groups. Held-out known rows go through the same steps: what they reach, explained rows reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.memory.clusters.layers import LOCAL, Layer, Near, contrast
from jamais.memory.clusters.novel.budget import bar_for, chance
from jamais.memory.clusters.novel.grouping import groups_of
from jamais.memory.clusters.novel.unexplained import unexplained
from jamais.memory.clusters.space import Points
from jamais.types import Bools, Floats, Ints, Vectors

_SEED_SHARE = 0.01  # of held-out rows are as unexplained as a seed: 3 % let wrong rows in that stayed
_RECRUIT_SHARE = 0.005  # of held-out rows would be recruited
_CANDIDATE_SHARE = 0.3  # of held-out rows may be asked at all: others are too well explained
_ROUNDS = 8
_LOG_CHANCE = -16.0  # of a group under "nothing new", about 1e-7: looked at often, and many groups at once


@dataclass(frozen=True)
class Rows:
    """Rows [n, columns] and their nearest known exemplars."""

    rows: Vectors
    near: Near

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: Ints | Bools) -> Rows:
        return Rows(self.rows[which], self.near.take(which))


@dataclass(frozen=True)
class Found:
    """Recent rows that form a group, and the known cluster that they belong to (or -1)."""

    places: Ints
    cluster: int


@dataclass(frozen=True)
class Look:
    """What one look at the recent rows is about."""

    recent: Rows
    held: Rows
    exemplars: Vectors
    """All known ones [m, width]."""
    weights: Floats
    """Recent rows that each known exemplar explains [m]."""
    clusters: Ints
    """Cluster [m] of each exemplar; from `n_first` on they were born here, and groups may belong to them."""
    n_first: int
    k: int
    smallest: int
    expected: float
    """Rows that a cluster has among the recent ones, by what the known ones have."""

    def found(self) -> list[Found]:
        """Return the groups, largest first."""
        if len(self.recent) < max(2 * self.smallest, 2 * LOCAL):
            return []
        levels, held_levels = unexplained(
            self.recent.rows, self.recent.near, self.held.rows, self.held.near, self.weights
        )
        seeds = levels > _quantile(held_levels, 1.0 - _SEED_SHARE)
        candidate = _quantile(held_levels, 1.0 - _CANDIDATE_SHARE)
        asked, held = np.flatnonzero(levels >= candidate), np.flatnonzero(held_levels >= candidate)
        recruited = asked[self._recruited(asked, held, seeds[asked])]
        if len(recruited) < self.smallest or chance(len(recruited), len(self.recent), _SEED_SHARE) > _LOG_CHANCE:
            return []
        return self._groups(recruited)

    def _recruited(self, asked: Ints, held: Ints, members: Bools) -> Bools:
        """Let `members` of the recent rows `asked` recruit those that are nearer to them than to known ones."""
        recent, known = self.recent.take(asked), self.held.take(held)
        share = _RECRUIT_SHARE * len(self.held) / max(1, len(held))
        for _ in range(_ROUNDS):
            if members.sum() <= LOCAL:
                return np.zeros(len(members), dtype=np.bool_)
            new = _layer(recent.rows[members])
            values = self._contrast(recent, new, members)
            bar = bar_for(self._contrast(known, new, np.zeros(len(known), dtype=np.bool_)), share)
            recruited = values > bar
            if (recruited == members).all():
                break
            members = recruited
        return members

    def _contrast(self, asking: Rows, new: Layer, members: Bools) -> Floats:
        """Contrast [n] of rows, of which the `members` [n] are the exemplars of `new` and do not count themselves."""
        near = new.near(asking.rows, LOCAL + 1)
        own = np.zeros(near.ids.shape, dtype=np.bool_)
        own[:, -1] = True
        place = np.cumsum(members) - 1
        its = near.ids == np.where(members, place, -1)[:, None]
        own[its.any(axis=1)] = its[its.any(axis=1)]
        which = np.arange(len(asking))
        return contrast(asking.rows, which, asking.near, self.exemplars, near.without(own), new.rows, self.k)

    def _groups(self, recruited: Ints) -> list[Found]:
        rows = self.recent.rows[recruited]
        fixed = np.full(len(rows), -1, dtype=np.int64)
        rows = np.concatenate([rows, self.exemplars[self.n_first :]])
        fixed = np.concatenate([fixed, self.clusters[self.n_first :]])
        groups = groups_of(rows, self.expected, fixed)
        of_recruited = groups[: len(recruited)]
        found = []
        for group in np.unique(of_recruited).tolist():
            places = recruited[of_recruited == group]
            cluster = int(fixed[groups == group].max())
            if cluster >= 0 or len(places) >= self.smallest:
                found.append(Found(places, cluster))
        return sorted(found, key=lambda one: -len(one.places))


def _layer(rows: Vectors) -> Layer:
    return Layer(Points(rows, rows), np.zeros(len(rows), dtype=np.int64), np.arange(len(rows)), 0.0)


def _quantile(values: Floats, at: float) -> float:
    return float(np.quantile(values, at, method="higher"))

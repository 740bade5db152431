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
_LOG_CHANCE = -16.0  # of so many recruits under "nothing new", about 1e-7: rows of one place are not independent
_FIRST_CHANCE, _LATER_CHANCE = -3.0, -2.0  # log of the chance of one group: 5 % at the first look, over looks squared


@dataclass(frozen=True)
class Rows:
    """Rows [n, columns] and their nearest known exemplars."""

    rows: Vectors
    near: Near

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: Ints | Bools | slice) -> Rows:
        return Rows(self.rows[which], self.near.take(which))


@dataclass(frozen=True)
class Found:
    """Recent rows that form a group, and the known cluster that they belong to (or -1)."""

    places: Ints
    cluster: int
    n_held: int
    """Held-out rows that are of the group, too."""


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
    n_looks: int
    """Looks so far, this one included: who looks often must ask for more."""

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
        members, wrong = self._recruited(asked, held, seeds[asked])
        recruited = asked[members]
        if len(recruited) < self.smallest or chance(len(recruited), len(self.recent), _SEED_SHARE) > _LOG_CHANCE:
            return []
        return [one for one in self._groups(recruited, wrong) if self._is_more_than_chance(one)]

    def _is_more_than_chance(self, found: Found) -> bool:
        """Say whether a group has more recent rows than its held-out rows let expect."""
        n, both = len(found.places), len(found.places) + found.n_held
        share = len(self.recent) / (len(self.recent) + len(self.held))
        asked = _FIRST_CHANCE + _LATER_CHANCE * np.log(self.n_looks)
        return found.cluster >= 0 or chance(n, both, share) <= asked

    def _recruited(self, asked: Ints, held: Ints, members: Bools) -> tuple[Bools, Rows]:
        """Let `members` of the recent rows `asked` recruit those that are nearer to them than to known ones.

        Return the last members, and the held-out rows that they recruit, which is wrong.
        """
        recent, known = self.recent.take(asked), self.held.take(held)
        wrong = known.take(slice(0))
        share = _RECRUIT_SHARE * len(self.held) / max(1, len(held))
        for _ in range(_ROUNDS):
            if members.sum() <= LOCAL:
                return np.zeros(len(members), dtype=np.bool_), wrong
            new = _layer(recent.rows[members])
            values = self._contrast(recent, new, members)
            known_values = self._contrast(known, new, np.zeros(len(known), dtype=np.bool_))
            bar = bar_for(known_values, share)
            recruited, wrong = values > bar, known.take(known_values > bar)
            if (recruited == members).all():
                break
            members = recruited
        return members, wrong

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

    def _groups(self, recruited: Ints, wrong: Rows) -> list[Found]:
        rows = self.recent.rows[recruited]
        owner = _layer(rows).near(wrong.rows, 1).ids[:, 0]
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
                n_held = int((of_recruited[owner] == group).sum())
                found.append(Found(places, cluster, n_held))
        return sorted(found, key=lambda one: -len(one.places))


def _layer(rows: Vectors) -> Layer:
    return Layer(Points(rows, rows), np.zeros(len(rows), dtype=np.int64), np.arange(len(rows)), 0.0)


def _quantile(values: Floats, at: float) -> float:
    return float(np.quantile(values, at, method="higher"))

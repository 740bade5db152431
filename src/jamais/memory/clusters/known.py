"""Which cluster do all exemplars together say that a row is of?"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.layers import LOCAL, REACH, Layer, Near, contrast
from jamais.memory.clusters.reports import NONE
from jamais.memory.clusters.space import Points, Space
from jamais.types import Bools, Floats, Ints, StateTree, Vectors


class Labelled(NamedTuple):
    """Labels [n] as they were given at birth, the nearest exemplars of all layers, and what decided."""

    labels: Ints
    near: Near
    born: Bools
    """A cluster that was born here has it [n]."""
    repeats: Bools
    """The row is an exemplar, bit for bit [n]: nothing can change its label."""

    def take(self, which: Ints | Bools | slice) -> Labelled:
        return Labelled(self.labels[which], self.near.take(which), self.born[which], self.repeats[which])

    def below(self, other: Labelled, most: int) -> Labelled:
        """Put the rows of `other` below these, and keep the last `most`."""
        return Labelled(
            np.concatenate([self.labels, other.labels])[-most:],
            self.near.below(other.near, most),
            np.concatenate([self.born, other.born])[-most:],
            np.concatenate([self.repeats, other.repeats])[-most:],
        )


class Known:
    """Layers of exemplars, the first clusters first. Never changed: what is learned makes a new object.

    A later layer takes rows from the earlier ones, never the other way round: so a label can only change when a
    cluster is born or grows, and only to that cluster.
    """

    def __init__(self, space: Space, layers: tuple[Layer, ...], far: float) -> None:
        self.space = space
        self.layers = layers
        self.far = far

    @cached_property
    def exemplars(self) -> Points:
        """All exemplars [m]; their ids are their places."""
        if len(self.layers) == 1:
            return self.layers[0].points
        raw, rows = (np.concatenate([getattr(one.points, n) for one in self.layers]) for n in ("raw", "rows"))
        return Points(raw, rows)

    @cached_property
    def clusters(self) -> Ints:
        """The cluster [m] of each exemplar."""
        return np.concatenate([one.clusters for one in self.layers])

    @property
    def n_first(self) -> int:
        """Exemplars of the first clusters."""
        return len(self.layers[0])

    def with_layer(self, layer: Layer) -> Known:
        return Known(self.space, (*self.layers, layer), self.far)

    def label(self, points: Points, told: Ints | None, k: int, n_near: int = 0) -> Labelled:
        """Label `points` [n], whose first clusters an outer model may have `told` [n].

        `near` has `n_near` exemplars or more, where there are so many.
        """
        wide = max(k, LOCAL, n_near) if len(self.layers) > 1 else max(k, n_near)
        near = self.layers[0].near(points.rows, wide)
        labels = near.vote(k) if told is None else told
        labels = np.where(near.mean(k) > self.far, NONE, labels)
        same = self._same(points, near)
        labels = np.where(same, near.clusters[:, 0], labels)
        found = Labelled(labels, near, np.zeros(len(points), dtype=np.bool_), same)
        for layer in self.layers[1:]:
            found = self.extended(found, points, layer, k)
        return found

    def extended(self, found: Labelled, points: Points, layer: Layer, k: int) -> Labelled:
        """Label `points` anew that were labelled without `layer`, the next one."""
        new = layer.near(points.rows, found.near.distances.shape[1])
        won = (new.mean(k) < REACH * found.near.mean(k)) & ~found.repeats
        some = np.flatnonzero(won)
        of_new = self.exemplars.rows if layer in self.layers else self.with_layer(layer).exemplars.rows
        won[some] = contrast(points.rows, some, found.near, of_new, new, of_new, k) > layer.bar
        same = self._same(points, new, layer) & ~found.repeats
        labels = np.where(won, new.vote(k), found.labels)
        labels = np.where(same, new.clusters[:, 0], labels)
        return Labelled(labels, found.near.joined(new), found.born | won | same, found.repeats | same)

    def itself(self, n_near: int, most_first: int) -> tuple[Vectors, Near]:
        """Return exemplars as if they were unknown rows: up to `most_first` of the first clusters, all of born ones.

        Their nearest exemplars leave themselves out.
        """
        first = np.arange(min(most_first, self.n_first))
        first = first * self.n_first // max(1, len(first))
        places = np.concatenate([first, np.arange(self.n_first, len(self.exemplars))])
        rows = self.exemplars.rows[places]
        near = self.layers[0].near(rows, n_near + 1)
        for layer in self.layers[1:]:
            near = near.joined(layer.near(rows, n_near + 1))
        own = near.ids == places[:, None]
        own[~own.any(axis=1), -1] = True  # among many equal rows the row itself may be missing
        return rows, near.without(own)

    def contrast(self, rows: Vectors, near: Near, layer: Layer, k: int) -> Floats:
        """How much nearer `rows` [n, columns] are to the exemplars of the next layer than to those known here [n]."""
        new, both = layer.near(rows, LOCAL), self.with_layer(layer).exemplars.rows
        return contrast(rows, np.arange(len(rows)), near, both, new, both, k)

    def state_dict(self) -> StateTree:
        layers = {f"{i:04d}": layer.state_dict() for i, layer in enumerate(self.layers)}
        far = self.far if np.isfinite(self.far) else None
        return {"space": self.space.state_dict(), "layers": layers, "far": far}

    @classmethod
    def from_state(cls, tree: StateTree) -> Known:
        space = Space.from_state(tree["space"])
        layers = tuple(Layer.from_state(tree["layers"][name], space) for name in sorted(tree["layers"]))
        known = cls(space, layers, np.inf if tree["far"] is None else float(tree["far"]))
        if not layers or (np.concatenate([one.ids for one in layers]) != np.arange(len(known.exemplars))).any():
            raise CorruptStateError("layers of a cluster memory do not fit together: load another version")
        return known

    def _same(self, points: Points, near: Near, layer: Layer | None = None) -> Bools:
        """Say which points [n] are the nearest exemplar, bit for bit."""
        raw, first = (self.exemplars.raw, 0) if layer is None else (layer.points.raw, int(layer.ids[0]))
        same: Bools = near.distances[:, 0] == 0.0
        some = np.flatnonzero(same)
        same[some] = (raw[near.ids[some, 0] - first] == points.raw[some]).all(axis=1)
        return same

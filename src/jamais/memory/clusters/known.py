"""Which cluster do all exemplars together say that a row is of?"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.memory.clusters.layers import LOCAL, REACH, Layer, Near, contrast
from jamais.memory.clusters.reports import NONE
from jamais.memory.clusters.space import Points, Space
from jamais.types import Bools, Floats, Ints, StateTree, Vectors

T = TypeVar("T", np.float32, np.int64)


class Labelled(NamedTuple):
    """Labels [n] as they were given at birth, the nearest exemplars, and what decided."""

    labels: Ints
    first: Ints
    """The label [n] among the first clusters."""
    near: Near
    """The nearest exemplars of all layers."""
    layers: tuple[Near, ...]
    """Of each layer: kept so that a change of one layer costs one search."""
    born: Bools
    """A cluster that was born here has it [n]."""
    repeats: Bools
    """The row is an exemplar, bit for bit [n]: nothing can change its label."""

    def take(self, which: Ints | Bools | slice) -> Labelled:
        layers = tuple(one.take(which) for one in self.layers)
        near, labels, first = self.near.take(which), self.labels[which], self.first[which]
        return Labelled(labels, first, near, layers, self.born[which], self.repeats[which])

    def below(self, other: Labelled, most: int) -> Labelled:
        """Put the rows of `other` below these, and keep the last `most`."""
        return Labelled(
            np.concatenate([self.labels, other.labels])[-most:],
            np.concatenate([self.first, other.first])[-most:],
            self.near.below(other.near, most),
            tuple(one.below(new, most) for one, new in zip(self.layers, other.layers, strict=True)),
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
        raw, rows = (self._by_id([getattr(one.points, name) for one in self.layers]) for name in ("raw", "rows"))
        return Points(raw, rows)

    @cached_property
    def clusters(self) -> Ints:
        """The cluster [m] of each exemplar."""
        return self._by_id([one.clusters for one in self.layers])

    @property
    def n_first(self) -> int:
        """Exemplars of the first clusters."""
        return len(self.layers[0])

    @property
    def next_id(self) -> int:
        """The id of the next exemplar."""
        return 1 + max(int(one.ids.max()) for one in self.layers)

    def with_layer(self, layer: Layer) -> Known:
        return Known(self.space, (*self.layers, layer), self.far)

    def before(self, depth: int) -> Known:
        """Return what was known before the layer at `depth`; exemplars keep their ids."""
        return Known(self.space, self.layers[:depth], self.far)

    def with_exchanged(self, depth: int, layer: Layer) -> Known:
        return Known(self.space, (*self.layers[:depth], layer, *self.layers[depth + 1 :]), self.far)

    def label(self, points: Points, told: Ints | None, k: int, n_near: int = 0) -> Labelled:
        """Label `points` [n], whose first clusters an outer model may have `told` [n].

        `near` has `n_near` exemplars or more, where there are so many.
        """
        wide = max(k, LOCAL, n_near) if len(self.layers) > 1 else max(k, n_near)
        return self.decide(points, told, tuple(layer.near(points.rows, wide) for layer in self.layers), k)

    def decide(self, points: Points, told: Ints | None, layers: tuple[Near, ...], k: int) -> Labelled:
        """Label `points` [n] by their nearest exemplars of each layer."""
        near = layers[0]
        first = np.where(near.mean(k) > self.far, NONE, near.vote(k) if told is None else told)
        repeats = self._same(points, near)
        labels = np.where(repeats, near.clusters[:, 0], first)
        born = np.zeros(len(points), dtype=np.bool_)
        for layer, new in zip(self.layers[1:], layers[1:], strict=True):
            won = (new.mean(k) < REACH * near.mean(k)) & ~repeats
            some, them = np.flatnonzero(won), self.exemplars.rows
            won[some] = contrast(points.rows, some, near, them, new, them, k) > layer.bar
            same = self._same(points, new) & ~repeats
            labels = np.where(same, new.clusters[:, 0], np.where(won, new.vote(k), labels))
            born, repeats, near = born | won | same, repeats | same, near.joined(new)
        return Labelled(labels, first, near, layers, born, repeats)

    def again(self, found: Labelled, points: Points, depth: int, k: int, n_near: int) -> Labelled:
        """Label `points` anew that were labelled before the layer at `depth` came or changed."""
        depth %= len(self.layers)
        new = self.layers[depth].near(points.rows, max(k, LOCAL, n_near))
        return self.decide(points, found.first, (*found.layers[:depth], new, *found.layers[depth + 1 :]), k)

    def itself(self, n_near: int, most_first: int) -> tuple[Vectors, Near]:
        """Return exemplars as if they were unknown rows: up to `most_first` of the first clusters, all of born ones.

        Their nearest exemplars leave themselves out.
        """
        first = np.arange(min(most_first, self.n_first))
        first = first * self.n_first // max(1, len(first))
        places = np.concatenate([first, *(one.ids for one in self.layers[1:])])
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
        ids = np.concatenate([one.ids for one in layers]) if layers else np.empty(0, dtype=np.int64)
        if (
            not layers
            or (np.sort(ids) != np.arange(len(ids))).any()
            or (layers[0].ids != np.arange(len(layers[0]))).any()
        ):
            raise CorruptStateError("layers of a cluster memory do not fit together: load another version")
        return known

    def _same(self, points: Points, near: Near) -> Bools:
        """Say which points [n] are the nearest exemplar, bit for bit."""
        same: Bools = near.distances[:, 0] == 0.0
        some = np.flatnonzero(same)
        same[some] = (self.exemplars.raw[near.ids[some, 0]] == points.raw[some]).all(axis=1)
        return same

    def _by_id(self, parts: list[NDArray[T]]) -> NDArray[T]:
        """Put what layers have into the order of ids."""
        table = np.zeros((self.next_id, *parts[0].shape[1:]), dtype=parts[0].dtype)
        for layer, part in zip(self.layers, parts, strict=True):
            table[layer.ids] = part
        return table

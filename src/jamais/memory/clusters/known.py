"""Which cluster do all exemplars together say that a row is of?"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from jamais.errors import CorruptStateError
from jamais.memory.clusters.layers import LOCAL, Layer, Near, contrast
from jamais.memory.clusters.reports import NONE
from jamais.types import Bools, Floats, Ints, StateTree, Vectors


class Labelled(NamedTuple):
    """Labels [n] as they were given at birth, the nearest exemplars of all layers, and what decided."""

    labels: Ints
    near: Near
    taken: Bools
    """By a cluster that was born here [n]."""
    repeats: Bools
    """The row is an exemplar, bit for bit [n]."""


class Known:
    """Layers of exemplars, the first clusters first. Never changed: what is learned makes a new object.

    A later layer takes rows from the earlier ones, never the other way round: so a label can only change when a
    cluster is born or grows, and only to that cluster.
    """

    def __init__(self, layers: tuple[Layer, ...], far: float) -> None:
        self.layers = layers
        self.far = far

    @cached_property
    def exemplars(self) -> Vectors:
        """All exemplars [m, width]; their ids are their places."""
        return self.layers[0].rows if len(self.layers) == 1 else np.concatenate([one.rows for one in self.layers])

    @cached_property
    def clusters(self) -> Ints:
        """The cluster [m] of each exemplar."""
        return np.concatenate([one.clusters for one in self.layers])

    @property
    def growing(self) -> Layer | None:
        """The exemplars of all clusters that were born here."""
        born = self.layers[1:]
        if not born:
            return None
        rows, clusters, ids = (np.concatenate([getattr(one, n) for one in born]) for n in ("rows", "clusters", "ids"))
        return Layer(rows, clusters, ids, 0.0)

    def with_layer(self, layer: Layer) -> Known:
        return Known((*self.layers, layer), self.far)

    def label(self, rows: Vectors, told: Ints | None, k: int, n_near: int = 0) -> Labelled:
        """Label `rows` [n, width], whose first clusters an outer model may have `told` [n].

        `near` has `n_near` exemplars or more, where there are so many.
        """
        wide = max(k, LOCAL, n_near) if len(self.layers) > 1 else max(k, n_near)
        near = self.layers[0].near(rows, wide)
        labels = near.vote(k) if told is None else told
        labels = np.where(near.mean(k) > self.far, NONE, labels)
        taken = np.zeros(len(rows), dtype=np.bool_)
        exact = [(near.distances[:, 0] == 0.0, near.clusters[:, 0])]
        for layer in self.layers[1:]:
            new = layer.near(rows, wide)
            won = self._won(rows, near, new, layer.bar, k)
            labels, taken = np.where(won, new.vote(k), labels), taken | won
            exact.append((new.distances[:, 0] == 0.0, new.clusters[:, 0]))
            near = near.joined(new)
        repeats = np.zeros(len(rows), dtype=np.bool_)
        for depth, (same, clusters) in reversed(list(enumerate(exact))):
            labels, taken = np.where(same, clusters, labels), np.where(same, depth > 0, taken)
            repeats |= same
        return Labelled(labels, near, taken, repeats)

    def contrast(self, rows: Vectors, near: Near, new: Near, of_new: Vectors, k: int) -> Floats:
        """How much nearer `rows` [n, width] are to new exemplars than to those known here [n]."""
        return contrast(rows, np.arange(len(rows)), near, self.exemplars, new, of_new, k)

    def itself(self, n_near: int, most_first: int) -> tuple[Vectors, Near]:
        """Return exemplars as if they were unknown rows: up to `most_first` of the first clusters, all of born ones.

        Their nearest exemplars leave themselves out.
        """
        first = np.arange(min(most_first, len(self.layers[0])))
        first = first * len(self.layers[0]) // max(1, len(first))
        born = np.arange(len(self.layers[0]), len(self.exemplars))
        rows = self.exemplars[np.concatenate([first, born])]
        places = np.concatenate([first, born])
        near = self.label(rows, None, n_near, n_near + 1).near
        own = near.ids == places[:, None]
        own[~own.any(axis=1), -1] = True  # among many equal rows the row itself may be missing
        return rows, near.without(own)

    def state_dict(self) -> StateTree:
        layers = {f"{i:04d}": layer.state_dict() for i, layer in enumerate(self.layers)}
        return {"layers": layers, "far": self.far if np.isfinite(self.far) else None}

    @classmethod
    def from_state(cls, tree: StateTree) -> Known:
        layers = tuple(Layer.from_state(tree["layers"][name]) for name in sorted(tree["layers"]))
        known = cls(layers, np.inf if tree["far"] is None else float(tree["far"]))
        widths = {layer.rows.shape[1] for layer in layers}
        if len(widths) != 1 or (np.concatenate([one.ids for one in layers]) != np.arange(len(known.exemplars))).any():
            raise CorruptStateError("layers of a cluster memory do not fit together: load another version")
        return known

    def _won(self, rows: Vectors, near: Near, new: Near, bar: float, k: int) -> Bools:
        """Say which rows [n] a layer takes."""
        won = new.mean(k) < near.mean(k)
        some = np.flatnonzero(won)
        won[some] = contrast(rows, some, near, self.exemplars, new, self.exemplars, k) > bar
        return won

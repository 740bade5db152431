"""Which rows that came to a born cluster become its exemplars, and how high is the bar then?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.memory.clusters.held import Held
from jamais.memory.clusters.known import Known, Labelled
from jamais.memory.clusters.layers import LOCAL, Layer, Near
from jamais.memory.clusters.novel.budget import bar_for
from jamais.memory.clusters.space import Points
from jamais.types import Floats, Ints, Vectors

_WORTH = 0.25  # of the exemplars that a cluster has: fewer new ones change little, and a change costs time
_FEW_HELD = 1_500
_FIRST_ASKED = 1_000  # exemplars of first clusters that calibrate beside held-out rows where those are few


@dataclass(frozen=True)
class Came:
    """Rows [n] that came to clusters [n]."""

    points: Points
    clusters: Ints

    @classmethod
    def of(cls, recent: Points, now: Labelled, places: Ints) -> Came:
        return cls(recent.take(places), now.labels[places])


def came_to(layer: Layer, now: Labelled, clusters: Ints, most: int) -> Ints:
    """Return places of recent rows that can become exemplars of a layer's clusters, where there are enough of them.

    `clusters` [m] are those of all exemplars: none gets more than `most`.
    """
    chosen = []
    for cluster in np.unique(layer.clusters).tolist():
        its = np.flatnonzero((now.labels == cluster) & now.born & ~now.repeats)
        n = int((clusters == cluster).sum())
        if min(len(its), most - n) >= _WORTH * n:
            chosen.append(its[-(most - n) :])
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)


def extended(known: Known, depth: int, came: Came, held: Held, of_held: Labelled, k: int) -> Known:
    """Give the layer at `depth` more exemplars and the bar that its share of held-out rows asks for then."""
    earlier, layer = known.before(depth), known.layers[depth]
    ids = known.next_id + np.arange(len(came.clusters))
    wider = layer.with_rows(came.points, came.clusters, ids, layer.bar)
    others = ~np.isin(held.labels, layer.clusters) | held.moved()
    near = of_held.layers[0]
    for more in of_held.layers[1:depth]:
        near = near.joined(more)
    bar = bar_for(contrasts(earlier, wider, held.points.rows[others], near.take(others), k), layer.share)
    return known.with_exchanged(depth, layer.with_rows(came.points, came.clusters, ids, bar))


def contrasts(known: Known, layer: Layer, held: Vectors, near: Near, k: int) -> Floats:
    """Contrast of known rows with a layer that is not theirs: held-out ones, and exemplars as if they were."""
    values = known.contrast(held, near, layer, k)
    rows, near = known.itself(LOCAL, _FIRST_ASKED if len(held) < _FEW_HELD else 0)
    return np.concatenate([values, known.contrast(rows, near, layer, k)]) if len(rows) else values

"""What would a cluster memory say if it were written to be obviously right? Loops and lists, no tricks.

It is given the layers of exemplars as lists and asks nothing of the package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Row = Sequence[float]


class Exemplar(NamedTuple):
    """A remembered row, its cluster, and the place it has among all."""

    row: Row
    cluster: int
    place: int


def distance(one: Row, other: Row) -> float:
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def nearest(row: Row, exemplars: Sequence[Exemplar], k: int) -> list[Exemplar]:
    """Give the k nearest, of equally near ones those that came first."""
    return sorted(exemplars, key=lambda one: (distance(row, one.row), one.place))[:k]


def mean_distance(row: Row, some: Sequence[Exemplar], k: int) -> float:
    return math.fsum(distance(row, one.row) for one in some[:k]) / min(k, len(some))


def distance_to_mean(row: Row, some: Sequence[Exemplar]) -> float:
    middle = [math.fsum(one.row[j] for one in some) / len(some) for j in range(len(row))]
    return distance(row, middle)


def vote(some: Sequence[Exemplar]) -> int:
    votes = [sum(one.cluster == other.cluster for other in some) for one in some]
    return some[votes.index(max(votes))].cluster


def contrast(row: Row, known: Sequence[Exemplar], new: Sequence[Exemplar], k: int = 5, local: int = 8) -> float:
    """Log of how much nearer the row is to the nearest new exemplars than to the nearest known ones."""
    far, near = nearest(row, known, local), nearest(row, new, local)
    mean = math.log(mean_distance(row, far, k) / mean_distance(row, near, k))
    return mean + math.log(distance_to_mean(row, far) / distance_to_mean(row, near))


def label(
    row: Row,
    layers: Sequence[Sequence[Exemplar]],
    bars: Sequence[float],
    far: float,
    told: int | None = None,
    k: int = 5,
    reach: float = 2.0,
) -> int:
    """Give the cluster of a row: an exemplar keeps its own, then the last layer that takes it, then the first."""
    for layer in layers:
        for one in layer:
            if list(one.row) == list(row):
                return one.cluster
    first = nearest(row, layers[0], k)
    found = told if told is not None else vote(first)
    if mean_distance(row, first, k) > far:
        found = -1
    known = list(layers[0])
    for layer, bar in zip(layers[1:], bars[1:], strict=True):
        near = mean_distance(row, nearest(row, layer, k), k)
        if near < reach * mean_distance(row, nearest(row, known, k), k) and contrast(row, known, layer, k) > bar:
            found = vote(nearest(row, layer, k))
        known += layer
    return found


def unexplained(
    recent: Sequence[Row], known: Sequence[Row], weights: Sequence[float], k: int, rounds: int
) -> list[float]:
    """Give for each recent row the share of its neighbours that are recent and unexplained themselves."""
    neighbours: list[list[tuple[int, float]]] = []
    for i, row in enumerate(recent):
        ranked = [(distance(row, one), 0, j) for j, one in enumerate(known)]
        ranked += [(distance(row, one), 1, j) for j, one in enumerate(recent) if j != i]
        neighbours.append([(j, 1.0) if is_recent else (-1, weights[j]) for _, is_recent, j in sorted(ranked)[:k]])
    values = [1.0] * len(recent)
    for _ in range(rounds):
        values = [sum(values[j] for j, _ in some if j >= 0) / sum(weight for _, weight in some) for some in neighbours]
    return values

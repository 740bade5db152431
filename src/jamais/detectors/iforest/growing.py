"""How does a tree cut rows apart? All trees of a group grow together, level by level, each from draws of its own.

What a node may split, and where, follows Liu, Ting and Zhou (ICDM 2008) and Hariri et al. (TKDE 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.iforest.trees import Trees
from jamais.types import Bools, Floats, Ints, Vectors

_ATTEMPTS = 3  # columns a node tries before it looks for one that is not constant
_AT_ONCE = 4_000_000  # numbers looked at in one step: 16 MB
_AT_A_TIME = 32_768  # sampled rows whose trees grow together


def depth_for(n_sampled: int) -> int:
    """Return the depth that a balanced tree of so many rows has: deeper, a row is normal (Liu et al., section 2)."""
    return max(1, (n_sampled - 1).bit_length())


def grow(rows: Vectors, picks: Ints, draws: Sequence[np.random.Generator], k: int) -> Trees:
    """Grow a tree from each row of `picks` [trees, n_sampled]: slots of `rows` [m, width], repeats allowed.

    Each tree takes its chances from a generator of `draws` [trees] and so is the same in any company. With k = 1 a
    node splits a random column at a random place between its extremes (Liu, Ting and Zhou, ICDM 2008); else a sum
    of k random columns with normal weights (Hariri et al., TKDE 2021), weighted by their ranges in the node so that
    units do not matter, at a place between the extremes of the sum so that neither side is empty.
    """
    depth = depth_for(picks.shape[1])
    grown = Trees.bare(len(picks), depth, k)
    per_tree = picks.shape[1] if k == 1 else max(picks.shape[1], rows.shape[1] * 2**depth * _AT_A_TIME // _AT_ONCE)
    step = max(1, _AT_A_TIME // per_tree)
    for start in range(0, len(picks), step):
        places = np.arange(start, min(start + step, len(picks)))
        chances = _Chances.drawn([draws[i] for i in places.tolist()], 2**depth - 1, rows.shape[1], k)
        grown.put(places, _grow_together(rows, picks[places], chances, depth, k))
    return grown


@dataclass(frozen=True)
class _Chances:
    """All random numbers of some trees, [trees, nodes, …]."""

    columns: Ints
    """[…, attempts] for k = 1."""
    late: Floats
    """Which of the columns that are not constant, after the attempts; [nodes] for k = 1, else [nodes, width]."""
    weights: Floats
    """[…, k] for k > 1."""
    places: Floats

    @classmethod
    def drawn(cls, draws: Sequence[np.random.Generator], nodes: int, width: int, k: int) -> _Chances:
        columns, late, weights, places = [], [], [], []
        for draw in draws:
            places.append(draw.random(nodes))
            columns.append(draw.integers(width, size=(nodes, _ATTEMPTS if k == 1 else 0)))
            late.append(draw.random((nodes, 1 if k == 1 else width)))
            weights.append(draw.standard_normal((nodes, 0 if k == 1 else k)))
        return cls(np.stack(columns), np.stack(late), np.stack(weights), np.stack(places))


@dataclass
class _Level:
    """The branches of one level that still hold rows, in order of tree and place."""

    trees: Ints
    nodes: Ints
    slots: Ints
    """Slots of the rows in each branch, one branch after the other."""
    sizes: Ints

    @property
    def starts(self) -> Ints:
        return np.cumsum(self.sizes) - self.sizes

    def only(self, kept: Bools) -> _Level:
        slots = self.slots if kept.all() else self.slots[np.repeat(kept, self.sizes)]
        return _Level(self.trees[kept], self.nodes[kept], slots, self.sizes[kept])


@dataclass
class _Split:
    """For each branch of a level: columns and weights [n, k], extremes [n] of the sum, the sum [rows] itself."""

    columns: Ints
    weights: Floats
    lows: NDArray[Any]
    highs: NDArray[Any]
    values: NDArray[Any]


def _grow_together(rows: Vectors, picks: Ints, chances: _Chances, depth: int, k: int) -> Trees:
    grown = Trees.bare(len(picks), depth, k)
    n, size = picks.shape
    level = _Level(np.arange(n), np.zeros(n, dtype=np.int64), picks.ravel(), np.full(n, size))
    for at in range(depth):
        level = _ended(grown, level, level.sizes < 2, depth - at)
        if not len(level.trees):
            return grown
        split = (_along_columns if k == 1 else _oblique)(rows, level, chances)
        constant = ~(split.lows < split.highs)
        if constant.any():
            split = _only(split, ~constant, level.sizes)
            level = _ended(grown, level, constant, depth - at)
        level = _divided(grown, level, split, chances.places[level.trees, level.nodes])
    _ended(grown, level, np.ones(len(level.trees), dtype=bool), 0)
    return grown


def _ended(grown: Trees, level: _Level, ends: Bools, levels_below: int) -> _Level:
    """Note the sizes of branches that end here at the leaves below them; return the branches that go on."""
    if not ends.any():
        return level
    first_leaf = (level.nodes[ends] + 1) * 2**levels_below - grown.sizes.shape[1]
    grown.sizes[level.trees[ends], first_leaf] = level.sizes[ends]
    return level.only(~ends)


def _only(split: _Split, kept: Bools, sizes: Ints) -> _Split:
    return _Split(
        split.columns[kept],
        split.weights[kept],
        split.lows[kept],
        split.highs[kept],
        split.values[np.repeat(kept, sizes)],
    )


def _along_columns(rows: Vectors, level: _Level, chances: _Chances) -> _Split:
    """Take a column for each branch, each that is not constant there with the same chance."""
    n = len(level.trees)
    columns = np.zeros(n, dtype=np.int64)
    lows, highs = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.float32)
    values = np.zeros(len(level.slots), dtype=np.float32)
    open_ = np.ones(n, dtype=bool)
    for attempt in range(_ATTEMPTS + 1):
        some = level.only(open_)
        if attempt < _ATTEMPTS:
            tried = chances.columns[some.trees, some.nodes, attempt]
        else:
            tried = _late_columns(rows, some, chances.late[some.trees, some.nodes, 0])
        found = rows[some.slots, np.repeat(tried, some.sizes)]
        columns[open_] = tried
        lows[open_] = np.minimum.reduceat(found, some.starts)
        highs[open_] = np.maximum.reduceat(found, some.starts)
        values[np.repeat(open_, level.sizes)] = found
        open_ = ~(lows < highs)
        if not open_.any():
            break
    return _Split(columns[:, None], np.ones((n, 1)), lows, highs, values)


def _late_columns(rows: Vectors, level: _Level, chances: Floats) -> Ints:
    """Choose for each branch among its columns that are not constant; 0 where all are."""
    lows, highs = _extremes(rows, level)
    varying = lows < highs
    upto = varying.cumsum(axis=1)
    rank = (chances * upto[:, -1]).astype(np.int64)
    return np.asarray((upto > rank[:, None]).argmax(axis=1), dtype=np.int64)


def _extremes(rows: Vectors, level: _Level) -> tuple[Vectors, Vectors]:
    """Return the smallest and largest of each column in each branch, [n, width] each."""
    shape = (len(level.trees), rows.shape[1])
    lows, highs = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    starts = level.starts
    budget = max(1, _AT_ONCE // rows.shape[1])
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(starts + level.sizes, starts[first] + budget, side="right")))
        inside = slice(starts[first], starts[last - 1] + level.sizes[last - 1])
        part = rows[level.slots[inside]]
        np.minimum.reduceat(part, starts[first:last] - starts[first], axis=0, out=lows[first:last])
        np.maximum.reduceat(part, starts[first:last] - starts[first], axis=0, out=highs[first:last])
        first = last
    return lows, highs


def _oblique(rows: Vectors, level: _Level, chances: _Chances) -> _Split:
    """Take k columns for each branch, those that are not constant first, and weights for them."""
    k = chances.weights.shape[2]
    lows, highs = (extreme.astype(np.float64) for extreme in _extremes(rows, level))
    keys = chances.late[level.trees, level.nodes] + (lows == highs)
    columns = np.sort(np.argpartition(keys, k - 1, axis=1)[:, :k], axis=1)
    ranges = np.take_along_axis(highs - lows, columns, axis=1)
    weights = chances.weights[level.trees, level.nodes]
    weights = np.divide(weights, ranges, out=np.zeros_like(weights), where=ranges > 0)
    values = np.zeros(len(level.slots))
    for j in range(k):  # one after the other, as scoring does it
        values += np.repeat(weights[:, j], level.sizes) * rows[level.slots, np.repeat(columns[:, j], level.sizes)]
    starts = level.starts
    return _Split(columns, weights, np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts), values)


def _divided(grown: Trees, level: _Level, split: _Split, places: Floats) -> _Level:
    """Write the splits into the trees, and give the level below."""
    thresholds = _between(split.lows, split.highs, places)
    grown.columns[level.trees, level.nodes] = split.columns
    grown.weights[level.trees, level.nodes] = split.weights
    grown.thresholds[level.trees, level.nodes] = thresholds
    n = len(level.trees)
    child = 2 * np.repeat(np.arange(n), level.sizes) + (split.values > np.repeat(thresholds, level.sizes))
    return _Level(
        np.repeat(level.trees, 2),
        (2 * level.nodes[:, None] + np.array([1, 2])).ravel(),
        level.slots[np.argsort(child, kind="stable")],
        np.bincount(child, minlength=2 * n),
    )


def _between(lows: NDArray[Any], highs: NDArray[Any], places: Floats) -> NDArray[Any]:
    """Return a threshold in [low, high) for each place in [0, 1); in float64, where no sum of extremes overflows."""
    middle = lows.astype(np.float64) * (1.0 - places) + highs.astype(np.float64) * places
    rounded = np.maximum(middle.astype(lows.dtype), lows)
    return np.where(rounded < highs, rounded, lows)

"""Which rows make the base, which come later, and which are held out?

Base rows are of old classes only; each update brings rows of all classes that have arrived; test rows of all classes
are never learned. Data sets of $JAMAIS_DATA/embeddings; digits come with scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import data_folder
from benchmarks.quality.online.clusters.idec import Labels, Recipe, Rows

NEWS, NO_NEWS, THREE = "new classes", "no new classes", "three updates"
PAIRS = ((8, 9), (0, 1), (2, 3), (4, 5), (6, 7))
"""New classes of seed 0, 1, ...; nothing was chosen on them (for development: other pairs, seeds from 100)."""


@dataclass(frozen=True)
class Part:
    """Rows [n, width] and their classes [n]."""

    rows: Rows
    classes: Labels

    def only(self, classes: tuple[int, ...]) -> Part:
        chosen = np.isin(self.classes, classes)
        return Part(self.rows[chosen], self.classes[chosen])


@dataclass(frozen=True)
class Stream:
    """One protocol on one data set and seed."""

    data: str
    protocol: str
    seed: int
    first: tuple[int, ...]
    """Classes of the base."""
    arrivals: tuple[tuple[int, ...], ...]
    """Classes that each update brings."""
    base: Part
    updates: tuple[Part, ...]
    test: Part
    recipe: Recipe | None
    """How an encoder is trained; None where the rows are embeddings already: the base is k-means."""
    width: int | None
    """Principal components in which distances are taken; None: the rows as they are."""

    def known(self, update: int) -> tuple[int, ...]:
        """Return the classes that had arrived before an update."""
        return self.first + tuple(c for arrived in self.arrivals[:update] for c in arrived)


@dataclass(frozen=True)
class Source:
    """A data set, and how its rows are dealt out."""

    load: Callable[[], Part]
    shares: tuple[float, float, float]
    """Of all rows: base, one update, test."""
    n_new: int
    recipe: Recipe | None = None
    width: int | None = None
    file: str | None = None

    @property
    def missing(self) -> str | None:
        """Say which file is wanted and not there."""
        path = None if self.file is None else _folder() / self.file
        return None if path is None or path.exists() else f"{path} is not there: set JAMAIS_DATA"


def streams(data: str, protocols: tuple[str, ...], seeds: range) -> Iterator[Stream]:
    """Deal out one data set by each protocol and seed."""
    source = SOURCES[data]
    everything = source.load()
    for protocol in protocols:
        for seed in seeds:
            yield deal(data, source, everything, protocol, seed)


def deal(data: str, source: Source, everything: Part, protocol: str, seed: int) -> Stream:
    """Shuffle rows and split them; base rows of classes that are not there yet are dropped."""
    rng = np.random.default_rng(seed)
    classes = np.unique(everything.classes)
    new = _new_classes(classes, source.n_new, seed, rng)
    if protocol == THREE:
        first, arrivals = _three(classes, new, seed)
        base, updates, test = _equal_shares(everything, source.shares, (first, *arrivals), rng)
    else:
        first = tuple(int(c) for c in classes if c not in new)
        base, update, test = _cut(everything, source.shares, rng)
        arrivals = (new,) if protocol == NEWS else ((),)
        base, updates = base.only(first), (update if protocol == NEWS else update.only(first),)
        test = test if protocol == NEWS else test.only(first)
    return Stream(data, protocol, seed, first, arrivals, base, updates, test, source.recipe, source.width)


def _new_classes(classes: Labels, n_new: int, seed: int, rng: np.random.Generator) -> tuple[int, ...]:
    if n_new == 2 and seed < len(PAIRS):
        return PAIRS[seed]
    return tuple(sorted(int(c) for c in rng.permutation(classes)[:n_new]))


def _three(classes: Labels, new: tuple[int, ...], seed: int) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Let the new classes of `seed` arrive last, after two other pairs."""
    rest = np.random.default_rng([seed, 3]).permutation([c for c in classes if c not in new]).tolist()
    return tuple(sorted(rest[:-4])), (tuple(rest[-4:-2]), tuple(rest[-2:]), new)


def _cut(everything: Part, shares: tuple[float, float, float], rng: np.random.Generator) -> tuple[Part, Part, Part]:
    order = rng.permutation(len(everything.rows))
    ends = (np.cumsum(shares) * len(order)).round().astype(int)
    base, update, test = np.split(order[: ends[2]], ends[:2])
    return _take(everything, base), _take(everything, update), _take(everything, test)


def _equal_shares(
    everything: Part, shares: tuple[float, float, float], steps: tuple[tuple[int, ...], ...], rng: np.random.Generator
) -> tuple[Part, tuple[Part, ...], Part]:
    """Deal out class by class: all classes that have arrived have equally many rows in an update.

    Test rows come first; the three updates take as many rows of a class together as base and update do otherwise.
    """
    taken: list[list[Any]] = [[] for _ in range(len(steps) + 1)]
    for step, arrived in enumerate(steps):
        for one in arrived:
            rows = rng.permutation(np.flatnonzero(everything.classes == one))
            n_test, left = round(shares[2] * len(rows)), round((shares[0] + shares[1]) * len(rows))
            each = min(round(shares[1] * len(rows)), left // (len(steps) + 1))
            taken[-1].append(rows[:n_test])
            rows = rows[n_test : n_test + left]
            for later in range(max(step, 1), len(steps)):
                taken[later].append(rows[(later - 1) * each : later * each])
            if step == 0:
                taken[0].append(rows[(len(steps) - 1) * each :])
    base, *updates, test = (_take(everything, rng.permutation(np.concatenate(one))) for one in taken)
    return base, tuple(updates), test


def _take(everything: Part, at: NDArray[np.int64]) -> Part:
    return Part(np.ascontiguousarray(everything.rows[at]), everything.classes[at])


def _folder() -> Path:
    return data_folder().parent / "embeddings"


def _digits() -> Part:
    from sklearn.datasets import load_digits

    rows, classes = load_digits(return_X_y=True)
    return Part((rows / 16).astype(np.float32), classes.astype(np.int64))


def _mnist() -> Part:
    with np.load(_folder() / "mnist70k_uint8.npz", allow_pickle=False) as kept:
        rows, classes = kept["X_train"], kept["y_train"]
    return Part(rows.astype(np.float32) / 255, classes.astype(np.int64))


def _fashion() -> Part:
    with np.load(_folder() / "deepdpm_umap10_fashion70k.npz", allow_pickle=False) as kept:
        return Part(kept["X"].astype(np.float32), kept["y"].astype(np.int64))


def _clinc() -> Part:
    """Read unit vectors of queries with an intent, times the root of their width."""
    with np.load(_folder() / "clinc150_minilm384_f16.npz", allow_pickle=False) as kept:
        rows, classes = kept["X"].astype(np.float32), kept["y"].astype(np.int64)
        within = ~np.char.startswith(kept["split"], "oos")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Part(rows[within] * np.float32(rows.shape[1] ** 0.5), classes[within])


SOURCES = {
    "digits": Source(_digits, (0.5, 0.25, 0.25), 2, Recipe((64, 256, 128, 10), 100, 20, 30)),
    "mnist": Source(
        _mnist, (18_750 / 60_000, 4_000 / 60_000, 5_000 / 60_000), 2, Recipe((784, 256, 128, 10), 15, 5, 15), 50,
        "mnist70k_uint8.npz",
    ),
    "clinc": Source(_clinc, (0.5, 0.25, 0.25), 30, file="clinc150_minilm384_f16.npz"),
    "fashion": Source(
        _fashion, (18_750 / 70_000, 4_000 / 70_000, 5_000 / 70_000), 2, file="deepdpm_umap10_fashion70k.npz"
    ),
}  # fmt: skip

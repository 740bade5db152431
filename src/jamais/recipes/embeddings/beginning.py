"""How is a recipe made from scratch: memory, first clusters, and what is far from them, in one pass over the data?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jamais import registry
from jamais.detectors.calibration import Calibration
from jamais.detectors.cluster.choosing import chosen_centres
from jamais.detectors.cluster.kmeans import k_means, nearest
from jamais.errors import Cancelled, InputError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.memory.clusters import ClusterMemory
from jamais.memory.nearest import squared_differences
from jamais.memory.sample import Sample
from jamais.recipes.embeddings.facts import Facts
from jamais.recipes.embeddings.settings import ClusterSettings, EmbeddingSettings
from jamais.recipes.embeddings.space import Space
from jamais.sources.vectors import Block, VectorReader
from jamais.types import CancelToken, Event, Floats, Ints, Listener, Vectors

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe

FEWEST_ROWS = 50
SCALED_BY = 10_000
"""Rows that means and spreads of columns are taken from: the first ones, for the data is read once."""
SAMPLED = 10_000
"""Rows drawn from all to find the first clusters in: of width 384, 15 MB."""
HELD = 0.2
"""Share of them that tells how far known rows are from the clusters, and takes no part in these."""
MOST_HELD = 1_000
_PAIRED = 60  # rows of a cluster that are compared with each other
_MOST_LABEL = 1_000_000
_STARTS = 4  # of k-means, where the number of clusters is given


class Beginning:
    """Reads the fit data once, and fills an empty recipe."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self.recipe, self.settings = recipe, recipe.settings
        self._first: list[Block] = []
        self._space: Space | None = None
        self._sample = Sample(SAMPLED, recipe.seed)
        self._labels: Labels | None = None

    def read(self, reader: VectorReader, listener: Listener, cancel: CancelToken | None) -> None:
        """Take in all rows; raises InputError where there are too few."""
        for block in reader:
            if cancel is not None and cancel.cancelled:
                raise Cancelled("cancelled while reading; nothing was changed")
            self._take(block)
            listener(Event("reading", reader.bytes_done, reader.bytes_total, {"records": float(reader.n_rows)}))
        fewest = max(FEWEST_ROWS, self.recipe.detector.fewest_to_fit)
        if reader.n_rows < fewest:
            raise InputError(f"{reader.n_rows:,} rows to fit on: give at least {fewest} of normal life")
        self._settle()
        recipe = self.recipe
        names = self._labels.told if self._labels is not None else ()
        recipe.facts = Facts(reader.n_rows, recipe.width, reader.format, reader.columns, names, dict(reader.counts))
        recipe.said = list(reader.said)

    def begin(self, listener: Listener) -> None:
        """Make detector and clusters of what was read."""
        recipe = self.recipe
        listener(Event("fitting", 0, 2))
        recipe.detector.fit(force=True)
        listener(Event("fitting", 1, 2))
        drawn = self._sample.rows
        rows = np.ascontiguousarray(drawn[:, :-1])
        rng = np.random.default_rng([recipe.seed, 1])
        labels = (
            drawn[:, -1].astype(np.int64)
            if self._labels is not None
            else first_labels(rows, self.settings.clusters, rng)
        )
        kept = _kept_apart(labels)
        recipe.clusters.begin(rows[kept], labels[kept])
        held = np.setdiff1d(np.arange(len(rows)), kept)
        recipe.novelty = Calibration.of(recipe.clusters.assign(rows[held]).novelty)
        recipe.reach = typical_pair(rows, labels, self.settings.answers.reach)
        listener(Event("fitting", 2, 2))

    def _take(self, block: Block) -> None:
        """Hold the first rows back until it is known how they are scaled."""
        if self._space is not None:
            self._learn(block)
            return
        self._first.append(block)
        if self.settings.scaling is None or sum(map(len, self._first)) >= SCALED_BY:
            self._settle()

    def _settle(self) -> None:
        if self._space is None:
            rows = np.concatenate([block.rows for block in self._first])[:SCALED_BY]
            self._space = self.recipe.space = Space.of(rows, self.settings.metric, self.settings.scaling)
            for block in self._first:
                self._learn(block)
            self._first = []

    def _learn(self, block: Block) -> None:
        places = self.recipe.space.of_rows(block.rows)
        self.recipe.detector.memory.add(places, source="fit")
        labels = np.zeros(len(places), dtype=np.int64)
        if block.labels is not None:
            self._labels = self._labels or Labels(block.labels)
            labels = self._labels.numbers(block.labels)
        self._sample.add(np.concatenate([places, labels[:, None].astype(np.float32)], axis=1))


class Labels:
    """Turns labels into numbers: whole ones of 0 and more stay as they are, others count up as they come."""

    def __init__(self, first: NDArray[Any]) -> None:
        self._own = all(_whole(label) is not None for label in first.tolist())
        self._names: dict[str, int] = {}

    @property
    def told(self) -> tuple[str, ...]:
        """What cluster 0, 1, … was called; empty where numbers stayed as they were."""
        return tuple(self._names)

    def numbers(self, labels: NDArray[Any]) -> Ints:
        """Give the number [n] of each label [n]; raises InputError for a missing one."""
        numbered = []
        for label in labels.tolist():
            if label is None or label != label or label == "":
                raise InputError("a row has no label: label all rows, or fit without labels")
            own = _whole(label) if self._own else self._names.setdefault(str(label), len(self._names))
            if own is None:
                raise InputError(f"label {label!r} among numbers from 0 to {_MOST_LABEL:,}: give all or none as text")
            numbered.append(own)
        return np.array(numbered, dtype=np.int64)


def new_detector(settings: EmbeddingSettings, seed: int) -> Any:
    """Make the detector that is asked for, over an empty memory."""
    memory = FeatureMemory(CoverMemory(settings.memory.capacity), calibration=settings.memory.calibration, seed=seed)
    own: dict[str, Any] = {"random_state": seed}
    if settings.method == "knn":
        own = {"n_neighbors": settings.memory.n_neighbors}
    elif settings.method == "lof":
        own = {}
    return registry.find(settings.method)(**own, memory=memory)


def new_clusters(settings: ClusterSettings, seed: int) -> ClusterMemory:
    """Make an empty memory of clusters."""
    names = ("exemplars", "shift_budget", "smallest", "recent", "n_neighbors", "far_share", "columns")
    return ClusterMemory(**{name: getattr(settings, name) for name in names}, seed=seed)


def first_labels(rows: Vectors, settings: ClusterSettings, rng: np.random.Generator) -> Ints:
    """Label `rows` [n, width] with the first clusters, 0 … k-1, the largest first, [n]."""
    wide = rows - rows.mean(axis=0, dtype=np.float64)
    # Scale changes no cluster, and squares of large numbers do not fit into 32 bits.
    centred = (wide / max(float(np.abs(wide).max()), 1e-300)).astype(np.float32)
    ones = np.ones(len(rows))
    if settings.n_clusters is None:
        labels = nearest(centred, chosen_centres(centred, ones, rng))
    else:
        if settings.n_clusters * 5 > len(rows):
            raise InputError(
                f"{len(rows):,} rows are too few for {settings.n_clusters:,} clusters: 5 each is the least"
            )
        tries = [k_means(centred, ones, settings.n_clusters, rng) for _ in range(_STARTS)]
        labels = min(tries, key=lambda found: _spread(centred, found))
    sizes = np.bincount(labels)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return np.asarray(np.unique(rank[labels], return_inverse=True)[1], dtype=np.int64)


def typical_pair(rows: Vectors, labels: Ints, share: float) -> float:
    """Give the distance that so large a share of all pairs of rows within one cluster is not beyond."""
    found: list[Floats] = []
    for cluster in np.unique(labels).tolist():
        some = rows[np.flatnonzero(labels == cluster)[:_PAIRED]]
        one, other = np.triu_indices(len(some), 1)
        found.append(np.sqrt(squared_differences(some[one], some[other])))
    gaps = np.concatenate(found)
    return float(np.quantile(gaps, share)) if len(gaps) else 0.0


def _kept_apart(labels: Ints) -> Ints:
    """Choose the rows that make the clusters: all but a fifth, which is drawn already; none loses its only row."""
    n = min(MOST_HELD, int(HELD * len(labels)))
    first = np.unique(labels, return_index=True)[1]
    held = np.setdiff1d(np.arange(len(labels) - n, len(labels)), first)
    return np.setdiff1d(np.arange(len(labels)), held)


def _spread(rows: Vectors, labels: Ints) -> float:
    """Give the sum of squares within clusters."""
    members = np.zeros((int(labels.max()) + 1, len(rows)), dtype=np.float32)
    members[labels, np.arange(len(rows))] = 1.0
    means = (members @ rows) / members.sum(axis=1)[:, None]
    return float(((rows - means[labels]) ** 2).sum())


def _whole(label: Any) -> int | None:
    """Read a label as a number that may stand for itself."""
    text = str(label)
    return int(text) if text.isdecimal() and int(text) <= _MOST_LABEL else None

"""How few random cuts set a row apart from those that were normal? An isolation forest over a feature memory.

Each tree is grown from a sample of the remembered rows, where an exemplar that stands for c rows is drawn as c rows.
When the memory changes, trees that hold forgotten rows and the oldest trees make room for new ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jamais.detectors.detector import Detector
from jamais.detectors.iforest.credits import credits
from jamais.detectors.iforest.growing import depth_for, grow
from jamais.detectors.iforest.samples import Samples, draw
from jamais.detectors.iforest.scoring import Paths, mean_path
from jamais.detectors.iforest.trees import Trees
from jamais.errors import SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.types import Floats, StateTree, Vectors

_AUTO_SAMPLES = 256  # Liu et al., section 4.1
_MOST_SAMPLES = 65_536
_SPARING = 0.5  # of the trees that would make remembered rows scatter just as new ones: on the safe side
_GRID = 2.0**24  # steps of a mean path length: far below what a tree can tell


class IForest(Detector):
    """Score rows by how few random splits isolate them (Liu, Ting and Zhou, ICDM 2008): 2^(-mean path / expected).

    A tree sees `max_samples` rows: a number, a share of the rows, or `auto`: 256, but at most three quarters of the
    rows, so that every row stays out of some trees and can be scored as if it had not been learned. `extension` k
    splits along sums of k + 1 columns (Hariri et al., TKDE 2021), of all columns where there are fewer.
    """

    fewest_rows = 2

    def __init__(
        self,
        n_estimators: int = 100,
        max_samples: int | float | str = "auto",
        extension: int = 0,
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination, memory)
        self.n_estimators = _whole("n_estimators", n_estimators, 1)
        self.max_samples = _max_samples(max_samples)
        self.extension = _whole("extension", extension, 0)
        self.random_state = _whole("random_state", random_state, 0)
        self._trees: Trees | None = None
        self._samples = Samples.empty()
        self._paths_made: Paths | None = None
        self._spare_made: list[tuple[Samples, Paths]] | None = None
        self._n_seen = 0  # rows ever added to the memory, when the trees last followed it

    def settings(self) -> dict[str, Any]:
        names = ("n_estimators", "max_samples", "extension", "contamination", "random_state")
        return {name: getattr(self, name) for name in names}

    def _refit(self) -> None:
        births = np.arange(self.n_estimators)
        self._samples, slots, draws = draw(self.memory, births, self._n_sampled(), self.random_state)
        self._trees = grow(self.memory.rows, slots, draws, self._k())
        self._paths_made = self._spare_made = None
        self._n_seen = self.memory.normal.n_seen

    def _follow(self) -> None:
        """Replace the trees that hold rows no longer remembered, and a share of the oldest: the share of new rows.

        When that is all of them, or their size changes, the forest is the one that `fit` would grow.
        """
        new, total = self.memory.normal.n_seen - self._n_seen, int(self.memory.counts.sum())
        n_oldest = min(self.n_estimators, -(-self.n_estimators * new // total))
        places = self._samples.to_replace(n_oldest, self.memory.ids)
        if self._trees is None or len(places) == self.n_estimators or self._samples.size != self._n_sampled():
            return self._refit()
        if len(places):
            births = self._samples.births.max() + 1 + np.arange(len(places))
            new_samples, slots, draws = draw(self.memory, births, self._samples.size, self.random_state)
            trees = self._trees.copied()
            trees.put(places, grow(self.memory.rows, slots, draws, self._k()))
            self._samples = self._samples.replaced(places, new_samples)
            self._trees, self._paths_made = trees, None
        self._spare_made = None
        self._n_seen = self.memory.normal.n_seen

    def _scores(self, rows: Vectors) -> Floats:
        return self._as_scores(self._paths().sums(rows) / self.n_estimators)

    def _unseen_scores(self, rows: Vectors) -> Floats:
        """Score rows by the trees that did not draw them, those of `_spare` included.

        Where an exemplar stands for c rows and a tree drew k of them, it counts by the chance 1 - k/c that the row
        was not among them. A row that all trees have drawn is scored by all.
        """
        sums, n_trees = np.zeros(len(rows)), np.zeros(len(rows))
        for samples, paths in ((self._samples, self._paths()), *self._spare()):
            sums += paths.sums(rows)
            n_trees += paths.n_trees
            for which, trees, shares in samples.holding(rows, self.memory):
                lengths = paths.lengths[trees, paths.leaves(rows, which, trees)]
                sums -= np.bincount(which, shares * lengths, len(rows))
                n_trees -= np.bincount(which, shares, len(rows))
        none = n_trees < 1e-9
        if none.any():
            sums[none], n_trees[none] = self._paths().sums(rows[none]), self.n_estimators
        return self._as_scores(sums / n_trees)

    def _spare(self) -> list[tuple[Samples, Paths]]:
        """Grow trees for remembered rows alone, where few of the forest have not drawn them.

        With them, each row has nearly as many trees as a new row. The mean of fewer trees would scatter more, and
        p-values be too high. They are derived from the memory: not state, and never used for a score of a new row.
        """
        if self._spare_made is None:
            size, n = self._samples.size, int(self.memory.counts.sum())
            n_more = 0 if size == n or 4 * size <= n else _SPARING * self.n_estimators * min(3, size / (n - size))
            made: list[tuple[Samples, Paths]] = []
            if n_more:
                births = np.arange(math.ceil(n_more))
                samples, slots, draws = draw(self.memory, births, size, self.random_state, spare=True)
                made = [(samples, Paths(grow(self.memory.rows, slots, draws, self._k())))]
            self._spare_made = made  # whole or not at all: another thread may be looking
        return self._spare_made

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Credit each split on the way with the bits by which it narrowed down the rows, shallow ones with more."""
        return credits(self._paths(), rows, nearest)

    def _engine_state(self) -> StateTree:
        assert self._trees is not None, "saved before fitted"
        return {**self._trees.tree(), **self._samples.tree()}

    def _load_engine(self, tree: StateTree) -> None:
        size = self._n_sampled()
        self._samples = Samples.of_tree(tree, self.n_estimators, size, self.memory.ids)
        width = self.memory.rows.shape[1]
        self._trees = Trees.of_tree(tree, self.n_estimators, depth_for(size), self._k(), width, size)
        self._paths_made = self._spare_made = None
        self._n_seen = self.memory.normal.n_seen

    def _paths(self) -> Paths:
        if self._paths_made is None:
            assert self._trees is not None, "scored before fitted"
            self._paths_made = Paths(self._trees)
        return self._paths_made

    def _as_scores(self, means: Floats) -> Floats:
        # Means of other trees are rounded otherwise: on a grid, rows that no tree tells apart are tied, seen or unseen.
        tied = np.round(means * _GRID) / _GRID
        return np.asarray(np.exp2(-tied / mean_path(self._samples.size)))

    def _k(self) -> int:
        return min(self.extension + 1, int(self.memory.rows.shape[1]))

    def _n_sampled(self) -> int:
        n = int(self.memory.counts.sum())
        wanted: int
        if isinstance(self.max_samples, str):
            wanted = min(_AUTO_SAMPLES, 3 * n // 4)
        elif isinstance(self.max_samples, float):
            wanted = min(_MOST_SAMPLES, math.floor(self.max_samples * n))
        else:
            wanted = self.max_samples
        return min(max(2, wanted), n)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(f"IForest wants a whole number {name} >= {least}, got {value!r}")
    return int(value)


def _max_samples(value: int | float | str) -> int | float | str:
    if value == "auto":
        return "auto"
    if isinstance(value, float | np.floating) and 0.0 < value <= 1.0:
        return float(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 2 <= value <= _MOST_SAMPLES:
        return int(value)
    raise SettingsError(
        f"IForest wants max_samples 'auto', a number of rows from 2 to {_MOST_SAMPLES:,} or a share up to 1.0, "
        f"got {value!r}"
    )

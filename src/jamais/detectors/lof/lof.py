"""Is this row in a thinner place than its neighbours are?

The local outlier factor compares the density around a row with the densities around its neighbours: about 1 where
they are alike, whatever the density is, and more where the row is lonelier than they are. Learning and forgetting
change only the lists of neighbours that they touch; the scores are those of a fit from scratch, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jamais.detectors.detector import Detector
from jamais.detectors.lof.densities import Densities, up_to
from jamais.detectors.lof.neighbours import NeighbourLists
from jamais.detectors.lof.repeats import places_of
from jamais.detectors.lof.unseen import LeftOut
from jamais.detectors.reasons import Reason
from jamais.errors import SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.types import Floats, Ints, StateTree, Vectors

_ALONE = 1.0
"""The score beside a single other row, around which there is no density to compare with."""


class LOF(Detector):
    """Score rows by their local outlier factor (Breunig et al., SIGMOD 2000), as new rows.

    `n_neighbors` is cut to the number of other rows remembered, as in scikit-learn, whose `-score_samples` these
    scores are; `decision_scores_` are its `-negative_outlier_factor_`. A row remembered c times is c rows.
    """

    fewest_rows = 2
    fewest_to_fit = 3

    def __init__(
        self,
        n_neighbors: int = 20,
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
    ) -> None:
        super().__init__(contamination, memory)
        whole = isinstance(n_neighbors, int | np.integer) and not isinstance(n_neighbors, bool)
        if not whole or n_neighbors < 1:
            raise SettingsError(f"LOF wants a whole number n_neighbors >= 1, got {n_neighbors!r}")
        self.n_neighbors = int(n_neighbors)
        self._lists: NeighbourLists | None = None
        self._densities: Densities | None = None

    def settings(self) -> dict[str, Any]:
        return {"n_neighbors": self.n_neighbors, "contamination": self.contamination}

    def explain(self, X: Any, n_nearest: int = 3, n_features: int = 5) -> list[Reason]:
        """Say of each row of `X` [n, width] what it is near to, which columns make it far, and how dense it is there.

        `details` has the row's `density`, the mean `neighbour_density`, and `k_distance`, that to its k-th neighbour.
        """
        rows = self._ready(X)
        known, (far, near) = self._known(), self._engine().nearest(rows, self.n_neighbors)
        taken = up_to(known.counts[near], np.int64(known.k))
        around = np.add.reduce(known.density[near] * taken, axis=1) / known.k
        own = around / known.scores(far, near)
        last = far[np.arange(len(far)), (taken > 0.0).sum(axis=1) - 1]
        plain = super().explain(rows, n_nearest, n_features)
        columns = zip(own.tolist(), around.tolist(), last.tolist(), strict=True)
        names = ("density", "neighbour_density", "k_distance")
        return [
            replace(one, details={**one.details, **dict(zip(names, more, strict=True))})
            for one, more in zip(plain, columns, strict=True)
        ]

    # The engine

    def _refit(self) -> None:
        self._lists = NeighbourLists(self.memory.rows, self.memory.ids, self.n_neighbors + 1)
        self._densities = None

    def _follow(self) -> None:
        self._densities = None
        if not self._engine().follow(self.memory.rows, self.memory.ids):
            self._refit()

    def _engine_state(self) -> StateTree:
        return self._engine().state()

    def _load_engine(self, tree: StateTree) -> None:
        memory = self.memory
        self._lists = NeighbourLists.of_state(tree, memory.rows, memory.ids, self.n_neighbors + 1)
        self._densities = None

    def _engine(self) -> NeighbourLists:
        if self._lists is None:
            self._refit()
        assert self._lists is not None
        return self._lists

    def _known(self) -> Densities:
        """Give the densities around the remembered rows; made when first asked for after a change."""
        if self._densities is None:
            lists = self._engine()
            given = self.memory.counts
            counts = np.ones(len(lists.known), dtype=np.int64)
            counts[lists.slots] = given
            columns = min(self.n_neighbors + 1, len(given) - 1)
            k = min(self.n_neighbors, int(given.sum()) - 1)
            self._densities = Densities.of(lists.near[:, :columns], lists.far[:, :columns], counts, k)
        return self._densities

    # Scores

    def _scores(self, rows: Vectors) -> Floats:
        return self._known().scores(*self._engine().nearest(rows, self.n_neighbors))

    def _training_scores(self, rows: Vectors) -> Floats:
        """Score each row as one of those remembered: it counts among its neighbours' neighbours."""
        slots, far, near = self._standing(rows)
        scores = self._known().factors()[slots]
        strange = slots < 0
        scores[strange] = self._as_new(far[strange], near[strange])
        return scores

    def _unseen_scores(self, rows: Vectors) -> Floats:
        slots, far, near = self._standing(rows)
        scores = self._as_new(far, near)
        kept, n = np.flatnonzero(slots >= 0), int(self.memory.counts.sum())
        if n < 3:
            scores[kept] = _ALONE
        else:
            left_out = LeftOut(self._known(), min(self.n_neighbors, n - 2))
            scores[kept] = left_out.scores(far[kept], near[kept], slots[kept])
        return scores

    def _as_new(self, far: Floats, near: Ints) -> Floats:
        return self._known().scores(far[:, : self.n_neighbors], near[:, : self.n_neighbors])

    def _standing(self, rows: Vectors) -> tuple[Ints, Floats, Ints]:
        """Find the slot [n] of the exemplar that stands for each row, -1 for none, and what is nearest to the rows.

        Distances and slots [n, columns] name the exemplar first, and as many others as a left-out row needs.
        """
        lists, columns = self._engine(), min(self.n_neighbors + 2, len(self.memory))
        places = places_of(rows, self.memory.rows)
        slots = np.where(places >= 0, lists.slots[places], -1)
        far, near = np.zeros((len(rows), columns)), np.empty((len(rows), columns), dtype=np.int64)
        near[:, 0] = slots
        far[:, 1:], near[:, 1:] = lists.far[slots, : columns - 1], lists.near[slots, : columns - 1]
        missed = np.flatnonzero(slots < 0)
        if len(missed):
            far[missed], near[missed] = lists.nearest(rows[missed], columns)
            slots[missed] = np.where(far[missed, 0] <= self.memory.normal.reach, near[missed, 0], -1)
        return slots, far, near

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Look at each column's part of the squared distance to the mean of the neighbours."""
        known, (_, near) = self._known(), self._engine().nearest(rows, self.n_neighbors)
        taken = up_to(known.counts[near], np.int64(known.k)) / known.k
        middles = [w @ self.memory.rows[self._engine().places(slots)] for w, slots in zip(taken, near, strict=True)]
        return np.asarray((rows - np.array(middles)) ** 2, dtype=np.float64)

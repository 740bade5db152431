"""How far is a text from all known ones, in the eyes of the chosen detector?

Every known template is one row, however often it came: rarity counts that already. The detector is derived from
the memory, never saved, so rolling the memory back rolls it back, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jamais.memory.cover import CoverMemory
from jamais.memory.spaces import in_space
from jamais.types import Floats, Ints, Vectors

if TYPE_CHECKING:
    from jamais.detectors.detector import Detector

METHODS = ("knn", "lof", "iforest", "cluster", "reconstruction", "ensemble")
FEWEST_ROWS = 20
"""Templates below which the others have too little to go by; distance to the nearest decides then."""


@dataclass(frozen=True)
class _Derived:
    """What one state of the memory gives."""

    changes: int
    unseen: Floats
    """[m] the score of each remembered row as if it alone were unknown."""
    detector: Detector | None = field(default=None)
    """None where distance to the nearest decides."""


class Novelty:
    """Scores vectors against a memory of vectors, by cosine: only directions carry meaning."""

    def __init__(self, memory: CoverMemory, method: str = "knn", n_neighbors: int = 1) -> None:
        self.memory = memory
        self.method = method
        self.n_neighbors = n_neighbors
        self._derived: _Derived | None = None

    def unseen(self) -> Floats:
        """Score every remembered row [m] as if it were unknown and all the others known."""
        return self._now().unseen

    def scores(self, vectors: Vectors) -> Floats:
        """Score `vectors` [n, width]; higher is further from all that is known."""
        detector = self._now().detector
        if detector is None:
            return self.nearest(vectors, self.n_neighbors)[0][:, -1]
        return detector.decision_function(_directions(vectors))

    def nearest(self, vectors: Vectors, n: int) -> tuple[Floats, Ints]:
        """Return cosine distances [n_rows, n] and ids of the nearest remembered rows."""
        from jamais.detectors.knn import KNN

        return KNN(n_neighbors=n, metric="cosine", memory=self.memory).nearest(vectors)

    def _now(self) -> _Derived:
        derived = self._derived
        if derived is None or derived.changes != self.memory.changes:
            derived = self._derive()
            self._derived = derived
        return derived

    def _derive(self) -> _Derived:
        rows = self.memory.rows
        if self.method == "knn" or len(rows) < FEWEST_ROWS:
            # One neighbour more than asked for: each remembered row is nearest to itself.
            unseen = self.nearest(rows, self.n_neighbors + 1)[0][:, -1] if len(rows) else np.empty(0)
            return _Derived(self.memory.changes, unseen)
        detector = _made(self.method, len(rows))
        directions = _directions(rows)
        detector.fit(directions)
        return _Derived(self.memory.changes, detector.unseen_scores(directions), detector)


def _made(method: str, n_rows: int) -> Detector:
    from jamais.memory.feature_memory import FeatureMemory
    from jamais.registry import find

    made: Detector = find(method)(memory=FeatureMemory(n_rows))
    return made


def _directions(vectors: Vectors) -> Vectors:
    return np.ascontiguousarray(in_space(vectors, "cosine")[:, :-1], dtype=np.float32)

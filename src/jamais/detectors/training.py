"""What is kept of the scores of the rows that were fitted?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.errors import NotReadyError
from jamais.types import Floats, StateTree

_FIGURES = ("threshold", "lowest", "highest", "mean", "spread")


@dataclass(frozen=True)
class Training:
    """Threshold and a few figures of the training scores; the scores themselves only until the next load."""

    threshold: float
    lowest: float
    highest: float
    mean: float
    spread: float
    """Standard deviation."""
    n_rows: int
    scores: Floats | None = None

    @classmethod
    def of(cls, scores: Floats, contamination: float) -> Training:
        """Summarise `scores` [n], of which a share `contamination` lies above the threshold."""
        return cls(
            threshold=float(np.quantile(scores, 1.0 - contamination)),
            lowest=float(scores.min()),
            highest=float(scores.max()),
            mean=float(scores.mean()),
            spread=float(scores.std()),
            n_rows=len(scores),
            scores=scores,
        )

    @classmethod
    def of_tree(cls, tree: StateTree) -> Training:
        threshold, lowest, highest, mean, spread = (float(tree[name]) for name in _FIGURES)
        return cls(threshold, lowest, highest, mean, spread, int(tree["n_rows"]))

    def tree(self) -> StateTree:
        return {name: getattr(self, name) for name in (*_FIGURES, "n_rows")}

    def scores_of_fit(self, name: str) -> Floats:
        """Give the scores [n]; raise `NotReadyError` after loading."""
        if self.scores is None:
            raise NotReadyError(f"{name} was loaded, and training scores are not saved: call fit() or score the rows")
        return self.scores

"""What is kept of the scores of the rows that were fitted?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jamais.errors import CorruptStateError, NotReadyError
from jamais.types import Floats, Ints, StateTree

_FIGURES = ("threshold", "lowest", "highest", "mean", "spread")
_RANKS = 1_000


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
    ranks: Ints
    """How many training scores [m] are at most `at_ranks` [m]: all of up to 1,000, else dense near the threshold."""
    at_ranks: Floats
    scores: Floats | None = None

    @classmethod
    def of(cls, scores: Floats, contamination: float) -> Training:
        """Summarise `scores` [n], of which a share `contamination` lies above the threshold."""
        ranks = _chosen_ranks(len(scores), contamination)
        return cls(
            threshold=float(np.quantile(scores, 1.0 - contamination)),
            lowest=float(scores.min()),
            highest=float(scores.max()),
            mean=float(scores.mean()),
            spread=float(scores.std()),
            n_rows=len(scores),
            ranks=ranks,
            at_ranks=np.sort(scores)[ranks - 1],
            scores=scores,
        )

    @classmethod
    def of_tree(cls, tree: StateTree) -> Training:
        threshold, lowest, highest, mean, spread = (float(tree[name]) for name in _FIGURES)
        ranks, at_ranks = np.array(tree["ranks"]), np.array(tree["at_ranks"])
        if ranks.dtype != np.int64 or at_ranks.dtype != np.float64 or ranks.shape != at_ranks.shape or not ranks.size:
            raise CorruptStateError("training.ranks and training.at_ranks do not fit together: load another version")
        return cls(threshold, lowest, highest, mean, spread, int(tree["n_rows"]), ranks, at_ranks)

    def tree(self) -> StateTree:
        return {name: getattr(self, name) for name in (*_FIGURES, "n_rows")} | {
            "ranks": self.ranks.copy(),
            "at_ranks": self.at_ranks.copy(),
        }

    def n_at_most(self, scores: Floats) -> Floats:
        """Count the training scores that are at most each of `scores` [n]; between two kept ranks, a straight line."""
        last = len(self.ranks) - 1
        above = np.searchsorted(self.at_ranks, scores, side="right")  # the first kept rank above each score
        low, high = np.clip(above - 1, 0, last), np.clip(above, 0, last)
        gap = self.at_ranks[high] - self.at_ranks[low]
        part = np.where(gap > 0, (scores - self.at_ranks[low]) / np.where(gap > 0, gap, 1.0), 0.0)
        # Between neighbouring ranks lies no score: the count is that of the lower one.
        between = np.floor(self.ranks[low] + part * (self.ranks[high] - self.ranks[low]))
        return np.where(above == 0, 0.0, between)

    def scores_of_fit(self, name: str) -> Floats:
        """Give the scores [n]; raise `NotReadyError` after loading."""
        if self.scores is None:
            raise NotReadyError(f"{name} was loaded, and training scores are not saved: call fit() or score the rows")
        return self.scores


def _chosen_ranks(n: int, contamination: float) -> Ints:
    """Choose at most 1,000 of the ranks 1 … n: half evenly, half where verdicts are unsure (6 deviations)."""
    if n <= _RANKS:
        return np.arange(1, n + 1)
    middle, reach = n * (1.0 - contamination), 6.0 * math.sqrt(n * contamination * (1.0 - contamination))
    evenly = np.linspace(1, n, _RANKS // 2)
    near = np.clip(np.linspace(middle - reach, middle + reach, _RANKS // 2), 1, n)
    return np.unique(np.concatenate([evenly, near]).round().astype(np.int64))

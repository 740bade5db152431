"""In which space are rows compared: as given, scaled by column, or by angle?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import Floats, StateTree, Vectors

_SMALLEST = 1e-12  # of the largest column's spread: a column that never varied stays as it is, less its mean


class Space:
    """Maps rows [n, width] to where distances are compared; a row's place depends on its own bits only."""

    def __init__(self, metric: str, mean: Floats | None = None, spread: Floats | None = None) -> None:
        self.metric = metric
        self.mean, self.spread = mean, spread

    @classmethod
    def of(cls, rows: Vectors, metric: str, scaling: str | None) -> Space:
        """Take means and spreads of the columns from `rows` [n, width], where scaling is asked for."""
        if scaling is None:
            return cls(metric)
        wide = rows.astype(np.float64)
        mean, spread = wide.mean(axis=0), wide.std(axis=0)
        return cls(metric, mean, np.where(spread > _SMALLEST * max(float(spread.max()), 1e-300), spread, 1.0))

    @property
    def is_plain(self) -> bool:
        return self.mean is None and self.metric == "euclidean"

    def of_rows(self, rows: Vectors) -> Vectors:
        """Give the places [n, width] of `rows` [n, width] as float32."""
        if self.is_plain:
            return rows
        wide: NDArray[Any] = rows.astype(np.float64)
        if self.mean is not None and self.spread is not None:
            wide = (wide - self.mean) / self.spread
        if self.metric == "cosine":
            # A zero vector has no direction: it stays where it is, 1 away from all others.
            norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
            wide = wide / np.where(norms > 0.0, norms, 1.0)[:, None]
        return np.asarray(np.clip(wide, -3e38, 3e38), dtype=np.float32) + np.float32(0.0)

    def state_dict(self) -> StateTree:
        return {"metric": self.metric, "mean": self.mean, "spread": self.spread}

    @classmethod
    def from_state(cls, tree: StateTree) -> Space:
        mean, spread = (None if tree[name] is None else np.array(tree[name]) for name in ("mean", "spread"))
        if (mean is None) != (spread is None) or (
            mean is not None and spread is not None and (mean.shape != spread.shape or not (spread > 0).all())
        ):
            raise CorruptStateError("space.mean and space.spread do not fit together: load another version")
        return cls(str(tree["metric"]), mean, spread)

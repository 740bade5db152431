"""What is the mean of weighted rows, and how do their columns vary together?

Sums about a fixed origin: adding rows, taking them out and weighing them otherwise are all additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import Floats, StateTree, Vectors

_AT_ONCE = 4_000_000  # numbers of one block: 32 MB


@dataclass(frozen=True)
class Moments:
    """Mass, sums [width] and sums of products [width, width] of deviations from `origin` [width]."""

    origin: Floats
    mass: float
    sums: Floats
    products: Floats

    @classmethod
    def of(cls, rows: Vectors, weights: Floats) -> Moments:
        """Sum up `rows` [n, width] with `weights` [n]; the origin is their mean."""
        width = rows.shape[1]
        empty = np.zeros((width, width))
        origin = np.average(rows, axis=0, weights=weights).astype(np.float64)
        return cls(origin, 0.0, np.zeros(width), empty).plus(rows, weights)

    def plus(self, rows: Vectors, weights: Floats) -> Moments:
        """Add `rows` [n, width] with `weights` [n], below 0 to take them out."""
        sums, products = self.sums.copy(), self.products.copy()
        step = max(1, _AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            apart = np.subtract(rows[part], self.origin, dtype=np.float64)
            weighted = apart * weights[part, None]
            sums += np.add.reduce(weighted, axis=0)
            products += weighted.T @ apart
        return Moments(self.origin, self.mass + float(weights.sum()), sums, products)

    def mean(self) -> Floats:
        """[width]"""
        return np.asarray(self.origin + self.sums / self.mass, dtype=np.float64)

    def covariance(self) -> Floats:
        """[width, width]"""
        off = self.sums / self.mass
        whole = self.products / self.mass - np.outer(off, off)
        return np.asarray((whole + whole.T) / 2, dtype=np.float64)

    def state(self) -> StateTree:
        """Return copies."""
        return {
            "origin": self.origin.copy(),
            "mass": self.mass,
            "sums": self.sums.copy(),
            "products": self.products.copy(),
        }

    @classmethod
    def of_state(cls, tree: StateTree, width: int) -> Moments:
        """Copy from a state; raise `CorruptStateError` naming the leaf that does not fit."""
        mass = float(tree["mass"])
        if not (np.isfinite(mass) and mass > 0):
            raise CorruptStateError(f"reconstruction.moments.mass: {mass}, wanted a number above 0")
        shapes = {"origin": (width,), "sums": (width,), "products": (width, width)}
        leaves = {name: leaf(tree, name, shape, "moments") for name, shape in shapes.items()}
        return cls(mass=mass, **leaves)


def leaf(tree: StateTree, name: str, shape: tuple[int, ...], part: str) -> Floats:
    """Copy a float64 leaf of this shape; raise `CorruptStateError` otherwise."""
    array = tree[name]
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != shape:
        got = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptStateError(f"reconstruction.{part}.{name}: saved {got}, wanted float64{list(shape)}")
    if not np.isfinite(array).all():
        raise CorruptStateError(f"reconstruction.{part}.{name}: holds NaN or infinity")
    return array.copy()

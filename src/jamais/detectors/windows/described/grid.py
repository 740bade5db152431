"""In which numbers are channels compared, so that sums have the same bits in any order?

Scaled values are whole multiples of 2^-8 spreads. Whole numbers add up and multiply without rounding in float64, so a
matrix product, a running sum and one row alone agree to the last bit, whoever computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.types import Floats, StateTree

STEPS = 256
"""Steps of the grid in one spread of a channel."""
NOTCHES = 32
"""Notches of a coarser grid in one spread: descriptions are compared on it, so that float32 is exact."""


def notched(steps: Floats) -> Floats:
    """Round steps of the fine grid to whole notches; NaN stays."""
    return np.rint(steps * (NOTCHES / STEPS))


@dataclass(frozen=True)
class ChannelScale:
    """Middle and unit of each channel [C], from fit data only."""

    mean: Floats
    unit: Floats
    clip: float
    low: Floats
    """[C] the least value in the fit data."""
    extent: Floats
    """[C] from there to the largest; of a channel that never moved its level, or 1."""
    constant: Floats
    """[C] 1 where the channel never moved in the fit data, or never came."""

    @classmethod
    def of(cls, values: Floats, floor: float, clip: float) -> ChannelScale:
        """Measure `values` [n, C]; NaN is missing.

        The unit is the standard deviation plus `floor` times the range. Of a channel that never moved it is `floor`
        times its value, or `floor` where that is 0: a flag that goes up is far out, rounding noise is not.
        """
        present = np.isfinite(values)
        n = np.maximum(present.sum(axis=0), 1)
        filled = np.where(present, values, 0.0)
        mean = filled.sum(axis=0) / n
        spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / n)
        high = np.where(present, values, -np.inf).max(axis=0, initial=-np.inf)
        low = np.where(present, values, np.inf).min(axis=0, initial=np.inf)
        known = present.any(axis=0)
        extent = np.where(known, high - low, 0.0)
        constant = extent <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        level = np.where(mean != 0.0, np.abs(mean), 1.0)
        unit = np.where(constant, floor * level, spread + floor * extent)
        low = np.where(known, low, 0.0)
        return cls(mean, unit, clip, low, np.where(constant, level, extent), constant.astype(np.float64))

    def steps(self, values: Floats) -> Floats:
        """Give `values` [n, C] on the grid, NaN where they are missing."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.clip((values - self.mean) / self.unit, -self.clip, self.clip)
        return np.asarray(np.rint(scaled * STEPS))

    def of_extent(self, steps: Floats) -> Floats:
        """Give steps [n, C] as they lie between the least and the largest value of the fit data, in whole steps."""
        return np.asarray(np.rint(steps * (self.unit / self.extent) + (self.mean - self.low) / self.extent * STEPS))

    def values(self, steps: Floats) -> Floats:
        """Give back what stands for steps [n, C], in the units of the channels."""
        return steps / STEPS * self.unit + self.mean

    def state_dict(self) -> StateTree:
        return {name: getattr(self, name) for name in _SAVED} | {"clip": self.clip}

    @classmethod
    def of_state(cls, tree: StateTree) -> ChannelScale:
        return cls(clip=float(tree["clip"]), **{name: np.asarray(tree[name], dtype=np.float64) for name in _SAVED})


_SAVED = ("mean", "unit", "low", "extent", "constant")

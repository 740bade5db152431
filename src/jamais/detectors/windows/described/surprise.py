"""Could this row have been told from the ones before it?

Each channel is forecast from its own last rows by a linear rule, learned from normal rows in closed form. What is left
over, now and over the last rows, is the description: it is over when the anomaly is over, where a window stays odd for
as long as it holds one odd row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.detectors.windows.described.grid import STEPS, notched
from jamais.detectors.windows.described.trailing import Trailing
from jamais.errors import CorruptStateError, InputError
from jamais.types import Floats, StateTree

LAGS = 4
"""Rows that a forecast looks back on."""
LATELY = 4
"""Rows over which the size of errors is averaged."""
_FACTOR = 2.0**-20  # the grid of the coefficients: sums of products stay exact
_MOST = 8.0  # of a coefficient
_RIDGE = 1e-3  # of a channel's spread
_LEAST = 0.05  # spreads added to that of the errors: a channel that is never wrong must not outcry all others
_FAR = 8.0  # spreads of the errors, from where on they are merely large


class Surprise:
    """Describes the errors of forecasts: that of each channel now, and twice their mean size over the last rows.

    Make one with `learned`. Values that are missing are taken as the last known one of those; an error is unknown
    where the value itself, or all before it, are missing.
    """

    group = "surprise"
    name = f"surprise {LATELY}"
    w = LAGS + LATELY

    def __init__(self, factors: Floats, offset: Floats, unit: Floats) -> None:
        self.factors = factors
        """[4, C] coefficients, that of the newest row first."""
        self.offset = offset
        """[C] in steps."""
        self.unit = unit
        """[C] spread of the errors, in steps."""

    @classmethod
    def learned(cls, steps: Floats) -> Surprise:
        """Learn to forecast normal rows [n, C] on the grid, NaN where missing; raise InputError for less than 20."""
        if len(steps) < LAGS + LATELY + LAGS:
            raise InputError(f"{len(steps)} rows to learn forecasts from: give at least {LAGS + LATELY + LAGS}")
        past, now = _past(steps), steps
        factors, offset = np.zeros((LAGS, steps.shape[1])), np.zeros(steps.shape[1])
        for channel in range(steps.shape[1]):
            usable = ~np.isnan(past[:, :, channel]).any(axis=0) & ~np.isnan(now[:, channel])
            if usable.sum() > LAGS:
                factors[:, channel], offset[channel] = _ridge(past[:, usable, channel].T, now[usable, channel])
        factors = np.rint(np.clip(factors, -_MOST, _MOST) / _FACTOR) * _FACTOR
        made = cls(factors, np.rint(offset), np.full(steps.shape[1], float(STEPS)))
        errors = made._errors(steps)
        known = ~np.isnan(errors)
        n_known = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, errors, 0.0)
        spread = np.sqrt(np.maximum((filled**2).sum(axis=0) / n_known - (filled.sum(axis=0) / n_known) ** 2, 0.0))
        made.unit = np.rint(spread + _LEAST * STEPS)
        return made

    def of(self, trailing: Trailing) -> Floats:
        """Describe the errors at each row: [n, 2 * C]."""
        with np.errstate(invalid="ignore"):
            errors = np.rint(np.clip(self._errors(trailing.steps) / self.unit, -_FAR, _FAR) * STEPS)
        sizes = Trailing(np.abs(errors))
        with np.errstate(invalid="ignore", divide="ignore"):
            lately = np.rint(2.0 * sizes.sums(LATELY) / sizes.counts(LATELY))
        return notched(np.concatenate([errors, lately], axis=1))

    def state_dict(self) -> StateTree:
        return {"factors": self.factors.copy(), "offset": self.offset.copy(), "unit": self.unit.copy()}

    def to_state(self) -> StateTree:
        """Copy all that is needed, as `from_state` takes it."""
        return self.state_dict()

    @classmethod
    def from_state(cls, tree: StateTree) -> Surprise:
        """Make the descriptor of a state; raise CorruptStateError for anything else."""
        if type(tree) is not dict or tree.keys() != {"factors", "offset", "unit"}:
            raise CorruptStateError("not the state of a Surprise, wanted factors, offset, unit: load another version")
        channels = len(tree["unit"]) if isinstance(tree["unit"], np.ndarray) and tree["unit"].ndim == 1 else 0
        wanted = {"factors": (LAGS, channels), "offset": (channels,), "unit": (channels,)}
        for name, shape in wanted.items():
            _check(name, tree[name], shape)
        if not (tree["unit"] > 0).all():
            raise CorruptStateError("surprise.unit: wanted positive numbers: load another version")
        return cls(tree["factors"].copy(), tree["offset"].copy(), tree["unit"].copy())

    def _errors(self, steps: Floats) -> Floats:
        """Give what the forecasts [n, C] missed by, in whole steps; NaN where nothing was or could be said."""
        forecast = np.broadcast_to(self.offset, steps.shape).copy()
        for lag, before in enumerate(_past(steps)):
            forecast += before * self.factors[lag]
        missed: Floats = np.rint(steps - forecast)
        return missed


def _past(steps: Floats) -> Floats:
    """Give the 4 rows before each row, the newest first: [4, n, C]; gaps are bridged, NaN where nothing is known."""
    past = np.full((LAGS, *steps.shape), np.nan)
    for lag in range(1, LAGS + 1):
        past[lag - 1, lag:] = steps[: max(0, len(steps) - lag)]
    if np.isnan(past).any():
        for lag in range(LAGS - 2, -1, -1):  # what is missing is as it was
            past[lag] = np.where(np.isnan(past[lag]), past[lag + 1], past[lag])
        for lag in range(1, LAGS):  # before the first that is known, as it is then
            past[lag] = np.where(np.isnan(past[lag]), past[lag - 1], past[lag])
    return past


def _ridge(past: Floats, now: Floats) -> tuple[Floats, float]:
    """Solve least squares of `now` [n] on `past` [n, 4] with an offset; sums are scaled to spreads first."""
    rows = np.concatenate([past / STEPS, np.ones((len(past), 1))], axis=1)
    squares = rows.T @ rows / len(rows) + _RIDGE * np.eye(LAGS + 1)
    found = np.linalg.solve(squares, rows.T @ (now / STEPS) / len(rows))
    return found[:LAGS], float(found[LAGS] * STEPS)


def _check(name: str, array: Any, shape: tuple[int, ...]) -> None:
    fits = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == shape and shape[-1] > 0
    if not fits or not np.isfinite(array).all():
        told = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptStateError(f"surprise.{name}: saved {told}, wanted finite float64 {shape}: load another version")

"""How far is a window from those that are remembered, in one description?"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jamais.detectors.windows.described.descriptors import Descriptor
from jamais.detectors.windows.described.grid import NOTCHES
from jamais.types import Bools, Floats, Ints

FAR = 1e30
"""Squared distance of what cannot be compared, or must not be."""
_EXACT = 2.0**24  # up to here float32 holds every whole number


class Compared(NamedTuple):
    """Squared distances of rows [n] to remembered ones [m], in squared notches: `own[:, None] + rest`."""

    rest: NDArray[Any]
    """[n, m], whole numbers in float32 or float64; FAR where nothing can be compared."""
    own: Floats
    """[n] what all distances of a row have in common."""

    def slots(self) -> Ints:
        """Name the nearest remembered row of each, [n]; the first of several."""
        return np.asarray(self.rest.argmin(axis=1))

    def distances(self, k: int, stands: Ints) -> Floats:
        """Give the mean [n] of the `k` smallest distances, in spreads; 0 where nothing can be compared.

        A remembered row counts as often as the windows that it `stands` for [m].
        """
        n, row = min(k, self.rest.shape[1]), np.arange(len(self.rest))[:, None]
        slots = self.rest.argpartition(n - 1, axis=1)[:, :n]
        nearest = self.rest[row, slots]
        order = nearest.argsort(axis=1, kind="stable")  # sorted: added up in one order
        nearest, times = nearest[row, order].astype(np.float64), stands[slots[row, order]]
        usable = nearest < FAR / 2
        times = times * usable
        near = np.sqrt((nearest + self.own[:, None]) * usable) / NOTCHES
        total, left = np.zeros(len(near)), np.full(len(near), k)
        for at in range(n):
            taken = np.minimum(times[:, at], left)
            total += near[:, at] * taken
            left = left - taken
        return np.asarray(total / np.maximum(k - left, 1))


class Bank:
    """Descriptions [m, width] of the remembered windows, whole numbers with NaN for unknown.

    Sums of products of whole numbers never round as long as they stay below 2^24 in float32, and no partial sum of
    a·b is beyond |a||b| (Cauchy-Schwarz). So the matrix product that compares has the same bits for a row alone and
    in any batch; rows too large for that are compared in float64, to the same numbers.
    """

    def __init__(self, descriptor: Descriptor, rows: Floats) -> None:
        self.descriptor = descriptor
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def compare(self, asked: Floats) -> Compared:
        """Compare rows asked [n, width], whole numbers.

        What is unknown on either side is left out, and the rest stands for it.
        """
        if self._gaps is not None:
            return Compared(self._with_gaps(asked), np.zeros(len(asked)))
        own = _norms(asked)
        gaps = np.asarray(np.isnan(own))
        if not gaps.any():
            return Compared(self._product(asked, own), own)
        rest = np.empty((len(asked), len(self)))
        rest[~gaps] = self._product(asked[~gaps], own[~gaps])
        rest[gaps] = self._with_gaps(asked[gaps])
        return Compared(rest, np.where(gaps, 0.0, own))

    def differences(self, asked: Floats, slots: Ints) -> Floats:
        """Give squared differences [n, width] to the remembered rows `slots` [n], 0 where unknown."""
        return np.asarray(np.nan_to_num(asked - self.rows[slots], nan=0.0)) ** 2

    def _product(self, asked: Floats, own: Floats) -> NDArray[Any]:
        """Give |b|² - 2 a·b for rows a asked [n, width] and remembered b, [n, m]."""
        largest = float(own.max(initial=0.0))
        single = self._largest + 2.0 * np.sqrt(largest * self._largest) < _EXACT
        product = asked.astype(np.float32) @ self._columns32 if single else asked @ self._columns
        product += self._norms32 if single else self._norms
        return product

    @cached_property
    def _gaps(self) -> Bools | None:
        unknown = np.isnan(self.rows)
        return unknown if unknown.any() else None

    @cached_property
    def _filled(self) -> Floats:
        return np.asarray(np.nan_to_num(self.rows, nan=0.0))

    @cached_property
    def _columns(self) -> Floats:
        """-2 b of every remembered row b, [width, m]."""
        return np.ascontiguousarray(-2.0 * self._filled.T)

    @cached_property
    def _columns32(self) -> NDArray[np.float32]:
        return self._columns.astype(np.float32)

    @cached_property
    def _norms32(self) -> NDArray[np.float32]:
        return self._norms.astype(np.float32)

    @cached_property
    def _norms(self) -> Floats:
        return _norms(self._filled)

    @cached_property
    def _largest(self) -> float:
        return float(self._norms.max(initial=0.0))

    def _with_gaps(self, asked: Floats) -> Floats:
        here = (~np.isnan(asked)).astype(np.float64)
        there = np.ones_like(self.rows) if self._gaps is None else (~self._gaps).astype(np.float64)
        filled = np.nan_to_num(asked, nan=0.0)
        squares = (filled * filled) @ there.T + here @ (self._filled * self._filled).T + filled @ self._columns
        known = here @ there.T
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = squares * (asked.shape[1] / known)
        return np.where(known > 0, whole, FAR)


def _norms(rows: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))  # whole numbers: exact in any order

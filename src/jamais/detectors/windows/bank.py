"""How far is a window from those that are remembered, in one description?"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from jamais.detectors.windows.described.descriptors import Descriptor
from jamais.detectors.windows.described.grid import STEPS
from jamais.types import Bools, Floats, Ints

FAR = 1e30
"""Squared distance of what must not be compared."""


class Bank:
    """Descriptions [m, width] of the remembered windows, whole numbers with NaN for unknown.

    Squared distances are sums of whole numbers below 2^53: the matrix product that makes them never rounds, so a row
    has the same bits alone and in any batch.
    """

    def __init__(self, descriptor: Descriptor, rows: Floats) -> None:
        self.descriptor = descriptor
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def squares(self, asked: Floats) -> Floats:
        """Give squared distances [n, m] to rows asked [n, width], in squared steps.

        What is unknown on either side is left out, and the rest stands for it; FAR where nothing can be compared.
        """
        found = np.empty((len(asked), len(self)))
        gaps = np.zeros(len(asked), dtype=np.bool_)
        if np.isnan(asked.sum()):
            gaps = np.asarray(np.isnan(asked).any(axis=1))
        if self._gaps is not None:
            gaps[:] = True
        whole = asked if not gaps.any() else asked[~gaps]
        if len(whole):
            product = whole @ self._columns
            product *= -2.0
            product += self._norms
            product += _norms(whole)[:, None]
            if len(whole) == len(asked):
                return product
            found[~gaps] = product
        if gaps.any():
            found[gaps] = self._with_gaps(asked[gaps])
        return found

    def distances(self, squares: Floats, k: int) -> Floats:
        """Give the mean [n] of the `k` smallest distances, in spreads."""
        k = min(k, squares.shape[1])
        nearest = squares if k == squares.shape[1] else np.partition(squares, k - 1, axis=1)[:, :k]
        # Sorted, so that they are added up in one order; twins that were ruled out do not count.
        nearest = np.sort(nearest, axis=1)
        usable = nearest < FAR
        near = np.sqrt(np.where(usable, nearest, 0.0)) / STEPS
        total, n_usable = near[:, 0].copy(), usable[:, 0].astype(np.float64)
        for at in range(1, k):
            total += near[:, at]
            n_usable += usable[:, at]
        return np.asarray(total / np.maximum(n_usable, 1.0))

    def differences(self, asked: Floats, slots: Ints) -> Floats:
        """Give squared differences [n, width] to the remembered rows `slots` [n], 0 where unknown."""
        return np.asarray(np.nan_to_num(asked - self.rows[slots], nan=0.0)) ** 2

    @cached_property
    def _gaps(self) -> Bools | None:
        unknown = np.isnan(self.rows)
        return unknown if unknown.any() else None

    @cached_property
    def _filled(self) -> Floats:
        return np.asarray(np.nan_to_num(self.rows, nan=0.0))

    @cached_property
    def _columns(self) -> Floats:
        return np.ascontiguousarray(self._filled.T)

    @cached_property
    def _norms(self) -> Floats:
        return _norms(self._filled)

    def _with_gaps(self, asked: Floats) -> Floats:
        here = (~np.isnan(asked)).astype(np.float64)
        there = np.ones_like(self.rows) if self._gaps is None else (~self._gaps).astype(np.float64)
        filled = np.nan_to_num(asked, nan=0.0)
        squares = (filled * filled) @ there.T + here @ (self._filled * self._filled).T - 2.0 * (filled @ self._columns)
        known = here @ there.T
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = squares * (asked.shape[1] / known)
        return np.where(known > 0, whole, FAR)


def _norms(rows: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))  # whole numbers: exact in any order

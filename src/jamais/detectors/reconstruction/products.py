"""How can a matrix product give each row the same bits, alone and in any batch, and still be fast?

By rounding nothing: rows and matrix are cut into whole numbers so small that all products and sums of them stay
below 2^53. Every order of summation then gives the same result (error-free products: Ozaki et al., Numerical
Algorithms 59, 2012).
"""

from __future__ import annotations

import math

import numpy as np

from jamais.types import Floats

_EXACT = 53  # bits of a float64


def bits(length: int) -> int:
    """Say how many bits both factors may have when `length` products are summed."""
    return (_EXACT - math.ceil(math.log2(max(length, 1)))) // 2


def product(rows: Floats, whole: Floats, n_bits: int) -> Floats:
    """Return `rows` [n, m] @ `whole` [m, k], the latter whole numbers up to 2^n_bits; m products fit `bits(m)`.

    Each row is taken to 2 n_bits + 1 bits of its largest number, in two halves.
    """
    size = np.maximum(np.abs(rows).max(axis=1, initial=0.0), 1e-300)
    places = n_bits - np.frexp(size)[1][:, None]  # so that the largest is just below 2^n_bits
    scaled = np.ldexp(rows, places)
    high = np.rint(scaled)
    low = np.rint(np.ldexp(scaled - high, n_bits + 1))
    return np.asarray(np.ldexp(high @ whole + np.ldexp(low @ whole, -n_bits - 1), -places), dtype=np.float64)

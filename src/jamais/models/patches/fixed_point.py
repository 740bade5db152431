"""How does a network give the same bits whatever it is multiplied with, and in whatever order?

The order in which a matrix product adds decides its last bits, and BLAS picks the order by the sizes of the matrices.
Here no addition rounds, so no order matters: inputs and features are multiples of 2^-10 below 2^6, weights multiples
of 2^-12 below 2^3. A product is a multiple of 2^-22 below 2^9, and float64 holds sums of 2^22 of them exactly
(53 bits). Rounding happens between the layers only, number by number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jamais.types import Floats

VALUE = 2.0**-10
"""The grid of inputs and features."""
WEIGHT = 2.0**-12
"""The grid of weights."""
MOST_INPUT, MOST_FEATURE = 8.0, 64.0 - VALUE
MOST_WEIGHT = 8.0 - WEIGHT


def rounded(weights: dict[str, Floats]) -> dict[str, Floats]:
    """Put weights on their grid."""
    return {name: _on(array, WEIGHT, -MOST_WEIGHT, MOST_WEIGHT) for name, array in weights.items()}


def on_grid(weights: NDArray[np.float32]) -> bool:
    """Tell whether an array of weights is what `rounded` gives."""
    wide = weights.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(wide).all() and (_on(wide, WEIGHT, -MOST_WEIGHT, MOST_WEIGHT) == wide).all())


def inputs(rows: Floats) -> Floats:
    """Put rows [n, channels] on the grid; NaN becomes 0, the rest is cut to +-8."""
    known: Floats = np.where(np.isnan(rows), 0.0, rows).astype(np.float64, copy=False)
    return _on(known, VALUE, -MOST_INPUT, MOST_INPUT)


def convolved(rows: Floats, kernel: Floats, bias: Floats, step: int) -> Floats:
    """Convolve rows [n, width] with a kernel [k, width, out], `step` rows apart: -> [n - (k - 1) * step, out]."""
    n = len(rows) - (len(kernel) - 1) * step
    # A product per row of the kernel, without copies of the rows: any order is as good.
    total: Floats = rows[:n] @ kernel[0]
    for place in range(1, len(kernel)):
        total += rows[place * step : place * step + n] @ kernel[place]
    total += bias
    return total


def features(sums: Floats) -> Floats:
    """Let only what is positive pass (ReLU), and put it on the grid, in place."""
    return _on(sums, VALUE, 0.0, MOST_FEATURE, out=sums)


def pooled(features: Floats, size: int) -> Floats:
    """Give the mean and the largest of `size` features up to each row: [n, width] -> [n - size + 1, 2 width]."""
    n, width = len(features) - size + 1, features.shape[1]
    both = np.empty((n, 2 * width))
    sums = np.cumsum(features, axis=0)  # exact, so a difference of two is the sum between them
    both[:, :width] = sums[size - 1 :]
    both[1:, :width] -= sums[: n - 1]
    both[:, :width] *= 1.0 / size
    np.rint(both[:, :width] * (1.0 / VALUE), out=both[:, :width])
    both[:, :width] *= VALUE
    both[:, width:] = _largest(features, size)
    return both


def _largest(features: Floats, size: int) -> Floats:
    """Give the largest of `size` rows up to each row, by doubling."""
    best, seen = features, 1
    while 2 * seen <= size:
        best, seen = np.maximum(best[seen:], best[:-seen]), 2 * seen
    left = size - seen
    return np.maximum(best[left:], best[: len(best) - left]) if left else best


def _on(numbers: Floats, grid: float, least: float, most: float, out: Floats | None = None) -> Floats:
    cut: Floats = np.clip(numbers, least, most, out=out)
    cut *= 1.0 / grid
    np.rint(cut, out=cut)
    cut *= grid
    return cut

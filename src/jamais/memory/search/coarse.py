"""Which rows may be among the k nearest, at half the cost of a float32 product?

Products of 16-bit numbers (bfloat16) where the processor has them and torch is loaded anyway. Their error is bounded
like that of float32 products (columns.py), so nothing that may be near is lost; there are only more candidates.
Be r = 2^-8 the roundoff of bfloat16, X and Y the largest shares |x - rounded x| / |x| of any query and row, measured.
Then the product of both, rounded once more, is off by at most

    (X + Y + X Y + r (1 + X) (1 + Y)) 2 |x| |y| <= (…) (|x|² + |y|²), and by what float32 sums lose.
"""

from __future__ import annotations

import sys
import time
from functools import cache
from typing import Any

import numpy as np

from jamais.memory.search.columns import Asked, Columns, Numbers, tiny

FEWEST_ROWS, FEWEST_QUERIES = 4_096, 128
"""Below, a float32 product takes no longer than to bring its factors into 16 bits and to look at more candidates."""
_ROUNDOFF = 2.0**-8
_FASTER = 1.4  # by which 16-bit products must win where it is tried out
_SAFE = 1.01  # a factor for shares, which are computed in float32 themselves
_BLOCK = 4_096


class CoarseColumns:
    """The rows of float32 `columns` in bfloat16."""

    def __init__(self, columns: Columns) -> None:
        import torch

        self._fine = columns
        self._norms: Numbers = columns.slack / columns.dtype(4 * columns.e)
        self._table = torch.empty((len(columns.table), columns.table.shape[1] - 1), dtype=torch.bfloat16)
        self._share = 0.0
        for start in range(0, len(self._table), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._table[part], share = _rounded(columns.table[part, :-1], self._norms[part])
            self._share = max(self._share, share)

    @property
    def n_bytes(self) -> int:
        return int(2 * self._table.numel() + self._norms.nbytes)

    def ask(self, asked: Asked) -> tuple[CoarseFactors, Asked]:
        """Bring queries that were asked in float32 into 16 bits; return them with the rows for them."""
        fine = self._fine
        norms = asked.high / fine.dtype(1 + 2 * fine.e)
        factors, x = _rounded(asked.factors.T[:, :-1], 4 * norms)  # they hold -2 x
        y = self._share
        e = (x + y + x * y + _ROUNDOFF * (1 + x) * (1 + y)) / 2 + fine.e
        lost = tiny(fine.dtype)
        bounds = (norms * fine.dtype(1 - 2 * e) - lost, norms * fine.dtype(1 + 2 * e) + lost)
        return CoarseFactors(self._table, self._norms, e), Asked(factors.T, *bounds)


class CoarseFactors:
    """Rows in bfloat16 [m, width] that multiply queries, with the bound that holds for these."""

    def __init__(self, table: Any, norms: Numbers, e: float) -> None:
        self.dtype = np.float32
        self.unit = float(np.finfo(np.float32).eps) / 2
        self.slack: Numbers = norms * np.float32(4 * e)
        self._norms: Numbers = (norms * np.float32(1 - 2 * e))[:, None]
        self._table = table

    def multiply(self, part: slice, factors: Any, out: Numbers) -> None:
        """Write the products of the rows in `part` and the queries into `out`."""
        import torch

        torch.from_numpy(out).copy_(torch.mm(self._table[part], factors))
        out += self._norms[part]


def _rounded(rows: Numbers, norms: Numbers) -> tuple[Any, float]:
    """Return `rows` [n, width] in bfloat16, and the largest share of their lengths that this changes."""
    import torch

    whole = torch.from_numpy(rows)
    narrow = whole.to(torch.bfloat16)
    changes = (whole - narrow).square().sum(dim=1).numpy()
    shares = changes / np.where(norms > 0, norms, 1)
    return narrow, min(_SAFE * float(np.sqrt(shares.max(initial=0.0))), _ROUNDOFF)


def pays() -> bool:
    """Say whether torch is loaded and multiplies 16-bit numbers clearly faster than numpy does float32."""
    return "torch" in sys.modules and _faster()


@cache
def _faster() -> bool:
    import torch

    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((512, 256), np.float32), rng.standard_normal((256, 512), np.float32)
    coarse = [torch.from_numpy(one).to(torch.bfloat16) for one in (left, right)]
    seconds = {"fine": np.inf, "coarse": np.inf}
    for _ in range(4):
        begin = time.perf_counter()
        wanted = left @ right
        middle = time.perf_counter()
        found = torch.mm(coarse[0], coarse[1])
        seconds["fine"] = min(seconds["fine"], middle - begin)
        seconds["coarse"] = min(seconds["coarse"], time.perf_counter() - middle)
    # Sums must be kept in float32: some processors' fallbacks keep them in 16 bits.
    lengths = np.sqrt(np.square(left).sum(axis=1)[:, None] * np.square(right).sum(axis=0))
    exact = bool((np.abs(found.float().numpy() - wanted) <= 3.1 * _ROUNDOFF * lengths).all())
    return exact and seconds["fine"] > _FASTER * seconds["coarse"]

"""Which rows may be among the k nearest, found on the device where the queries are?

The same bounds as on the processor (columns.py), with torch's products in full float32. Only the candidates come
back; their distances are computed as always, so the answer has the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.memory.search.columns import Asked, Columns
from jamais.memory.search.sieve import CrowdedError
from jamais.types import Ints

if TYPE_CHECKING:
    import torch

_CHUNK = 64  # rows of one minimum
_TILE = 1 << 26  # entries of one tile: 256 MB
_MOST_HELD = 4_000_000  # pairs held back at once
_ROUNDING = 1 + 2.0**-18  # a factor that outweighs the rounding of a few float32 operations


class DeviceColumns:
    """A copy of float32 `columns` on a torch device."""

    def __init__(self, columns: Columns, device: str) -> None:
        import torch

        assert columns.dtype is np.float32
        self.device = device
        self._table = torch.from_numpy(columns.table).to(device)
        self._slack = torch.from_numpy(columns.slack).to(device)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def n_bytes(self) -> int:
        """Bytes on the device."""
        return 4 * (self._table.numel() + self._slack.numel())

    def candidates(self, asked: Asked, k: int) -> tuple[Ints, Ints]:
        """Return sorted (query, slot) pairs among which are the k nearest of every query.

        Raise `CrowdedError` where there are too many.
        """
        import torch

        n, m = len(asked.low), len(self)
        factors, low, high = (torch.from_numpy(one).to(self.device) for one in (asked.factors.T, asked.low, asked.high))
        best = torch.empty((n, 0), dtype=torch.float32, device=self.device)
        held: list[tuple[Any, Any, Any]] = []
        limit = torch.full((n,), torch.inf, device=self.device)
        n_held = 0
        with full_precision():
            for start, stop in _tiles(m, n, k):
                tile = factors @ self._table[start:stop].T
                best, limit = self._tightened(tile, best, high, start, k)
                query, row = torch.nonzero(tile <= (limit * _ROUNDING - low)[:, None], as_tuple=True)
                n_held += len(query)
                if n_held > _MOST_HELD and n > 1:
                    raise CrowdedError
                held.append((query, row + start, tile[query, row] + low[query]))
        query, slot, lows = (torch.cat(parts) for parts in zip(*held, strict=True))
        kept = lows <= (limit * _ROUNDING)[query]
        keys = torch.sort(query[kept] * m + slot[kept]).values.cpu().numpy()
        return np.divmod(keys, m)

    def _tightened(
        self, tile: torch.Tensor, best: torch.Tensor, high: torch.Tensor, start: int, k: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the k smallest upper bounds [n, k] known of each query, and the largest of them [n]."""
        import torch

        n, m = tile.shape
        chunk = _CHUNK
        while chunk > 1 and m < 4 * k * chunk:
            chunk //= 2
        whole = m // chunk * chunk
        bounds = tile[:, :whole].reshape(n, -1, chunk).amin(dim=2)
        bounds += self._slack[start : start + whole].reshape(-1, chunk).amax(dim=1)
        bounds += high[:, None]
        best = torch.cat([best, bounds], dim=1)
        if best.shape[1] < k:
            return best, torch.full((n,), torch.inf, device=tile.device)
        best = torch.topk(best, k, dim=1, largest=False).values
        return best, best[:, -1]


@contextmanager
def full_precision() -> Iterator[None]:
    """Let torch's products use whole float32 numbers: the error bounds count on it, and TF32 keeps 10 bits of 23."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def device_of(X: object) -> str:
    """Name the device of a tensor; the empty string for anything else, and for tensors in the computer's memory."""
    device = getattr(X, "device", None) if type(X).__module__.partition(".")[0] == "torch" else None
    return "" if device is None or device.type == "cpu" else str(device)


def _tiles(m: int, n: int, k: int) -> Iterator[tuple[int, int]]:
    step = max(_TILE // max(1, n), 4 * k, 1024) // _CHUNK * _CHUNK
    for start in range(0, m, step):
        yield start, min(start + step, m)

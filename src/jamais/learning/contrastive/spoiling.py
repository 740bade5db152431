"""What could go wrong in a window? Synthetic anomalies, for training only.

Level shifts, spikes, noise, channels that freeze, channels that carry another one's values, pieces of another window.
"""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = ("level", "spikes", "noise", "frozen", "swapped", "elsewhere")
_LEAST_ROWS = 4  # of what is spoilt
_SHARE = 0.5  # at most so many of the channels, and always one
_SPIKES = 0.05  # of the rows


def spoilt(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Copy scaled windows [n, channels, rows] and spoil each in one of the ways, in one piece of some channels.

    The pieces of "elsewhere" come from the window before (n = 1: from itself, turned round).
    """
    n, channels, rows = windows.shape
    kinds = torch.randint(len(KINDS), (n,), generator=generator)
    hit = _channels_hit(n, channels, generator)
    piece = hit & _rows_hit(n, rows, generator)
    size = (1 + 4 * torch.rand(n, channels, 1, generator=generator)) * _signs(n, channels, generator)
    struck = hit & (torch.rand(n, 1, rows, generator=generator) < _SPIKES)
    loud = torch.randn(windows.shape, generator=generator) * (0.5 + 1.5 * torch.rand(n, 1, 1, generator=generator))
    order = torch.randperm(channels, generator=generator)
    ways = {
        "level": windows + piece * size,
        "spikes": windows + struck * size * 1.5,
        "noise": windows + piece * loud,
        "frozen": torch.where(piece, windows[:, :, :1], windows),
        "swapped": torch.where(piece, windows[:, order], windows),
        "elsewhere": torch.where(piece, windows.roll(1, 0) if n > 1 else windows.flip(2), windows),
    }
    return torch.stack([ways[kind] for kind in KINDS])[kinds, torch.arange(n)]


def _channels_hit(n: int, channels: int, generator: torch.Generator) -> Tensor:
    hit = torch.rand(n, channels, generator=generator) < _SHARE * torch.rand(n, 1, generator=generator)
    hit[torch.arange(n), torch.randint(channels, (n,), generator=generator)] = True
    return hit[:, :, None]


def _rows_hit(n: int, rows: int, generator: torch.Generator) -> Tensor:
    least = min(_LEAST_ROWS, rows)
    length = (least + torch.rand(n, 1, generator=generator) * (rows - least)).long()
    last = (least + torch.rand(n, 1, generator=generator) * (rows - least)).ceil().long()
    row = torch.arange(rows)
    return ((row < last) & (row >= last - length))[:, None, :]


def _signs(n: int, channels: int, generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(n, channels, 1, generator=generator) < 0.5, -1.0, 1.0)

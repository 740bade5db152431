"""Which lines are drawn next, and which of their pieces are hidden?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jamais.errors import SettingsError

_SHORTEST_BUCKET = 16


@dataclass(frozen=True)
class PieceCodes:
    """Which ids the loop must know to hide pieces."""

    pad: int
    mask: int
    first_ordinary: int
    """Ids below are special: never hidden, never drawn as noise."""
    size: int


class MaskedBatches:
    """Draw batches of lines of like length and hide some of their pieces; all that moves is `generator`."""

    def __init__(
        self,
        lines: Sequence[Sequence[int]],
        weights: Sequence[float],
        codes: PieceCodes,
        *,
        batch: int,
        mask_share: float,
        seed: int,
    ) -> None:
        self._codes = codes
        self._share = mask_share
        self.generator = torch.Generator().manual_seed(seed)
        members: dict[int, list[int]] = {}
        for number, line in enumerate(lines):
            if any(piece >= codes.first_ordinary for piece in line):
                members.setdefault(bucket_of(len(line)), []).append(number)
        if not members:
            raise SettingsError("pretraining needs at least one line with a word in it: fit on more lines")
        groups = [members[size] for size in sorted(members)]
        self._tables = [_table([lines[i] for i in group], codes.pad) for group in groups]
        chances = [torch.tensor([weights[i] for i in group]).double() for group in groups]
        self._within = chances
        # Equal cost per step: a bucket of long lines gives fewer rows at a time, and is drawn the more often.
        self._rows = [max(1, batch * _SHORTEST_BUCKET // size) for size in sorted(members)]
        self._between = torch.stack([chance.sum() / rows for chance, rows in zip(chances, self._rows, strict=True)])

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ids [n, length] with pieces hidden, real, hidden_pieces [n, length], answers [m]."""
        bucket = int(torch.multinomial(self._between, 1, generator=self.generator))
        rows = torch.multinomial(self._within[bucket], self._rows[bucket], replacement=True, generator=self.generator)
        true = self._tables[bucket][rows]
        real = true != self._codes.pad
        ordinary = true >= self._codes.first_ordinary
        draw = torch.rand(true.shape, generator=self.generator).masked_fill(~ordinary, 2.0)
        # One piece of every line at least, so that short lines are learned too.
        hidden = (draw < self._share) | ((draw == draw.amin(1, keepdim=True)) & ordinary)
        return self._hide(true, hidden), real, hidden, true[hidden]

    def _hide(self, true: Tensor, hidden: Tensor) -> Tensor:
        # BERT's recipe: 80 % masked, 10 % another piece, 10 % left as they are.
        fate = torch.rand(true.shape, generator=self.generator)
        low, high = self._codes.first_ordinary, self._codes.size
        noise = torch.randint(low, high, true.shape, generator=self.generator)
        seen = torch.where(hidden & (fate < 0.8), torch.full_like(true, self._codes.mask), true)
        return torch.where(hidden & (fate > 0.9), noise, seen)


def bucket_of(length: int) -> int:
    """Round a length up to 16, 32, 64, …"""
    doublings = max(0, math.ceil(math.log2(max(length, 1) / _SHORTEST_BUCKET)))
    return _SHORTEST_BUCKET << doublings


def _table(lines: Sequence[Sequence[int]], pad: int) -> Tensor:
    table = torch.full((len(lines), max(map(len, lines))), pad, dtype=torch.long)
    for row, line in enumerate(lines):
        table[row, : len(line)] = torch.tensor(line, dtype=torch.long)
    return table

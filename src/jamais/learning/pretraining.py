"""How does an encoder learn a language it was never told: by guessing hidden pieces of normal lines?

The loop knows the model only as something that has parameters and a masked loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jamais.errors import Cancelled, SettingsError
from jamais.types import CancelToken, Event, Listener, silent

PHASE = "pretraining"
_SHORTEST_BUCKET = 16


class MaskedModel(Protocol):
    """What the loop needs of a network."""

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...

    def train(self, mode: bool = True) -> object: ...

    def masked_loss(self, ids: Tensor, real: Tensor, hidden_pieces: Tensor, answers: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class PretrainingSettings:
    """How long and how hard the loop trains."""

    steps: int = 150
    """Updates; 0 leaves the model as it is."""
    batch: int = 64
    """Lines per update if they have at most 16 pieces; longer ones come in fewer, at equal cost."""
    learning_rate: float = 5e-4
    """Highest rate, reached after the warm-up; BERT's 1e-4 is too slow for a few hundred steps."""
    mask_share: float = 0.2
    """Share of pieces to guess; above BERT's 15 % since short lines give few guesses each."""
    weight_decay: float = 0.01
    """AdamW's decay, BERT's value."""
    clip: float = 1.0
    """Largest norm of the gradient, BERT's value."""
    warmup_share: float = 0.1
    """Share of the steps over which the rate rises from 0."""


@dataclass(frozen=True)
class PieceCodes:
    """Which ids the loop must know to hide pieces."""

    pad: int
    mask: int
    first_ordinary: int
    """Ids below are special: never hidden, never drawn as noise."""
    size: int


def pretrain(
    model: MaskedModel,
    lines: Sequence[Sequence[int]],
    weights: Sequence[float],
    codes: PieceCodes,
    settings: PretrainingSettings,
    *,
    seed: int,
    listener: Listener = silent,
    cancel: CancelToken | None = None,
) -> list[float]:
    """Train `model` in place on `lines` (piece ids, drawn in proportion to `weights`); return the losses.

    All random numbers come from one generator made of `seed`: two runs on one machine end in the same bits.
    Raise `Cancelled` as soon as `cancel` is set; the model is then half trained and of no use.
    """
    if settings.steps <= 0:
        return []
    sampler = _Sampler(lines, weights, codes, settings, seed)
    parameters = list(model.parameters())
    device = parameters[0].device
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=settings.weight_decay)
    losses: list[float] = []
    begin = time.monotonic()
    model.train()
    for step in range(settings.steps):
        if cancel is not None and cancel.cancelled:
            raise Cancelled(f"pretraining was cancelled after {step} of {settings.steps} steps")
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(step, settings)
        ids, real, hidden_pieces, answers = (part.to(device) for part in sampler.draw())
        optimizer.zero_grad(set_to_none=True)
        loss = model.masked_loss(ids, real, hidden_pieces, answers)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
        left = (time.monotonic() - begin) / (step + 1) * (settings.steps - step - 1)
        listener(Event(PHASE, step + 1, settings.steps, {"loss": losses[-1], "seconds_left": left}))
    model.train(False)
    return losses


def _rate(step: int, settings: PretrainingSettings) -> float:
    """Rise linearly over the warm-up, then fall linearly to 2 %."""
    warm = max(1, round(settings.steps * settings.warmup_share))
    if step < warm:
        return (step + 1) / warm
    return max(0.02, 1.0 - (step - warm) / max(1, settings.steps - warm))


class _Sampler:
    """Draw batches of lines of like length and hide some of their pieces."""

    def __init__(
        self,
        lines: Sequence[Sequence[int]],
        weights: Sequence[float],
        codes: PieceCodes,
        settings: PretrainingSettings,
        seed: int,
    ) -> None:
        self._codes = codes
        self._share = settings.mask_share
        self._generator = torch.Generator().manual_seed(seed)
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
        self._rows = [max(1, settings.batch * _SHORTEST_BUCKET // size) for size in sorted(members)]
        self._between = torch.stack([chance.sum() / rows for chance, rows in zip(chances, self._rows, strict=True)])

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ids [n, length] with pieces hidden, real, hidden_pieces [n, length], answers [m]."""
        bucket = int(torch.multinomial(self._between, 1, generator=self._generator))
        rows = torch.multinomial(self._within[bucket], self._rows[bucket], replacement=True, generator=self._generator)
        true = self._tables[bucket][rows]
        real = true != self._codes.pad
        ordinary = true >= self._codes.first_ordinary
        draw = torch.rand(true.shape, generator=self._generator).masked_fill(~ordinary, 2.0)
        # One piece of every line at least, so that short lines are learned too.
        hidden = (draw < self._share) | ((draw == draw.amin(1, keepdim=True)) & ordinary)
        return self._hide(true, hidden), real, hidden, true[hidden]

    def _hide(self, true: Tensor, hidden: Tensor) -> Tensor:
        # BERT's recipe: 80 % masked, 10 % another piece, 10 % left as they are.
        fate = torch.rand(true.shape, generator=self._generator)
        low, high = self._codes.first_ordinary, self._codes.size
        noise = torch.randint(low, high, true.shape, generator=self._generator)
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

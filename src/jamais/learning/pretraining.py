"""How does an encoder learn a language it was never told: by guessing hidden pieces of normal lines?

The loop knows the model only as something that has parameters and a masked loss.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from jamais.learning.checkpoints import Checkpoints
from jamais.learning.masked_batches import MaskedBatches, PieceCodes
from jamais.learning.resumable import resumable
from jamais.learning.training_state import RandomNumbers, Schedule, TrainingState
from jamais.learning.training_state.weights import Network
from jamais.types import CancelToken, Event, Listener, silent

PHASE = "pretraining"


class MaskedModel(Network, Protocol):
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

    @property
    def schedule(self) -> Schedule:
        """Rise linearly over the warm-up, then fall linearly to 2 %."""
        warm = max(1, round(self.steps * self.warmup_share))
        return Schedule("linear", self.learning_rate, warmup_steps=warm, total_steps=self.steps, floor=0.02)


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
    checkpoints: Checkpoints | None = None,
) -> list[float]:
    """Train `model` in place on `lines` (piece ids, drawn in proportion to `weights`); return the losses.

    All random numbers come from one generator made of `seed`: two runs on one machine end in the same bits. With
    `checkpoints` that hold this very run, it goes on where they left it and ends in the bits of a run that never
    stopped; Ctrl-C and SIGTERM then save before they stop.
    Raise `Cancelled` as soon as `cancel` is set; the model is then half trained and of no use. Raise `StateError`
    when the checkpoints hold another run: other settings, seed, lines or model.
    """
    if settings.steps <= 0:
        return []
    batches = MaskedBatches(lines, weights, codes, batch=settings.batch, mask_share=settings.mask_share, seed=seed)
    parameters = list(model.parameters())
    device = parameters[0].device
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=settings.weight_decay)
    state = TrainingState(model, optimizer, settings.schedule, RandomNumbers({"batches": batches.generator}))
    if checkpoints is not None:
        state.settings = _definition(lines, weights, codes, settings, seed)
    model.train()
    progress = state.progress
    with resumable(state, checkpoints, cancel=cancel, name=PHASE, total=settings.steps) as boundary:
        begin, first = time.monotonic(), progress.step
        while progress.step < settings.steps:
            boundary()
            for group in optimizer.param_groups:
                group["lr"] = settings.schedule.rate_at(progress.step)
            ids, real, hidden_pieces, answers = (part.to(device) for part in batches.draw())
            optimizer.zero_grad(set_to_none=True)
            loss = model.masked_loss(ids, real, hidden_pieces, answers)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimizer.step()
            progress.stepped(float(loss.detach()))
            left = (time.monotonic() - begin) / (progress.step - first) * (settings.steps - progress.step)
            listener(Event(PHASE, progress.step, settings.steps, {"loss": progress.losses[-1], "seconds_left": left}))
    model.train(False)
    return progress.losses


def _definition(
    lines: Sequence[Sequence[int]],
    weights: Sequence[float],
    codes: PieceCodes,
    settings: PretrainingSettings,
    seed: int,
) -> dict[str, Any]:
    """Say which run this is; checkpoints of another one are refused."""
    digest = hashlib.sha256()
    for numbers in (weights, [len(line) for line in lines], [piece for line in lines for piece in line]):
        digest.update(np.array(numbers, dtype="<f8").tobytes())
    return {
        "loop": PHASE,
        "pretraining": dataclasses.asdict(settings),
        "codes": dataclasses.asdict(codes),
        "seed": seed,
        "lines_sha256": digest.hexdigest(),
    }

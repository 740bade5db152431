"""How does the network learn to foretell the next word, so that a stop anywhere costs nothing?

All chance comes from counters: the order of an epoch from (seed, epoch), the dropout of a step from (seed, step).
There is no generator whose inner state could be lost, saved late, or moved by a step that failed halfway.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from jamais.errors import SettingsError
from jamais.learning.stopping import stop_at_step_boundary
from jamais.learning.threads import cpu_threads
from jamais.models.llm.adam import Adam
from jamais.models.llm.network import Network
from jamais.models.llm.vocab import PAD
from jamais.types import CancelToken, Event, Listener

PHASE = "training"
_CLIP = 1.0
"""Largest norm of the gradient of all weights; GPT-2's and GPT-3's value."""


@dataclass
class Progress:
    """How far training has come; together with weights and moments all that is needed to go on exactly."""

    epochs: int = 0
    """Epochs that are complete."""
    steps: int = 0
    """Updates of the weights."""
    losses: list[float] = field(default_factory=list)
    """Mean loss per token of each complete epoch, as seen while training (dropout on)."""
    position: int = 0
    """Rows of the unfinished epoch that are learned; 0 between epochs."""
    rows_sha256: str = ""
    """What the unfinished epoch is an epoch of; empty between epochs."""
    loss_sum: float = 0.0
    """Of the unfinished epoch, over its tokens."""
    loss_tokens: int = 0

    def add(self, loss: float, tokens: int, rows: int) -> None:
        """Count one step over `rows` rows."""
        self.steps += 1
        self.loss_sum += loss * tokens
        self.loss_tokens += tokens
        self.position += rows

    def close_epoch(self) -> None:
        """Count the epoch as complete and stand before the next."""
        self.losses.append(self.loss_sum / self.loss_tokens)
        self.epochs += 1
        self.leave_epoch()

    def leave_epoch(self) -> None:
        """Stand before the first row of an epoch."""
        self.position, self.rows_sha256, self.loss_sum, self.loss_tokens = 0, "", 0.0, 0


@dataclass(frozen=True)
class Plan:
    """What one call of `train` was asked for."""

    epochs: int
    learning_rate: float
    batch_size: int
    threads: int

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch_size", 1), ("threads", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SettingsError(f"{name} must be a whole number of at least {least}, got {value!r}")
        rate = self.learning_rate
        if not isinstance(rate, int | float) or not 0.0 < rate < math.inf:
            raise SettingsError(f"learning_rate must be a number above 0, got {rate!r}")


def generator_for(seed: int, purpose: str, number: int) -> torch.Generator:
    """Make the generator of one purpose at one count, the same for ever."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def train(
    network: Network,
    optimizer: Adam,
    progress: Progress,
    rows: Sequence[Sequence[int]],
    plan: Plan,
    *,
    seed: int,
    on_event: Listener,
    cancel: CancelToken | None,
) -> None:
    """Learn `rows` (token ids, each at least 2 long) until `plan.epochs` more epochs are complete.

    An epoch of the same rows that was interrupted is completed first and counts as one; one of other rows is
    left. Raise Cancelled, KeyboardInterrupt or SystemExit (SIGTERM) between two steps, and SettingsError before a step
    whose loss or gradient is not finite; the network, the optimizer and `progress` then stand after the last whole
    step. Whoever presses Ctrl-C twice does not wait for that, and `optimizer.torn` may be left set.
    """
    digest = _digest(rows)
    if progress.rows_sha256 != digest or progress.position >= len(rows):
        progress.leave_epoch()
    end = progress.epochs + plan.epochs
    clock = _Clock(plan.epochs * math.ceil(len(rows) / plan.batch_size) - progress.position // plan.batch_size)
    with cpu_threads(plan.threads), stop_at_step_boundary(cancel) as stop:
        while progress.epochs < end:
            order = torch.randperm(len(rows), generator=generator_for(seed, "order", progress.epochs)).tolist()
            epoch = progress.epochs
            while progress.epochs == epoch:
                if stop.asked:
                    stop.leave(
                        f"training was cancelled after step {progress.steps}, in epoch {epoch + 1}: what was learned "
                        f"is kept, train the same texts for {end - epoch} epochs to go on"
                    )
                batch = [rows[i] for i in order[progress.position : progress.position + plan.batch_size]]
                dropping = generator_for(seed, "dropout", progress.steps)
                loss, tokens = _step(network, optimizer, batch, plan.learning_rate, dropping)
                progress.add(loss, tokens, len(batch))
                progress.rows_sha256 = digest
                if progress.position >= len(rows):
                    progress.close_epoch()
                optimizer.torn = False
                on_event(clock.event(loss, tokens, epoch + 1))


def _step(
    network: Network, optimizer: Adam, batch: Sequence[Sequence[int]], rate: float, dropping: torch.Generator
) -> tuple[float, int]:
    """Update the weights once; return the mean loss and how many tokens it is the mean of."""
    inputs, targets = _table(batch)
    optimizer.forget_gradients()
    logits = network(inputs, dropping)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
    value = float(loss.detach())
    if not (math.isfinite(value) and math.isfinite(float(norm))):
        optimizer.forget_gradients()
        raise SettingsError(
            f"training diverged: loss {value}, norm of the gradient {float(norm)} at learning_rate={rate}; the "
            f"weights are those before this step: go back to an earlier save and train with a lower rate"
        )
    optimizer.torn = True  # until the caller has counted the step
    optimizer.step(rate)
    return value, int((targets != PAD).sum())


def _table(batch: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return inputs and targets [n, length], padded on the right where causal attention never looks from."""
    length = max(map(len, batch)) - 1
    inputs = torch.full((len(batch), length), PAD)
    targets = torch.full((len(batch), length), PAD)
    for number, row in enumerate(batch):
        ids = torch.tensor(row)
        inputs[number, : len(row) - 1] = ids[:-1]
        targets[number, : len(row) - 1] = ids[1:]
    return inputs, targets


def _digest(rows: Sequence[Sequence[int]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{' '.join(map(str, row))}\n".encode())
    return digest.hexdigest()


class _Clock:
    """Say how fast and how long still."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.tokens = 0
        self.begin = time.monotonic()

    def event(self, loss: float, tokens: int, epoch: int) -> Event:
        self.done += 1
        self.tokens += tokens
        spent = max(time.monotonic() - self.begin, 1e-9)
        values = {
            "loss": loss,
            "epoch": float(epoch),
            "tokens_per_second": self.tokens / spent,
            "seconds_left": spent / self.done * max(0, self.total - self.done),
        }
        return Event(PHASE, self.done, max(self.total, self.done), values)

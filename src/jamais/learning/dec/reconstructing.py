"""How does an autoencoder learn to rebuild rows, parts of which it does not see?

A denoising autoencoder trained end to end with Adam. DEC of 2016 trained layer by layer with SGD; ten times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.errors import Cancelled, InputError, SettingsError
from jamais.learning.dec.batches import row_batches
from jamais.types import CancelToken, Event, Listener

PHASE = "pretraining"
_LEAST = 0.02  # share of the rate at which the cosine ends


class Rebuilding(Protocol):
    """What the loop needs of an autoencoder: `decoder` gives rows in the unit of `rows * encoder.scale`."""

    @property
    def encoder(self) -> Any: ...

    @property
    def decoder(self) -> Any: ...

    def parameters(self) -> Iterable[nn.Parameter]: ...

    def train(self, mode: bool = True) -> object: ...


@dataclass(frozen=True)
class ReconstructionSettings:
    """How long and how hard the loop trains."""

    epochs: int
    """Passes over the loader."""
    lr: float
    """Adam's rate at the beginning."""
    noise: float
    """Share of inputs set to 0."""


def pretrain_autoencoder(
    autoencoder: Rebuilding,
    loader: Iterable[Any],
    settings: ReconstructionSettings,
    generator: torch.Generator,
    *,
    on_event: Listener,
    cancel: CancelToken | None,
) -> list[float]:
    """Train in place; return the mean squared error of each epoch, as seen while training.

    Raise `InputError` for rows that are no rows or a loader that gives nothing, `SettingsError` when the loss is no
    longer finite, `Cancelled` between two updates.
    """
    parameters = list(autoencoder.parameters())
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=settings.lr)
    autoencoder.train()
    losses: list[float] = []
    for epoch in range(settings.epochs):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _cosine(epoch / settings.epochs)
        total, n = 0.0, 0
        for rows in row_batches(loader, device):
            if cancel is not None and cancel.cancelled:
                raise Cancelled(f"pretraining was cancelled in epoch {epoch + 1} of {settings.epochs}")
            seen = _hidden(rows, settings.noise, generator) if settings.noise else rows
            loss = reconstruction_loss(autoencoder, autoencoder.encoder(seen), rows)
            step(optimizer, loss)
            total, n = total + float(loss.detach()) * len(rows), n + len(rows)
        if not n:
            raise InputError(f"the loader gave no rows in epoch {epoch + 1}: give one that can be walked again")
        losses.append(total / n)
        on_event(Event(PHASE, epoch + 1, settings.epochs, {"loss": losses[-1]}))
    autoencoder.train(False)
    return losses


def reconstruction_loss(autoencoder: Rebuilding, latents: Tensor, rows: Tensor) -> Tensor:
    """Return the mean squared error of rows [n, width] rebuilt from their latents, in the encoder's own unit."""
    return functional.mse_loss(autoencoder.decoder(latents), rows * autoencoder.encoder.scale)


def step(optimizer: torch.optim.Optimizer, loss: Tensor, before: Callable[[], object] = lambda: None) -> None:
    """Update once, `before` between gradient and update; raise `SettingsError` for a loss that is not finite."""
    if not math.isfinite(float(loss.detach())):
        raise SettingsError(f"training diverged, the loss is {float(loss.detach())}: take a lower rate (lr)")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    before()
    optimizer.step()


def unit_scale(loader: Iterable[Any]) -> float:
    """Return the factor that makes the mean square of all numbers 1 (DEC, section 4.3); 1 for rows of zeros."""
    total, n = 0.0, 0
    for rows in row_batches(loader, "cpu"):
        total, n = total + float(rows.double().square().sum()), n + rows.numel()
    return math.sqrt(n / total) if total > 0 else 1.0


def _cosine(gone: float) -> float:
    return _LEAST + (1.0 - _LEAST) * 0.5 * (1.0 + math.cos(math.pi * gone))


def _hidden(rows: Tensor, share: float, generator: torch.Generator) -> Tensor:
    # Drawn on the CPU: the same seed hides the same numbers on any device.
    return rows * (torch.rand(rows.shape, generator=generator) >= share).to(rows)

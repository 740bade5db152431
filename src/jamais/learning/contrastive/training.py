"""How does a patch encoder learn the distances that a bank of normal windows will be asked for?

A batch is the bank in small: windows of the series, half of them remembered and half of them asked. The distance of a
window that was spoilt to its nearest remembered ones should exceed that of any window that was not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jamais.errors import Cancelled, InputError, SettingsError, ShapeMismatchError
from jamais.learning.contrastive.spoiling import spoilt
from jamais.learning.threads import cpu_threads
from jamais.types import CancelToken, Event, Floats, Listener, silent

PHASE = "contrast"
_MOST = 8.0  # as the encoder cuts its inputs
_LAST = 0.1  # share of the rate at the end
_SETTLED = 256  # windows that set the size of features
_NEAREST = 2  # remembered windows that count
_SMALL = 1e-3  # a distance of 0 has no logarithm


class Trainable(Protocol):
    """What training needs of an encoder; its network has `settle(windows)`."""

    steps: int

    @property
    def past(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def network(self) -> Any: ...

    def take(self, network: Any, steps: int) -> None: ...


@dataclass(frozen=True)
class ContrastSettings:
    """How long and how hard an encoder is trained; raise `SettingsError` for what makes no sense."""

    batch: int = 64
    """Windows asked per step; as many are remembered, and as many spoilt."""
    lr: float = 1e-3
    """Adam's rate at the beginning."""
    sharpness: float = 4.0
    """How steeply a pair in the wrong order counts, in powers of a distance."""
    threads: int = 1
    """CPU threads of torch; another number may move last bits."""

    def __post_init__(self) -> None:
        if self.batch < 2 or self.threads < 1:
            raise SettingsError(f"batch is at least 2 and threads at least 1, got {self.batch} and {self.threads}")
        for name in ("lr", "sharpness"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name} is a positive number, got {getattr(self, name)}")


def train_patches(
    encoder: Trainable,
    values: Floats,
    steps: int = 200,
    settings: ContrastSettings | None = None,
    *,
    seed: int = 0,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
) -> list[float]:
    """Train in place on scaled rows [n, channels] taken as normal, NaN as 0; return the loss of each step.

    The same seed, rows and number of threads give the same weights. After any error or `Cancelled` the encoder is
    what it was. Raise `InputError` for fewer than two windows, `ShapeMismatchError` for rows of another width,
    `SettingsError` when the loss is no longer finite.
    """
    settings = settings or ContrastSettings()
    windows = _windows(encoder, values)
    if steps < 0:
        raise SettingsError(f"steps is 0 or more, got {steps}")
    generator = torch.Generator().manual_seed(seed)
    with cpu_threads(settings.threads):
        network = encoder.network()
        if not encoder.steps:
            network.settle(_some(windows, _SETTLED, generator))
        losses: list[float] = []
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr)
        network.train()
        for number in range(steps):
            if cancel is not None and cancel.cancelled:
                raise Cancelled(f"training was cancelled at step {number + 1} of {steps}; the encoder is what it was")
            _set_rate(optimizer, settings.lr * (1 - (1 - _LAST) * number / steps))
            losses.append(_step(network, optimizer, windows, settings, generator))
            on_event(Event(PHASE, number + 1, steps, {"loss": losses[-1]}))
        encoder.take(network, steps)
    return losses


def contrast(asked: Tensor, spoilt: Tensor, remembered: Tensor, sharpness: float) -> Tensor:
    """Return the loss of vectors [n, width] of three kinds: the mean over all pairs (asked i, spoilt j) of

    log(1 + (distance_i / distance_j) ^ sharpness), a smooth count of pairs that the bank would put in the wrong order.
    """
    near, far = _log_distance(asked, remembered), _log_distance(spoilt, remembered)
    return functional.softplus(sharpness * (near[:, None] - far[None, :])).mean()


def _windows(encoder: Trainable, values: Floats) -> Tensor:
    """Look at all windows [m, channels, past] of the rows, without copying them."""
    rows = np.asarray(values)
    if rows.ndim != 2 or rows.shape[1] != encoder.channels:
        raise ShapeMismatchError(f"the encoder wants rows [n, {encoder.channels}], got {list(rows.shape)}")
    if len(rows) < encoder.past + 1:
        raise InputError(f"training wants at least {encoder.past + 1} rows, got {len(rows)}: give more, or less past")
    known = np.where(np.isnan(rows), 0.0, rows).clip(-_MOST, _MOST)
    return torch.tensor(known, dtype=torch.float32).unfold(0, encoder.past, 1)


def _step(
    network: Any,
    optimizer: torch.optim.Optimizer,
    windows: Tensor,
    settings: ContrastSettings,
    generator: torch.Generator,
) -> float:
    n = settings.batch
    normal = _some(windows, 2 * n, generator)
    vectors = network(torch.cat([normal, spoilt(normal[:n], generator)]))
    loss = contrast(vectors[:n], vectors[2 * n :], vectors[n : 2 * n], settings.sharpness)
    told = float(loss.detach())
    if not math.isfinite(told):
        raise SettingsError(f"training diverged, the loss is {told}: take a lower rate (lr)")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return told


def _some(windows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return windows[torch.randint(len(windows), (n,), generator=generator)]


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _log_distance(vectors: Tensor, remembered: Tensor) -> Tensor:
    distances = torch.cdist(vectors, remembered).topk(min(_NEAREST, len(remembered)), largest=False).values
    return (distances.mean(dim=1) + _SMALL).log()

"""How does a patch encoder learn which windows are alike?

By contrast (InfoNCE: van den Oord et al. 2018, eq. 4; on patches of a series as in PaAno, ICLR 2026): a window is like
the one a few rows away, and unlike the others of its batch. Synthetic anomalies can stand among the others. On SMD and
ASD none of this found more than an encoder that was only settled (steps = 0); it is here to be measured against.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    """Windows per step; as many near them, and as many spoilt ones."""
    lr: float = 1e-3
    """Adam's rate at the beginning."""
    temperature: float = 0.1
    """How sharply cosines are told apart."""
    near: int = 8
    """Rows, at most, between two windows that are alike."""
    spoilt: bool = False
    """Put a spoilt copy of every window among those it is unlike."""
    threads: int = 1
    """CPU threads of torch; another number may move last bits."""

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("near", 0), ("threads", 1)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} is {least} or more, got {getattr(self, name)}")
        for name in ("lr", "temperature"):
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

    An encoder without any training is settled first (features of mean 0 and variance 1); `steps` 0 does only that. The
    same seed, rows and number of threads give the same weights. After any error or `Cancelled` the encoder is
    what it was. Raise `InputError` for fewer than two windows, `ShapeMismatchError` for rows of another width,
    `SettingsError` when the loss is no longer finite.
    """
    settings = settings or ContrastSettings()
    windows = _windows(encoder, values)
    if steps < 0:
        raise SettingsError(f"steps is 0 or more, got {steps}")
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    with cpu_threads(settings.threads):
        network = encoder.network()
        if not encoder.steps:
            network.settle(windows[torch.randint(len(windows), (_SETTLED,), generator=generator)])
        network.train()
        for loss in _steps(network, windows, steps, settings, generator):
            losses.append(loss)
            on_event(Event(PHASE, len(losses), steps, {"loss": loss}))
            if cancel is not None and cancel.cancelled:
                raise Cancelled(f"training was cancelled after step {len(losses)} of {steps}; nothing was changed")
        encoder.take(network, steps)
    return losses


def contrast(windows: Tensor, near: Tensor, spoilt: Tensor | None, temperature: float) -> Tensor:
    """Return InfoNCE of vectors [n, width]: how surely each window is told to belong to its near one.

    The others are the near ones of the rest of the batch, and spoilt ones [m, width] if there are any. Of vectors only
    the direction counts.
    """
    asked = functional.normalize(windows, dim=1)
    others = near if spoilt is None else torch.cat([near, spoilt])
    cosines = asked @ functional.normalize(others, dim=1).T
    return functional.cross_entropy(cosines / temperature, torch.arange(len(asked)))


def _windows(encoder: Trainable, values: Floats) -> Tensor:
    """Look at all windows [m, channels, past] of the rows, without copying them."""
    rows = np.asarray(values)
    if rows.ndim != 2 or rows.shape[1] != encoder.channels:
        raise ShapeMismatchError(f"the encoder wants rows [n, {encoder.channels}], got {list(rows.shape)}")
    if len(rows) < encoder.past + 1:
        raise InputError(f"training wants at least {encoder.past + 1} rows, got {len(rows)}: give more, or less past")
    known = np.where(np.isnan(rows), 0.0, rows).clip(-_MOST, _MOST)
    return torch.tensor(known, dtype=torch.float32).unfold(0, encoder.past, 1)


def _steps(
    network: Any, windows: Tensor, steps: int, settings: ContrastSettings, generator: torch.Generator
) -> Iterator[float]:
    """Train step by step, and give the loss of each."""
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.lr)
    for number in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * (1 - (1 - _LAST) * number / steps)
        yield _step(network, optimizer, windows, settings, generator)


def _step(
    network: Any,
    optimizer: torch.optim.Optimizer,
    windows: Tensor,
    settings: ContrastSettings,
    generator: torch.Generator,
) -> float:
    n = settings.batch
    chosen = torch.randint(len(windows), (n,), generator=generator)
    apart = torch.randint(-settings.near, settings.near + 1, (n,), generator=generator)
    parts = [windows[chosen], windows[(chosen + apart).clamp(0, len(windows) - 1)]]
    parts += [spoilt(parts[0], generator)] if settings.spoilt else []
    vectors = network(torch.cat(parts))
    loss = contrast(
        vectors[:n], vectors[n : 2 * n], vectors[2 * n :] if settings.spoilt else None, settings.temperature
    )
    told = float(loss.detach())
    if not math.isfinite(told):
        raise SettingsError(f"training diverged, the loss is {told}: take a lower rate (lr)")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return told

"""How unlike anything normal is each point of a window, and of a whole series?

Windows go through the network in blocks of one size: a product of another shape rounds differently, and a window's
score must not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from jamais.errors import InputError, SettingsError, ShapeMismatchError
from jamais.learning.threads import cpu_threads
from jamais.models.memto.config import MEMTOConfig
from jamais.models.memto.memory import GatedMemory
from jamais.types import Floats, Ints, Vectors

KINDS = ("score", "isd", "lsd")
_BLOCK = 16  # windows that go through the network together, always


class Scored(Protocol):
    """What scoring needs of a model."""

    config: MEMTOConfig
    memory: GatedMemory
    training: bool

    @property
    def device(self) -> torch.device: ...

    @property
    def encoder(self) -> Any: ...

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def train(self, mode: bool = True) -> object: ...


class Look(NamedTuple):
    """What one look at windows gives, [n, L] each."""

    score: Vectors
    isd: Vectors
    lsd: Vectors


def looked(model: Scored, x: Any) -> Look:
    """Compute score, ISD and LSD of windows [n, L, channels] in one go."""
    windows = checked_windows(x, model.config)
    found = tuple(np.empty(windows.shape[:2], dtype=np.float32) for _ in KINDS)
    for place, parts in _blocks(model, windows, lambda block: _deviations(model, block)):
        for whole, part in zip(found, parts, strict=True):
            whole[place] = part.cpu().numpy()[: len(whole[place])]
    return Look(*found)


def pooled(model: Scored, x: Any) -> Vectors:
    """Average the queries of each window: [n, L, channels] -> [n, latent_dim]."""
    windows = checked_windows(x, model.config)
    made = np.empty((len(windows), model.config.latent_dim), dtype=np.float32)
    for place, queries in _blocks(model, windows, lambda block: model.encoder(block).mean(dim=1)):
        made[place] = queries.cpu().numpy()[: len(made[place])]
    return made


def condensed(model: Scored, x: Any, last: int) -> tuple[Vectors, Floats]:
    """Look once at windows [n, L, channels]: what `pooled` gives, and the means of ISD and LSD over the `last` points.

    Returns [n, latent_dim] and [n, 2].
    """
    windows = checked_windows(x, model.config)
    queries = np.empty((len(windows), model.config.latent_dim), dtype=np.float32)
    means = np.empty((len(windows), 2))
    for place, (found, isd, lsd) in _blocks(model, windows, lambda block: _inside(model, block)):
        queries[place] = found.mean(dim=1).cpu().numpy()[: len(queries[place])]
        for at, points in enumerate((isd, lsd)):
            wide = points[: len(means[place]), -last:].cpu().numpy().astype(np.float64)
            means[place, at] = np.add.reduce(np.ascontiguousarray(wide), axis=1) / wide.shape[1]
    return queries, means


def queries_of(model: Scored, x: Any) -> Vectors:
    """Encode windows: [n, L, channels] -> [n, L, latent_dim]."""
    windows = checked_windows(x, model.config)
    made = np.empty((*windows.shape[:2], model.config.latent_dim), dtype=np.float32)
    for place, queries in _blocks(model, windows, lambda block: model.encoder(block)):
        made[place] = queries.cpu().numpy()[: len(made[place])]
    return made


def score_series(model: Scored, values: Any, step: int, kind: str) -> Floats:
    """Score each point of a series [T, channels] -> [T] by the mean over the windows that cover it."""
    if kind not in KINDS:
        raise SettingsError(f"kind is {', '.join(KINDS)}, got {kind!r}")
    rows = checked_rows(values, model.config.n_features)
    length = min(model.config.window, len(rows))
    if type(step) is not int or not 1 <= step <= model.config.window:
        raise SettingsError(f"step must be from 1 to the window of {model.config.window} points, got {step!r}")
    starts = window_starts(len(rows), length, step)
    total, covered = np.zeros(len(rows)), np.zeros(len(rows))
    for first in range(0, len(starts), 64 * _BLOCK):  # a long series is never all windows at once
        some = starts[first : first + 64 * _BLOCK]
        scores = getattr(looked(model, rows[some[:, None] + np.arange(length)]), kind)
        for start, window in zip(some, scores, strict=True):
            total[start : start + length] += window
            covered[start : start + length] += 1.0
    return total / covered


def window_starts(n: int, length: int, step: int) -> Ints:
    """Return where windows of `length` begin in `n` rows: every `step`, and one more where the tail is left over."""
    starts = np.arange(0, n - length + 1, step, dtype=np.int64)
    return starts if starts[-1] == n - length else np.append(starts, n - length)


def checked_windows(x: Any, config: MEMTOConfig) -> Vectors:
    """Copy windows to float32 [n, L, channels]; raise `InputError` or `ShapeMismatchError` saying what is wrong."""
    windows = _numbers(x)
    channels, most = config.n_features, config.max_length
    if windows.ndim != 3 or windows.shape[2] != channels or not 1 <= windows.shape[1] <= most:
        raise ShapeMismatchError(
            f"wanted windows [n, L, {channels}] with L from 1 to {most}, got {list(windows.shape)}"
        )
    return windows


def checked_rows(values: Any, channels: int) -> Vectors:
    """Copy a series to float32 [T, channels]; raise `InputError` or `ShapeMismatchError` saying what is wrong."""
    rows = _numbers(values)
    if rows.ndim != 2 or rows.shape[1] != channels or not len(rows):
        raise ShapeMismatchError(f"wanted a series [T, {channels}] of at least one row, got {list(rows.shape)}")
    return rows


def _numbers(given: Any) -> Vectors:
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise InputError(f"wanted numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what is too large for float32 is told below
        copied: Vectors = np.array(array, dtype=np.float32, order="C")
    if not np.isfinite(copied).all():
        place = np.argwhere(~np.isfinite(copied))[0].tolist()
        raise InputError(f"NaN or an infinite number at {place}: fill or drop what is missing first")
    return copied


def _blocks(model: Scored, windows: Vectors, look: Callable[[Tensor], Any]) -> Iterator[tuple[slice, Any]]:
    training = model.training
    model.train(False)
    try:
        for start in range(0, len(windows), _BLOCK):
            part = windows[start : start + _BLOCK]
            if len(part) < _BLOCK:
                part = np.concatenate([part, np.zeros((_BLOCK - len(part), *part.shape[1:]), dtype=np.float32)])
            with torch.no_grad(), cpu_threads(model.config.threads):
                found = look(torch.from_numpy(part).to(model.device))
            yield slice(start, min(start + _BLOCK, len(windows))), found
    finally:
        model.train(training)


def _deviations(model: Scored, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    _, isd, lsd = _inside(model, x)
    config = model.config
    scale = config.temperature * (config.latent_dim if config.weighting == "even" else 1)
    return torch.softmax(lsd / scale, dim=1) * isd, isd, lsd


def _inside(model: Scored, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give queries [n, L, C], ISD and LSD [n, L]."""
    rebuilt, queries, _ = model(x)
    return queries, (rebuilt - x).square().sum(dim=2), model.memory.nearest(queries)[0]

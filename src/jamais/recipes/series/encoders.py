"""How is a learned description of windows made for the banks of a series, from its fit data alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.detectors.windows import ChannelScale
from jamais.detectors.windows.described.grid import STEPS
from jamais.detectors.windows.window_banks import HELD_BACK
from jamais.recipes.series.settings import SeriesSettings
from jamais.types import CancelToken, Floats, Listener

if TYPE_CHECKING:
    from jamais.detectors.windows.window_banks import Encoder
    from jamais.models.memto import MEMTOWindows

PAST = 64
"""Rows of a window, as the longest that the banks have most of."""
CONTRAST_STEPS = 200
"""Of 64 windows each. 600 found as much."""
MEMTO_SIZES = {"latent_dim": 32, "n_heads": 4, "n_layers": 2, "d_ff": 64}
"""Small, since each row is a pass through the network."""
MEMTO_EPOCHS = (2, 3)
"""Of the phases before and after the memory is placed."""
MEMTO_RATE = 1e-3
"""Adam's: ten times the seed's, for an epoch is short."""
MEMTO_WINDOWS = 2_000
"""Windows to train on, evenly spread, at most."""
_BATCH = 32


def learned_encoder(
    settings: SeriesSettings, values: Floats, seed: int, listener: Listener, cancel: CancelToken | None
) -> Encoder | None:
    """Train the encoder that `settings` name on fit data `values` [n, C], NaN = missing; None if they name none.

    The last 30 %, by which banks find what is rare, are left out: a network knows too well what it was trained on.
    The same data and seed give the same weights. Raise `Cancelled` where `cancel` says so.
    """
    if settings.encoder is None:
        return None
    scale = ChannelScale.of(values, settings.banks.floor, settings.banks.clip)
    scaled = scale.steps(values[: int(len(values) * (1.0 - HELD_BACK))]) / STEPS
    if settings.encoder == "memto":
        return _memto(scaled, seed, listener, cancel)
    return _patches(scaled, seed, listener, cancel)


def _patches(scaled: Floats, seed: int, listener: Listener, cancel: CancelToken | None) -> Encoder:
    """Train by contrast: a window is like the one a few rows away."""
    from jamais.learning import train_patches
    from jamais.models.patches import PatchEncoder

    encoder: Any = PatchEncoder(scaled.shape[1], PAST, seed=seed)
    train_patches(encoder, scaled, CONTRAST_STEPS, seed=seed, on_event=listener, cancel=cancel)
    made: Encoder = encoder
    return made


def _memto(scaled: Floats, seed: int, listener: Listener, cancel: CancelToken | None) -> MEMTOWindows:
    """Train in three phases: rebuild windows, place the memory, rebuild with its help."""
    from jamais.learning import initialize_memory_with_kmeans, phase1_initial_training, phase2_full_training
    from jamais.models.memto import MEMTO, MEMTOLoss, MEMTOWindows

    batches = _batches(scaled, seed)
    model = MEMTO(scaled.shape[1], **MEMTO_SIZES, window=PAST, seed=seed)
    before, after = MEMTO_EPOCHS
    phase1_initial_training(model, batches, before, MEMTO_RATE, on_event=listener, cancel=cancel)
    initialize_memory_with_kmeans(model, batches, 1.0, on_event=listener, cancel=cancel)
    phase2_full_training(model, batches, MEMTOLoss(), after, MEMTO_RATE, on_event=listener, cancel=cancel)
    return MEMTOWindows(model)


def _batches(scaled: Floats, seed: int) -> list[Floats]:
    """Cut windows [n, rows, C] as `MEMTOWindows` will, in an order that chance decides."""
    from jamais.models.memto.windows import MOST

    rows = np.clip(np.nan_to_num(scaled, nan=0.0), -MOST, MOST).astype(np.float32)
    starts = np.arange(len(rows) - PAST + 1)
    starts = starts[:: max(1, -(-len(starts) // MEMTO_WINDOWS))]
    starts = np.random.default_rng(seed).permutation(starts)
    order = [starts[first : first + _BATCH] for first in range(0, len(starts), _BATCH)]
    return [rows[some[:, None] + np.arange(PAST)] for some in order]

"""Where do the memory items begin? At the centres of what the encoder makes of normal windows (paper, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from jamais.detectors.cluster.kmeans import k_means
from jamais.errors import Cancelled, InputError, SettingsError
from jamais.learning.memto.batches import WindowModel, window_batches
from jamais.learning.threads import cpu_threads
from jamais.types import CancelToken, Event, Floats, Listener, Vectors, silent

PHASE = "memory"


def initialize_memory_with_kmeans(
    model: WindowModel,
    loader: Iterable[Any],
    fraction: float = 0.1,
    *,
    most: int = 20_000,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
) -> Floats:
    """Put the memory items at the K-means centres of the queries of a random part of the windows; return them [M, C].

    Each window is drawn with chance `fraction`, from the model's seed; of their queries at most `most` are used. The
    weights stay as phase 1 left them: centres of another model would mean nothing to this one. Raise `SettingsError`
    for a fraction outside (0, 1], `InputError` when there are fewer different queries than items; the memory then is
    what it was.
    """
    m = len(model.memory.items)
    if not 0.0 < fraction <= 1.0:
        raise SettingsError(f"fraction must be above 0 and at most 1, got {fraction!r}")
    if most < m:
        raise SettingsError(f"most must be at least the {m} items of the memory, got {most!r}")
    with cpu_threads(model.threads):
        queries = _sample(model, loader, fraction, most, cancel)
    centre = queries.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = queries - centre
    labels = k_means(rows, np.ones(len(rows)), m, np.random.default_rng(model.seed))
    found = int(labels.max()) + 1
    if found < m:
        raise InputError(
            f"K-means found {found} different queries for num_memory_items={m}: give more windows, a larger "
            "fraction, or fewer items"
        )
    centres: Floats = np.stack([queries[labels == label].mean(axis=0, dtype=np.float64) for label in range(m)])
    model.memory.place(torch.from_numpy(centres).to(model.memory.items))
    model.optimizer_state = {}
    on_event(Event(PHASE, len(rows), len(rows), {"items": float(m)}))
    return centres


def _sample(
    model: WindowModel, loader: Iterable[Any], fraction: float, most: int, cancel: CancelToken | None
) -> Vectors:
    """Encode a random part of the windows; return a random part of their queries [k, C]."""
    chance = torch.Generator().manual_seed(model.seed)
    parts, n = [], 0
    last = None
    model.train(False)
    with torch.no_grad():
        for windows in window_batches(loader, model):
            if cancel is not None and cancel.cancelled:
                raise Cancelled("the start of the memory was cancelled; it is what it was")
            last = windows
            drawn = torch.rand(len(windows), generator=chance) < fraction
            n += len(windows)
            if bool(drawn.any()):
                parts.append(model(windows[drawn.to(windows.device)])[1].flatten(0, 1).cpu())
        if last is None:
            raise InputError("the loader gave no windows: give one that can be walked again")
        if not parts:
            # A handful of windows may lose every draw: one batch is the least that tells anything.
            parts.append(model(last)[1].flatten(0, 1).cpu())
    queries = torch.cat(parts)
    if len(queries) > most:
        queries = queries[torch.randperm(len(queries), generator=chance)[:most]]
    made: Vectors = queries.numpy()
    return made

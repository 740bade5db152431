"""How do models learn? The only training loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.learning.contrastive import train_patches
    from jamais.learning.dec import compute_fisher, elastic_loss, online_update
    from jamais.learning.memto import initialize_memory_with_kmeans, phase1_initial_training, phase2_full_training

__all__ = [
    "compute_fisher",
    "elastic_loss",
    "initialize_memory_with_kmeans",
    "online_update",
    "phase1_initial_training",
    "phase2_full_training",
    "train_patches",
]

_PLACES = {
    "compute_fisher": "jamais.learning.dec",
    "elastic_loss": "jamais.learning.dec",
    "initialize_memory_with_kmeans": "jamais.learning.memto",
    "online_update": "jamais.learning.dec",
    "phase1_initial_training": "jamais.learning.memto",
    "phase2_full_training": "jamais.learning.memto",
    "train_patches": "jamais.learning.contrastive",
}


def __getattr__(name: str) -> Any:
    # torch costs seconds of import: only somebody who trains pays.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)

"""How does an encoder of windows learn from normal ones alone? By telling near ones from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.learning.contrastive.spoiling import spoilt
    from jamais.learning.contrastive.training import ContrastSettings, train_patches

__all__ = ["ContrastSettings", "spoilt", "train_patches"]

_PLACES = {"ContrastSettings": "training", "spoilt": "spoiling", "train_patches": "training"}


def __getattr__(name: str) -> Any:
    # torch costs seconds of import: only somebody who trains pays.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

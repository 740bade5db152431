"""The story of embeddings: from rows of numbers to verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe
    from jamais.recipes.embeddings.settings import EmbeddingSettings

__all__ = ["EmbeddingRecipe", "EmbeddingSettings"]

_PLACES = {"EmbeddingRecipe": "recipe", "EmbeddingSettings": "settings"}


def __getattr__(name: str) -> Any:
    # Settings are looked at (`jamais inspect`) without all that reads and scores.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

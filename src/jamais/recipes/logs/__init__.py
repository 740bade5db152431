"""The story of logs: from lines to verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe
    from jamais.recipes.logs.settings import LogSettings

__all__ = ["LogRecipe", "LogSettings"]

_PLACES = {"LogRecipe": "recipe", "LogSettings": "settings"}


def __getattr__(name: str) -> Any:
    # Settings and facts are looked at (`jamais inspect`) without all that reads and scores.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

"""The story of a series: from numbers over time to verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jamais.recipes.series.alarms.segments import segments
    from jamais.recipes.series.recipe import SeriesRecipe
    from jamais.recipes.series.settings import SeriesSettings

__all__ = ["SeriesRecipe", "SeriesSettings", "segments"]

_PLACES = {"SeriesRecipe": "recipe", "SeriesSettings": "settings", "segments": "alarms.segments"}


def __getattr__(name: str) -> Any:
    # Settings are looked at (`jamais inspect`) without all that reads and scores.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

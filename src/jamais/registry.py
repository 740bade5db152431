"""Which class does a saved type name stand for, and under which name is an object saved?

The tables are fixed in this file: a name read from a saved state is only ever looked up here, never imported as
a dotted path. Classes are imported when asked for, so this floor depends on none above it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from jamais.errors import InputError, StateError

_KINDS: dict[str, tuple[str, str]] = {
    "logs": ("jamais.recipes.logs", "LogRecipe"),
    "embeddings": ("jamais.recipes.embeddings", "EmbeddingRecipe"),
    "series": ("jamais.recipes.series", "SeriesRecipe"),
}
"""Recipes: what a watcher of this kind of data is made of."""

_TABLE: dict[str, tuple[str, str]] = {
    **_KINDS,
    "cover-memory": ("jamais.memory", "CoverMemory"),
    "feature-memory": ("jamais.memory", "FeatureMemory"),
    "ring-memory": ("jamais.memory", "RingMemory"),
    "reservoir-memory": ("jamais.memory", "ReservoirMemory"),
    "coreset-memory": ("jamais.memory", "CoresetMemory"),
    "cluster-memory": ("jamais.memory.clusters", "ClusterMemory"),
    "knn": ("jamais.detectors.knn", "KNN"),
    "lof": ("jamais.detectors.lof", "LOF"),
    "iforest": ("jamais.detectors.iforest", "IForest"),
    "cluster": ("jamais.detectors.cluster", "Cluster"),
    "reconstruction": ("jamais.detectors.reconstruction", "Reconstruction"),
    "ensemble": ("jamais.detectors.ensemble", "Ensemble"),
    "window-banks": ("jamais.detectors.windows.window_banks", "WindowBanks"),
    "line-encoder": ("jamais.models.tinylogbert", "LineEncoder"),
    "tinylogbert": ("jamais.models.tinylogbert.hf", "TinyLogBERT"),
    "vocab": ("jamais.models.llm", "Vocab"),  # before the LLM of the same lazy module, which would load torch
    "llm": ("jamais.models.llm", "LLM"),
    "dec": ("jamais.models.dec", "DEC"),
    "surprise": ("jamais.detectors.windows.described.surprise", "Surprise"),
    "patch-encoder": ("jamais.models.patches.encoder", "PatchEncoder"),
    "memto-windows": ("jamais.models.memto.windows", "MEMTOWindows"),
    "memto": ("jamais.models.memto", "MEMTO"),
}
_WATCHER = ("jamais.watcher", "Watcher")


def find(name: str) -> type[Any]:
    """Import and return the class of a type name; raise StateError for a name that is not in the table."""
    if name not in _TABLE:
        known = ", ".join(sorted(_TABLE))
        raise StateError(f"unknown type {name!r} in a saved state, this jamais knows {known}: update jamais")
    module, attribute = _TABLE[name]
    found: type[Any] = getattr(import_module(module), attribute)
    return found


def name_of(thing: object) -> str:
    """Give the type name of an object that can be saved; raise InputError for one that cannot."""
    if _is(thing, _WATCHER):
        return str(thing.kind)  # type: ignore[attr-defined]
    for name, place in _TABLE.items():
        if _is(thing, place):
            return name
    known = ", ".join(sorted(_TABLE))
    raise InputError(f"cannot save {type(thing).__name__}: give a watcher or one of {known}")


def watcher() -> type[Any]:
    """Import and return the class that lives a recipe's life."""
    found: type[Any] = getattr(import_module(_WATCHER[0]), _WATCHER[1])
    return found


def names() -> list[str]:
    """List the type names in the table."""
    return sorted(_TABLE)


def kinds() -> list[str]:
    """List the kinds of data a watcher can be made for."""
    return sorted(_KINDS)


def _is(thing: object, place: tuple[str, str]) -> bool:
    # An object of a class exists only after its module was imported: nothing is imported to find out.
    module = sys.modules.get(place[0])
    return module is not None and type(thing) is getattr(module, place[1], None)

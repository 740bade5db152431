"""How unlikely is this row? Detectors over a memory of normal rows, and evidence in nats."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "KNN": "knn",
    "LOF": "lof",
    "Cluster": "cluster",
    "Detector": "detector",
    "Ensemble": "ensemble",
    "IForest": "iforest",
    "Reconstruction": "reconstruction",
}

__all__ = ["KNN", "LOF", "Cluster", "Detector", "Ensemble", "IForest", "Reconstruction"]


def __getattr__(name: str) -> Any:
    # Scoring logs needs none of most of these: each is imported when asked for.
    if name in _PLACES:
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

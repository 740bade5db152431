"""Which detector stands for which method of a `TinyLogBERT`?"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from jamais.detectors.detector import Detector
from jamais.memory.feature_memory import FeatureMemory
from jamais.models.tinylogbert.anomaly.masked_loss import LineLosses, MaskedLoss

_PLACES = {
    "knn": ("jamais.detectors.knn", "KNN"),
    "cluster": ("jamais.detectors.cluster", "Cluster"),
    "lof": ("jamais.detectors.lof", "LOF"),
    "iforest": ("jamais.detectors.iforest", "IForest"),
}
METHODS = (*_PLACES, "reconstruction")


def made(name: str, settings: dict[str, Any], memory: FeatureMemory, losses: LineLosses) -> Detector:
    """Make the detector of a method over a shared memory."""
    if name == "reconstruction":
        return MaskedLoss(**settings, memory=memory, losses=losses)
    module, kind = _PLACES[name]
    detector: Detector = getattr(import_module(module), kind)(**settings, memory=memory)
    return detector

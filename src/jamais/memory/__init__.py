"""What has been seen so far? Bounded memories of normal vectors."""

from __future__ import annotations

from jamais.memory.coreset import CoresetMemory
from jamais.memory.cover import CoverMemory
from jamais.memory.feature_memory import FeatureMemory
from jamais.memory.nearest import NearestRows
from jamais.memory.reservoir import ReservoirMemory
from jamais.memory.ring import RingMemory
from jamais.memory.sample import Sample

__all__ = [
    "CoresetMemory",
    "CoverMemory",
    "FeatureMemory",
    "NearestRows",
    "ReservoirMemory",
    "RingMemory",
    "Sample",
]

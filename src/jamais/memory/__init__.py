"""What has been seen so far? Bounded memories of normal vectors."""

from __future__ import annotations

from jamais.memory.cover import CoverMemory
from jamais.memory.feature_memory import FeatureMemory
from jamais.memory.nearest import NearestRows
from jamais.memory.sample import Sample

__all__ = ["CoverMemory", "FeatureMemory", "NearestRows", "Sample"]

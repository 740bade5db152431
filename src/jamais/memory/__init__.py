"""What has been seen so far? Bounded memories of normal vectors."""

from __future__ import annotations

from jamais.memory.cover import CoverMemory
from jamais.memory.nearest import NearestRows

__all__ = ["CoverMemory", "NearestRows"]

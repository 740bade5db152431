"""The three steps that train MEMTO (seed 004): rebuild, place the memory by K-means, train the whole."""

from __future__ import annotations

from jamais.learning.memto.phases import phase1_initial_training, phase2_full_training
from jamais.learning.memto.starting import initialize_memory_with_kmeans

__all__ = ["initialize_memory_with_kmeans", "phase1_initial_training", "phase2_full_training"]

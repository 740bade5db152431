"""Which clusters are known, which cluster is a row of, and when is a new one born? Memory first, no gradient step."""

from __future__ import annotations

from jamais.memory.clusters.cluster_memory import ClusterMemory
from jamais.memory.clusters.reports import Assignment, ClusterEvent, Growth

__all__ = ["Assignment", "ClusterEvent", "ClusterMemory", "Growth"]

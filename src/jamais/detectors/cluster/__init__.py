"""How far is a row from the clusters that normal rows form?"""

from __future__ import annotations

from jamais.detectors.cluster.cluster import Cluster

__all__ = ["Cluster"]

"""How does a cluster memory answer?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jamais.types import Floats, Ints

NONE = -1
"""The label of a row that is far from every cluster, or of a retired one."""


@dataclass(frozen=True)
class Assignment:
    """What a cluster memory says of n rows."""

    labels: Ints
    """Cluster ids [n]; -1 = none."""
    novelty: Floats
    """Mean distance [n] to the nearest exemplars."""
    nearest: Ints
    """Ids [n, k] of the nearest exemplars."""
    distances: Floats
    """Distances [n, k] to them, rising."""


@dataclass(frozen=True)
class ClusterEvent:
    """One thing that happened to clusters; prints as a line."""

    kind: str
    """`born`, `merged`, `split` or `retired`."""
    clusters: tuple[int, ...]
    """The cluster; of a merge the one that ended and the one that it joined, of a split the old and the new one."""
    rows: int
    """How many rows it concerns."""
    when: int
    """Rows that had been learned when it happened."""

    def __str__(self) -> str:
        first, *others = self.clusters
        told = {
            "born": f"cluster {first} was born of {self.rows:,} rows",
            "merged": f"cluster {first} ({self.rows:,} rows) was merged into {(*others, first)[0]}",
            "split": f"cluster {(*others, first)[0]} of {self.rows:,} rows was split off cluster {first}",
            "retired": f"cluster {first} ({self.rows:,} rows) was retired",
        }[self.kind]
        return f"{told}, after {self.when:,} rows"


@dataclass(frozen=True)
class Growth:
    """What learning rows did to the clusters; prints as a table."""

    rows: int
    events: tuple[ClusterEvent, ...]
    shift: float
    """Share of the held-out rows whose label this update changed."""
    total_shift: float
    """Share of the held-out rows whose label any update changed."""
    held_out: int
    """Rows on which the shift was measured."""
    pending: int
    """Recent rows that look new and belong to no cluster yet."""
    sizes: Mapping[int, int]
    """Rows of each cluster that lives."""

    def __str__(self) -> str:
        lines = [
            f"{self.rows:,} rows, {len(self.sizes):,} clusters, {self.pending:,} rows pending",
            f"label shift {self.shift:.2%}, of all updates {self.total_shift:.2%}, on {self.held_out:,} held-out rows",
        ]
        return "\n".join([*lines, *(f"  {event}" for event in self.events)])

"""Why does a row score as it does? Its nearest remembered rows, and the columns that make it far from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jamais.memory.feature_memory import FeatureMemory
from jamais.types import NO_TIME, Floats, Ints, Vectors


@dataclass(frozen=True)
class Neighbour:
    """A remembered row near to the one that is explained."""

    id: int
    distance: float
    """Euclidean."""
    count: int
    """How many rows it stands for."""
    source: str
    first_seen: int | None
    """Microseconds since 1970 UTC; None where no time was given."""
    last_seen: int | None


@dataclass(frozen=True)
class Reason:
    """Why one row scores as it does."""

    score: float
    p_value: float
    abnormal: bool
    nearest: tuple[Neighbour, ...]
    features: tuple[tuple[int, float], ...]
    """(column, its share of the score), largest first."""
    nearest_abnormal: Neighbour | None = None
    """The remembered abnormal row that it is nearer to than to any normal one."""
    details: dict[str, Any] = field(default_factory=dict)
    """What only this detector knows."""

    def __str__(self) -> str:
        near = ", ".join(f"row {one.id} at {one.distance:.3g} (seen {one.count}x)" for one in self.nearest)
        columns = ", ".join(f"column {column} {share:.0%}" for column, share in self.features)
        like = "" if self.nearest_abnormal is None else f"; like abnormal row {self.nearest_abnormal.id}"
        verdict = "abnormal" if self.abnormal else "normal"
        return f"{verdict}: score {self.score:.4g}, p {self.p_value:.2g}; nearest {near}{like}; because of {columns}"


def reasons(
    memory: FeatureMemory,
    rows: Vectors,
    scores: Floats,
    p_values: Floats,
    threshold: float,
    shares: Callable[[Vectors, Vectors], Floats],
    n_nearest: int,
    n_features: int,
) -> list[Reason]:
    """Give a reason for each of `rows` [n, width]; `shares(rows, nearest)` -> [n, width] weighs the columns."""
    if not len(rows):
        return []
    distances, slots = memory.index().nearest(rows, n_nearest)
    ids, counts, sources = memory.ids, memory.counts, memory.normal.sources
    first, last = memory.normal.first_seen, memory.normal.last_seen

    def neighbour(slot: int, distance: float) -> Neighbour:
        times = (_time(first[slot]), _time(last[slot]))
        return Neighbour(int(ids[slot]), distance, int(counts[slot]), sources[slot], *times)

    columns, parts = _largest(shares(rows, memory.rows[slots[:, 0]]), n_features)
    abnormal = _abnormal_neighbours(memory, rows, distances[:, 0])
    return [
        Reason(
            score=float(scores[i]),
            p_value=float(p_values[i]),
            abnormal=bool(scores[i] > threshold),
            nearest=tuple(neighbour(s, d) for s, d in zip(slots[i].tolist(), distances[i].tolist(), strict=True)),
            features=tuple(zip(columns[i].tolist(), parts[i].tolist(), strict=True)),
            nearest_abnormal=abnormal[i],
        )
        for i in range(len(rows))
    ]


def _largest(shares: Floats, n: int) -> tuple[Ints, Floats]:
    """Return the `n` columns with the largest shares, and these as parts of the whole."""
    totals = np.add.reduce(shares, axis=1)[:, None]
    parts = shares / np.where(totals > 0, totals, 1.0)
    columns = np.argsort(-parts, axis=1, kind="stable")[:, :n]
    return columns, np.take_along_axis(parts, columns, axis=1)


def _abnormal_neighbours(memory: FeatureMemory, rows: Vectors, to_normal: Floats) -> list[Neighbour | None]:
    from jamais.memory.nearest import NearestRows

    kept = memory.abnormal
    if not len(kept):
        return [None] * len(rows)
    distances, slots = NearestRows(kept.rows).nearest(rows, 1)
    ids, counts, sources, first, last = kept.ids, kept.counts, kept.sources, kept.first_seen, kept.last_seen
    return [
        Neighbour(int(ids[s]), d, int(counts[s]), sources[s], _time(first[s]), _time(last[s])) if d < far else None
        for d, s, far in zip(distances[:, 0].tolist(), slots[:, 0].tolist(), to_normal.tolist(), strict=True)
    ]


def _time(value: Any) -> int | None:
    return None if value == NO_TIME else int(value)

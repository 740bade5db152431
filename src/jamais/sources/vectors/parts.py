"""What does every source of rows give?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.sources.vectors.settings import VectorSettings

PART_BYTES = 32 << 20


@dataclass(frozen=True)
class Part:
    """Some rows as they were found, not yet checked."""

    rows: Any
    labels: NDArray[Any] | None
    share: float
    """How much of the source is read by now, from 0 to 1."""


@dataclass
class VectorSource:
    """One thing that holds rows; `parts(options, labelled)` may be called once."""

    name: str
    format: str
    parts: Callable[[VectorSettings, bool], Iterator[Part]]
    size: int = 0
    columns: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)


def rows_at_once(options: VectorSettings, width: int) -> int:
    """Give how many rows of a width are read at once: very wide ones are fewer."""
    return max(1, min(options.block_rows, PART_BYTES // (8 * max(width, 1))))


def as_labels(labels: Any) -> NDArray[Any]:
    """Give labels as an array of whole numbers or texts."""
    return np.asarray(labels)

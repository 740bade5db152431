"""What does everything give that holds a series?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jamais.sources.series.settings import SeriesReading

if TYPE_CHECKING:
    import polars as pl


class Numbers(NamedTuple):
    """Rows of an array: values [n, channels] or [n], not yet checked, and what stands beside them."""

    values: Any
    times: pl.Series | None = None
    names: tuple[str, ...] | None = None


class Part(NamedTuple):
    """Some rows as they were found: whole lines of text, rows of a table, or numbers."""

    held: bytes | pl.DataFrame | Numbers
    share: float
    """How much of the source is read by now, from 0 to 1."""


@dataclass
class SeriesSource:
    """One thing that holds a series."""

    name: str
    format: str
    parts: Callable[[SeriesReading], Iterator[Part]]
    size: int = 0
    again: bool = True
    """Whether `parts` may be called more than once."""
    from_glob: bool = False
    """Its place among the others is decided by its first stamp."""

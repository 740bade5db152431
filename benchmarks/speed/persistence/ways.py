"""What is a way of saving, and what is measured of it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.persistence.state import State

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Load:
    """One way to bring everything into memory; gives the arrays by any names that end as those of the state."""

    name: str
    read: Callable[[State, Path], Arrays]


@dataclass(frozen=True)
class Way:
    """A way to save to an empty folder, and the ways to load what it saved."""

    name: str
    prepare: Callable[[State], Any]
    """Not measured: the state as the library takes it."""
    write: Callable[[Any, Path], Any]
    loads: tuple[Load, ...] = ()
    firsts: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)
    """By name: reads the one 4 MiB array, into memory."""
    durable: bool = False
    """Whether `write` has flushed everything when it returns."""

"""Which words do the rooms use to talk to one another?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]

# What a state tree may hold: dicts with str keys, numpy arrays for numbers in bulk, and JSON values (str, int,
# float, bool, None, list) for the rest. Nothing else survives a save.
StateTree = dict[str, Any]

NO_TIME = np.iinfo(np.int64).min
"""The time of a record that carries none, in microseconds since 1970 UTC."""


@dataclass(frozen=True)
class Event:
    """One step of long work: `done` of `total` units (`total` 0 = unknown) in a named phase."""

    phase: str
    done: int
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Be the listener of somebody who does not listen."""


class CancelToken:
    """A flag that long work looks at between batches."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def cancel(self) -> None:
        self._flag.set()

    @property
    def cancelled(self) -> bool:
        return self._flag.is_set()


@dataclass(frozen=True)
class Check:
    """One limit of a guarded update: what was measured, and what would have been too much."""

    name: str
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.value <= self.limit


@dataclass(frozen=True)
class LearnReport:
    """What an update did, or would have done; prints as a table."""

    accepted: bool
    records: int
    counts: Mapping[str, int]
    checks: tuple[Check, ...] = ()

    def __str__(self) -> str:
        lines = [f"{'accepted' if self.accepted else 'refused'}: {self.records:,} records"]
        lines += [f"  {name:<44}{value:>12,}" for name, value in self.counts.items()]
        lines += [
            f"  {check.name:<44}{check.value:>12.4g}  at most {check.limit:.4g}  {'ok' if check.passed else 'BROKEN'}"
            for check in self.checks
        ]
        return "\n".join(lines)

"""What can have changed between two states?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ValueChange:
    """A JSON value, or a whole part without arrays, that is not the same; `kind`: changed, added or removed."""

    path: str
    kind: str
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class PartChange:
    """A part with arrays that only one side has; `kind`: added or removed."""

    path: str
    kind: str
    arrays: int
    nbytes: int


@dataclass(frozen=True)
class ListChange:
    """A vocabulary, or another list of texts, that is not the same. The numbers are places in the list."""

    path: str
    n_old: int
    n_new: int
    added: tuple[tuple[int, str], ...]
    removed: tuple[tuple[int, str], ...]
    moved: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Side:
    """What an array is on one side, and how many of its values are no finite numbers."""

    dtype: str
    shape: tuple[int, ...]
    nan: int = 0
    inf: int = 0


@dataclass(frozen=True)
class ArrayChange:
    """An array that is not the same bit for bit.

    Distances leave out what is not finite on either side; they are None where there is nothing to compare. Where
    only the number of rows differs, they are about the rows that both have, the first `common_rows`.
    """

    path: str
    old: Side | None
    new: Side | None
    n_changed: int = 0
    share_changed: float | None = None
    l2: float | None = None
    relative: float | None = None
    """The L2 distance over the L2 norm of the old values."""
    largest: float | None = None
    largest_at: tuple[int, ...] | None = None
    cosine: float | None = None
    common_rows: int | None = None


@dataclass(frozen=True)
class RowsChange:
    """Rows known by their ids, as those of a memory; `columns` are compared over the rows that both sides have."""

    path: str
    n_old: int
    n_new: int
    added: tuple[int, ...]
    removed: tuple[int, ...]
    changed: tuple[int, ...]
    reordered: bool
    columns: tuple[ArrayChange, ...]


@dataclass(frozen=True)
class Difference:
    """All in which two states differ, the largest changes of arrays first; `same` names the largest equal parts."""

    values: tuple[ValueChange, ...]
    parts: tuple[PartChange, ...]
    lists: tuple[ListChange, ...]
    arrays: tuple[ArrayChange, ...]
    rows: tuple[RowsChange, ...]
    ties: tuple[ValueChange, ...]
    """Arrays that stand in two places on one side only: the path of the first, or None."""
    same: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Say whether both are the same state, bit for bit."""
        return not (self.values or self.parts or self.lists or self.arrays or self.rows or self.ties)

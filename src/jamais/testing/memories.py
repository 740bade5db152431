"""Does a memory of rows keep its contract?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jamais.testing.bits import digest, hold
from jamais.types import Ints, StateTree, Vectors


class Memory(Protocol):
    """What is asked of a memory; more is welcome."""

    capacity: int

    def __len__(self) -> int: ...

    @property
    def rows(self) -> Vectors: ...

    def add(self, rows: Vectors) -> Ints: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...


@dataclass(frozen=True)
class MemoryCase:
    """A way to make an empty memory, and `rows: [n, width]` to add: more of them than it may hold."""

    make: Callable[[], Memory]
    rows: Vectors


def capacity_holds_for_ever(case: MemoryCase) -> None:
    """However rows come, one by one or all at once, never more than the capacity is kept."""
    one = case.make()
    hold(len(case.rows) > one.capacity, f"give more than {one.capacity} rows to check a capacity")
    for start, stop in _cuts(len(case.rows)):
        one.add(case.rows[start:stop])
        hold(len(one) <= one.capacity, f"holds {len(one)} rows, may hold {one.capacity}")
        hold(len(one.rows) == len(one), f"says it holds {len(one)} rows, gives {len(one.rows)}")


def every_row_is_answered_for(case: MemoryCase) -> None:
    """Adding gives one id per row, of something that is kept."""
    one = case.make()
    ids = one.add(case.rows[: one.capacity // 2])
    hold(len(ids) == one.capacity // 2, f"{one.capacity // 2} rows, {len(ids)} ids")
    hold(len(np.unique(ids)) == len(one), "ids name something else than what is kept")


def saved_and_loaded_it_goes_on_as_if_never_stopped(case: MemoryCase) -> None:
    """A loaded memory takes more rows as the first would have."""
    half = len(case.rows) // 2
    one, two = case.make(), case.make()
    one.add(case.rows[:half])
    two.load_state_dict(one.state_dict())
    hold(digest(two.state_dict()) == digest(one.state_dict()), "what is loaded is not what was saved")
    for start, stop in _cuts(len(case.rows) - half):
        given = [memory.add(case.rows[half + start : half + stop]).tolist() for memory in (one, two)]
        hold(given[0] == given[1], "a loaded one gives other ids")
    hold(digest(two.state_dict()) == digest(one.state_dict()), "a loaded one goes on otherwise")


def inputs_are_untouched_and_not_kept(case: MemoryCase) -> None:
    """The caller may do with its array what it likes, before and after."""
    one, rows = case.make(), case.rows.copy()
    one.add(rows)
    hold(rows.tobytes() == case.rows.tobytes(), "the input array was changed")
    before = digest(one.state_dict())
    rows[:] = 1e6
    hold(digest(one.state_dict()) == before, "the memory changed with the caller's array")


def what_is_given_out_stays_as_it_was(case: MemoryCase) -> None:
    """States and rows that were given out do not change when more is added."""
    half = len(case.rows) // 2
    one = case.make()
    one.add(case.rows[:half])
    state, rows = one.state_dict(), one.rows
    before = digest(state), rows.tobytes()
    one.add(case.rows[half:])
    hold(digest(state) == before[0], "a state given out changed when more was added")
    hold(rows.tobytes() == before[1], "rows given out changed when more was added")


def made_twice_it_is_the_same(case: MemoryCase) -> None:
    """Two that saw the same rows have the same bits."""
    one, two = case.make(), case.make()
    one.add(case.rows)
    two.add(case.rows)
    hold(digest(one.state_dict()) == digest(two.state_dict()), "the same rows twice, two states")


MEMORY_CHECKS: tuple[Callable[[MemoryCase], None], ...] = (
    capacity_holds_for_ever,
    every_row_is_answered_for,
    saved_and_loaded_it_goes_on_as_if_never_stopped,
    inputs_are_untouched_and_not_kept,
    what_is_given_out_stays_as_it_was,
    made_twice_it_is_the_same,
)


def _cuts(n: int) -> list[tuple[int, int]]:
    """Cut n rows into pieces of growing size: 0, 1, 2, 3, …"""
    cuts, start, size = [], 0, 0
    while start < n:
        cuts.append((start, min(n, start + size)))
        start, size = start + size, size + 1
    return cuts

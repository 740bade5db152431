"""Does a memory of rows keep its contract?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jamais.errors import CorruptStateError, InputError, JamaisError, ShapeMismatchError
from jamais.testing.bits import digest, hold
from jamais.types import Ints, StateTree, Vectors


class Memory(Protocol):
    """What is asked of a memory; more is welcome."""

    capacity: int

    def __len__(self) -> int: ...

    @property
    def rows(self) -> Vectors: ...

    @property
    def ids(self) -> Ints: ...

    @property
    def counts(self) -> Ints: ...

    def add(self, rows: Any, counts: Any = None, times: Any = None) -> Ints: ...

    def forget(self, ids: Any) -> int: ...

    def age(self, before: int) -> int: ...

    def clear(self) -> None: ...

    def merge(self, other: Any) -> Ints: ...

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


def the_row_of_an_id_never_changes(case: MemoryCase) -> None:
    """Ids rise, are never given twice, and always mean the same row; each stands for at least one."""
    one = case.make()
    meant: dict[int, bytes] = {}
    for start, stop in _cuts(len(case.rows)):
        one.add(case.rows[start:stop])
        ids = one.ids.tolist()
        hold(len(ids) == len(one) == len(one.counts), "not one id and one count for each row")
        hold(ids == sorted(set(ids)), "ids do not rise")
        hold(bool((one.counts >= 1).all()), "a row stands for none")
        for own, row in zip(ids, one.rows, strict=True):
            hold(meant.setdefault(own, row.tobytes()) == row.tobytes(), f"id {own} means another row than before")
    one.clear()
    hold(len(one) == 0, "something is left of a memory that was cleared")
    one.add(case.rows[:3])
    hold(not meant.keys() & set(one.ids.tolist()), "an id was given twice")


def pieces_give_the_memory_of_the_whole(case: MemoryCase) -> None:
    """It does not matter in which batches rows come."""
    whole, pieces = case.make(), case.make()
    counts, times = np.arange(len(case.rows)) % 3 + 1, np.arange(len(case.rows)) * 7 % 31
    whole.add(case.rows, counts, times)
    for start, stop in _cuts(len(case.rows)):
        pieces.add(case.rows[start:stop], counts[start:stop], times[start:stop])
    hold(digest(pieces.state_dict()) == digest(whole.state_dict()), "other batches, another state")


def what_is_forgotten_is_gone(case: MemoryCase) -> None:
    """Forgetting and aging drop these rows and no others; unknown ids are passed over."""
    one = case.make()
    one.add(case.rows, None, np.arange(len(case.rows)))
    gone, before = one.ids[::2], len(one)
    hold(one.forget([*gone.tolist(), 10**12]) == len(gone), "forget says another number")
    hold(len(one) == len(one.rows) == before - len(gone), "not all that was forgotten is gone")
    hold(not np.isin(one.ids, gone).any(), "forgotten ids are still there")
    hold(one.age(len(case.rows)) == before - len(gone) and not len(one), "old rows stay")
    one.add(case.rows)
    hold(0 < len(one) <= one.capacity, "it does not learn again after forgetting")


def merging_leaves_the_other_alone(case: MemoryCase) -> None:
    """A merge keeps the capacity, gives an id for each row of the other, and does not touch it."""
    half = len(case.rows) // 2
    one, two = case.make(), case.make()
    one.add(case.rows[:half])
    two.add(case.rows[half:])
    before = digest(two.state_dict())
    ids = one.merge(two)
    hold(len(ids) == len(two), f"{len(two)} rows merged, {len(ids)} ids")
    hold(bool(np.isin(ids[ids >= 0], one.ids).all()), "ids name something that is not kept")
    hold(len(one) <= one.capacity, f"holds {len(one)} rows after a merge, may hold {one.capacity}")
    hold(digest(two.state_dict()) == before, "the other memory was changed")


def what_is_refused_changes_nothing(case: MemoryCase) -> None:
    """Bad rows, another width and another kind of memory are an error of jamais, and the state stays."""
    one, narrow = case.make(), case.make()
    one.add(case.rows)
    narrow.add(case.rows[:, :-1])
    before = digest(one.state_dict())
    holes = case.rows[:2].copy()
    holes[1, 0] = np.nan
    for wrong, error in ((holes, InputError), (case.rows[:, :-1], ShapeMismatchError), (case.rows[0], JamaisError)):
        _refused(lambda wrong=wrong: one.add(wrong), error)  # type: ignore[misc]
    _refused(lambda: one.merge(narrow), ShapeMismatchError)
    _refused(lambda: one.merge(object()), InputError)
    hold(digest(one.state_dict()) == before, "something refused changed the state")


def broken_states_are_refused(case: MemoryCase) -> None:
    """A state that lacks a leaf, or has one of another type, is an error; the memory stays as it is."""
    one, two = case.make(), case.make()
    one.add(case.rows)
    two.add(case.rows[:5])
    before, tree = digest(two.state_dict()), one.state_dict()
    for name in tree:
        if name == "release_after":  # what older states lack
            continue
        _refused(lambda name=name: two.load_state_dict({k: v for k, v in tree.items() if k != name}), CorruptStateError)  # type: ignore[misc]
        _refused(lambda name=name: two.load_state_dict({**tree, name: object()}), CorruptStateError)  # type: ignore[misc]
    hold(digest(two.state_dict()) == before, "a broken state changed the memory")
    two.load_state_dict(tree)
    hold(digest(two.state_dict()) == digest(tree), "a good state after a broken one is not taken over")


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
    the_row_of_an_id_never_changes,
    pieces_give_the_memory_of_the_whole,
    what_is_forgotten_is_gone,
    merging_leaves_the_other_alone,
    what_is_refused_changes_nothing,
    broken_states_are_refused,
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


def _refused(call: Callable[[], object], error: type[JamaisError]) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"nothing was raised, {error.__name__} was expected")

"""Where do two trees part? A walk through both at once."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from jamais.persistence.difference.arrays import compare_arrays, side_of
from jamais.persistence.difference.changes import (
    ArrayChange,
    Difference,
    ListChange,
    PartChange,
    RowsChange,
    ValueChange,
)
from jamais.persistence.difference.rows import columns, compare_rows
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.tree import below, flatten
from jamais.types import StateTree


def compare(old: StateTree, new: StateTree) -> Difference:
    """Say in what `new` differs from `old`; raise StateError for a leaf that no state can have."""
    ties = _tie_changes(_ties(flatten(old)[1], ""), _ties(flatten(new)[1], ""))
    walk = _Walk()
    if walk.dicts(old, new, ""):
        walk.same.append("")
    return Difference(
        values=tuple(walk.values),
        parts=tuple(sorted(walk.parts, key=lambda one: -one.nbytes)),
        lists=tuple(walk.lists),
        arrays=tuple(sorted(walk.arrays, key=_how_large, reverse=True)),
        rows=tuple(walk.rows),
        ties=tuple(ties),
        same=tuple(walk.same),
    )


class _Walk:
    """Go through two trees together. Each method says whether what it was given is the same on both sides."""

    def __init__(self) -> None:
        self.values: list[ValueChange] = []
        self.parts: list[PartChange] = []
        self.lists: list[ListChange] = []
        self.arrays: list[ArrayChange] = []
        self.rows: list[RowsChange] = []
        self.same: list[str] = []

    def dicts(self, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> bool:
        equal: list[str] = []
        together = columns(old, new)
        if together:
            change = compare_rows(path, old, new, together)
            self.rows += [change] if change else []
            equal += [] if change else [below(path, key) for key in together]
        for key in [*old, *(key for key in new if key not in old)]:
            here = below(path, key)
            if key in together:
                continue
            if key not in old or key not in new:
                self._only_one(here, "removed" if key in old else "added", old[key] if key in old else new[key])
            elif self._either(old[key], new[key], here):
                equal.append(here)
        if len(equal) == len(old.keys() | new.keys()):
            return True
        self.same += equal
        return False

    def _either(self, old: Any, new: Any, path: str) -> bool:
        if isinstance(old, dict) and isinstance(new, dict):
            return self.dicts(old, new, path)
        if isinstance(old, list) and isinstance(new, list):
            return _same(old, new) or self._lists(old, new, path)
        if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
            change = compare_arrays(path, old, new)
            self.arrays += [change] if change else []
            return change is None
        if _arrays_in(old) or _arrays_in(new):  # one is another kind of thing than the other
            self._only_one(path, "removed", old)
            self._only_one(path, "added", new)
            return False
        if not _same(old, new):
            self.values.append(ValueChange(path, "changed", old, new))
            return False
        return True

    def _lists(self, old: list[Any], new: list[Any], path: str) -> bool:
        if _is_vocabulary(old) and _is_vocabulary(new):
            self.lists.append(_compare_lists(path, old, new))
        elif all(isinstance(one, dict) for one in [*old, *new]):
            n = min(len(old), len(new))
            for i in range(n):
                self._either(old[i], new[i], f"{path}/{i}")
            for i, value in enumerate(old[n:] or new[n:], start=n):
                self._only_one(f"{path}/{i}", "removed" if len(old) > n else "added", value)
        else:
            self.values.append(ValueChange(path, "changed", old, new))
        return False

    def _only_one(self, path: str, kind: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            side = side_of(value)
            self.arrays.append(ArrayChange(path, *((None, side) if kind == "added" else (side, None))))
        elif held := _arrays_in(value):
            self.parts.append(PartChange(path, kind, len(held), sum(array.nbytes for array in held)))
        else:
            self.values.append(ValueChange(path, kind, **{"new" if kind == "added" else "old": value}))


def _same(old: Any, new: Any) -> bool:
    """Say whether two JSON values are the same with their types, floats by their bits."""
    if type(old) is not type(new):
        return False
    if isinstance(old, float):
        return struct.pack(">d", old) == struct.pack(">d", new)
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same(value, new[key]) for key, value in old.items())
    return bool(old == new)


def _is_vocabulary(texts: list[Any]) -> bool:
    """Say whether a list is one of texts, most of which stand there once: templates of two sources may read alike."""
    return all(type(one) is str for one in texts) and 2 * len(set(texts)) >= len(texts)


def _compare_lists(path: str, old: list[str], new: list[str]) -> ListChange:
    before, after = _numbered(old), _numbered(new)
    return ListChange(
        path,
        len(old),
        len(new),
        added=tuple((number, key[0]) for key, number in after.items() if key not in before),
        removed=tuple((number, key[0]) for key, number in before.items() if key not in after),
        moved=tuple((key[0], n, after[key]) for key, n in before.items() if after.get(key, n) != n),
    )


def _numbered(texts: list[str]) -> dict[tuple[str, int], int]:
    """Give the place of each text, and of each further one of the same words."""
    seen: Counter[str] = Counter()
    places: dict[tuple[str, int], int] = {}
    for number, text in enumerate(texts):
        places[text, seen[text]] = number
        seen[text] += 1
    return places


def _arrays_in(value: Any) -> list[AnyArray]:
    """Give the arrays below a value; lists hold none."""
    if isinstance(value, np.ndarray):
        return [value]
    return [array for one in value.values() for array in _arrays_in(one)] if isinstance(value, dict) else []


def _ties(plain: Mapping[str, Any], path: str) -> dict[str, str]:
    """Find the arrays that are one with an earlier one, in the JSON that `flatten` gives: path -> path of the first."""
    found: dict[str, str] = {}
    for key, value in plain.items():
        here = below(path, key.removeprefix("$"))
        if type(value) is dict:
            found |= {here: value["$same"]} if list(value) == ["$same"] else _ties(value, here)
    return found


def _tie_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[ValueChange]:
    return [
        ValueChange(path, "changed", old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _how_large(change: ArrayChange) -> tuple[bool, float, float]:
    """Order changes: what is new, gone or of another shape, then by distance, then by how much is touched."""
    reshaped = change.old is None or change.new is None or change.old.shape != change.new.shape
    relative = change.relative if change.relative is not None and not math.isnan(change.relative) else -1.0
    return reshaped, relative, change.share_changed or 0.0

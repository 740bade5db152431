"""How is the difference of two states told? The largest changes first, and of each kind so many."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

from jamais.cli import told
from jamais.persistence.difference import (
    ArrayChange,
    Difference,
    ListChange,
    PartChange,
    RowsChange,
    Side,
    ValueChange,
)

SHOWN = 12
_WIDEST = 60
_SIGNS = {"added": "+", "removed": "-", "changed": " "}

One = TypeVar("One")


def lines(found: Difference, *, everything: bool = False) -> Iterator[str]:
    """Tell a difference to a person."""
    if found.is_empty:
        yield "the same state, bit for bit"
        return
    shown = None if everything else SHOWN
    yield from _section("values", found.values, _value, shown)
    for one in found.lists:
        yield from _list(one, shown)
    for memory in found.rows:
        yield from _rows(memory, shown)
    yield from _section("parts", found.parts, _part, shown)
    yield from _section("arrays", found.arrays, _array, shown)
    yield from _section("shared arrays", found.ties, _tie, shown)
    yield "same      " + (", ".join(dotted(path) for path in found.same) or "nothing")


def as_json(found: Difference) -> dict[str, Any]:
    """Give all of a difference as JSON values; numbers that are not finite become texts."""
    plain: dict[str, Any] = _plain(asdict(found))
    return {"is_empty": found.is_empty, **plain}


def dotted(path: str) -> str:
    """Write the place of a value in a state as people do: settings.memory.capacity."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
    return ".".join(key if key and not set(key) & set('. "\n') else json.dumps(key, ensure_ascii=False) for key in keys)


def _section(name: str, all_of: tuple[One, ...], tell: Callable[[One], str], shown: int | None) -> Iterator[str]:
    if all_of:
        yield f"{name}: {len(all_of):,}"
        yield from _some([f"  {tell(one)}" for one in all_of[:shown]], len(all_of))


def _some(told_lines: list[str], n: int) -> Iterator[str]:
    yield from told_lines
    if len(told_lines) < n:
        yield f"    … and {n - len(told_lines):,} more: --all tells them"


def _value(one: ValueChange) -> str:
    where = f"{_SIGNS[one.kind]} {dotted(one.path)}"
    if one.kind != "changed":
        return f"{where}: {_short(one.new if one.kind == 'added' else one.old)}"
    if isinstance(one.old, list) and isinstance(one.new, list):
        return f"{where}: {_items(one.old, one.new)}"
    return f"{where}: {_short(one.old)} → {_short(one.new)}"


def _items(old: list[Any], new: list[Any]) -> str:
    """Tell how two lists of values differ: in whole if they are short, else how many items and the first."""
    whole = f"{_json(old)} → {_json(new)}"
    if len(whole) <= 2 * _WIDEST:
        return whole
    at = [i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b or type(a) is not type(b)]
    first = f", first {at[0]:,}: {_short(old[at[0]])} → {_short(new[at[0]])}" if at else ""
    return f"{len(old):,} → {len(new):,} items, {len(at):,} of the first {min(len(old), len(new)):,} differ{first}"


def _list(one: ListChange, shown: int | None) -> Iterator[str]:
    counts = {"added": len(one.added), "removed": len(one.removed), "moved": len(one.moved)}
    said = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n)
    yield f"{dotted(one.path)}: {one.n_old:,} → {one.n_new:,} texts, {said}"
    yield from _some([f"  + {number:>7}  {_short(text)}" for number, text in one.added[:shown]], len(one.added))
    yield from _some([f"  - {number:>7}  {_short(text)}" for number, text in one.removed[:shown]], len(one.removed))
    moved = [f"    {old:>7} → {new}  {_short(text)}" for text, old, new in one.moved[:shown]]
    yield from _some(moved, len(one.moved))


def _rows(one: RowsChange, shown: int | None) -> Iterator[str]:
    counts = {"added": one.added, "removed": one.removed, "changed": one.changed}
    said = [f"{len(ids):,} {name}" for name, ids in counts.items() if ids]
    said += ["in another order"] if one.reordered else []
    yield f"{dotted(one.path)}: {one.n_old:,} → {one.n_new:,} rows, {', '.join(said)}"
    for name, ids in counts.items():
        if ids:
            more = f" … and {len(ids) - shown:,} more" if shown is not None and len(ids) > shown else ""
            yield f"  {_SIGNS[name]} {name}: ids {', '.join(map(str, ids[:shown]))}{more}"
    for column in one.columns:
        yield f"    {_array(column)}"


def _part(one: PartChange) -> str:
    return f"{_SIGNS[one.kind]} {dotted(one.path)}: {one.arrays:,} arrays, {told.size(one.nbytes)}"


def _array(one: ArrayChange) -> str:
    if one.old is None or one.new is None:
        side = one.old or one.new
        return f"{'-' if one.new is None else '+'} {one.path}  {_side(side) if side else ''}"
    kind = _side(one.old) if _side(one.old) == _side(one.new) else f"{_side(one.old)} → {_side(one.new)}"
    return f"  {one.path}  {kind}  " + "  ".join(_distances(one))


def _distances(one: ArrayChange) -> Iterable[str]:
    if one.common_rows is not None:
        yield f"the {one.common_rows:,} rows of both:"
    if one.share_changed == 0:
        yield "no value changed"
        return
    if one.l2 is not None and one.relative is not None:
        yield f"L2 {one.l2:.4g}" + (f" ({one.relative:.2%})" if math.isfinite(one.relative) else "")
    if one.largest is not None and one.largest_at is not None:
        yield f"largest {one.largest:.4g} at {list(one.largest_at)}"
    if one.cosine is not None:
        yield f"cosine {one.cosine:.6f}"
    if one.share_changed is not None:
        yield f"changed {one.share_changed:.2%}"
    if one.old and one.new:
        for name, before, after in (("NaN", one.old.nan, one.new.nan), ("Inf", one.old.inf, one.new.inf)):
            if before or after:
                yield f"{name} {before:,} → {after:,}"


def _tie(one: ValueChange) -> str:
    old, new = (f"the same as {dotted(value)}" if value else "an array of its own" for value in (one.old, one.new))
    return f"  {dotted(one.path)}: {old} → {new}"


def _side(one: Side) -> str:
    return f"{one.dtype} {list(one.shape)}"


def _short(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}… ({len(text):,} characters)"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

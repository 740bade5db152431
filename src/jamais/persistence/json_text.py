"""Can this JSON text be believed, and does what was written come back bit for bit?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from jamais.errors import CorruptStateError

MAX_DEPTH = 64
"""Deepest nesting that is saved or read; a state needs six, a JSON bomb a hundred thousand."""


def dump(value: Any, *, canonical: bool = False) -> bytes:
    """Write JSON as UTF-8, keys in their own order, or sorted and without a space when `canonical`."""
    if canonical:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    return (text + "\n").encode()


def parse(data: bytes, where: str) -> Any:
    """Read JSON strictly; raise CorruptStateError naming `where` for anything but plain, unambiguous JSON."""
    try:
        return json.loads(data.decode("utf-8"), **_strict(where))
    except CorruptStateError:
        raise
    except RecursionError:
        raise CorruptStateError(f"{where}: JSON nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # not UTF-8, not JSON, or an integer of more digits than Python converts
        raise CorruptStateError(f"{where}: not readable as JSON ({error})") from None


def too_much(data: bytes, most: int) -> bool:
    """Say whether JSON would become many more than `most` objects in memory, each far larger than its text."""
    return sum(data.count(mark) for mark in (b"{", b"[", b",")) > most


def _strict(where: str) -> dict[str, Any]:
    return {
        "object_pairs_hook": _no_twins(where),
        "parse_constant": _no_constant(where),
        "parse_float": _finite(where),
    }


def _finite(where: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if value - value != 0:
            raise CorruptStateError(f"{where}: {text[:40]} is out of range for a number")
        return value

    return read


def _no_twins(where: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) != len(pairs):
            raise CorruptStateError(f"{where}: the same key stands twice in one JSON object")
        return built

    return build


def _no_constant(where: str) -> Callable[[str], NoReturn]:
    def refuse(name: str) -> NoReturn:
        raise CorruptStateError(f"{where}: bare {name} is not JSON")

    return refuse

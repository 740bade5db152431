"""Is what was saved what belongs here? If not, the leaf is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from jamais.errors import StateError

Apply = Callable[[], None]
"""Put a state that has been checked in its place; it cannot fail half-way for a reason that a check can find."""

T = TypeVar("T")


def part(tree: Any, name: str, wanted: type[T], where: str) -> T:
    """Return `tree[name]`, which must be exactly a `wanted`; raise StateError naming `where`.`name`."""
    if type(tree) is not dict or name not in tree:
        raise StateError(f"{where}.{name}: not in the saved state: load another version")
    found = tree[name]
    if type(found) is not wanted:
        raise StateError(
            f"{where}.{name}: saved {type(found).__name__}, wanted {wanted.__name__}: load another version"
        )
    return found


def names(tree: Any, name: str, where: str) -> list[str]:
    """Return `tree[name]`, which must be a list of str; raise StateError naming `where`.`name`."""
    found = part(tree, name, list, where)
    if not all(type(one) is str for one in found):
        raise StateError(f"{where}.{name}: wanted names only: load another version")
    return found


def same_names(where: str, saved: Iterable[str], here: Iterable[str], what: str) -> None:
    """Raise StateError for the first name that stands on one side only; `what` must be built as it was."""
    saved, here = set(saved), set(here)
    for name in sorted(saved ^ here):
        side = "saved, but not here" if name in saved else "here, but not in the saved state"
        raise StateError(f"{where}.{name}: {side}: build the {what} as it was when saved")


def same_settings(where: str, saved: Any, here: Any) -> None:
    """Raise StateError naming the first setting that differs."""
    if type(saved) is dict and isinstance(here, Mapping):
        for name in [*here, *(name for name in saved if name not in here)]:
            same_settings(f"{where}.{name}", saved.get(name, "nothing"), here.get(name, "nothing"))
    elif saved != here or isinstance(saved, bool) != isinstance(here, bool):
        raise StateError(
            f"{where}: saved {_short(saved)}, here {_short(here)}: the checkpoints are of another run; "
            "give the same settings and data, or another folder"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"

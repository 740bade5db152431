"""Which class does a saved type name stand for?

The table is fixed in this file: a name read from a saved state is only ever looked up here, never imported as
a dotted path. Classes are imported when asked for, so this floor depends on none above it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from jamais.errors import StateError

_TABLE: dict[str, tuple[str, str]] = {
    "logs": ("jamais.recipes.logs", "LogRecipe"),
}


def find(name: str) -> type[Any]:
    """Import and return the class of a type name; raise StateError for a name that is not in the table."""
    if name not in _TABLE:
        known = ", ".join(sorted(_TABLE))
        raise StateError(f"unknown type {name!r} in a saved state, this jamais knows {known}: update jamais")
    module, attribute = _TABLE[name]
    found: type[Any] = getattr(import_module(module), attribute)
    return found


def names() -> list[str]:
    """List the type names in the table."""
    return sorted(_TABLE)

"""How is a state damaged in one place, and left whole everywhere else?"""

from __future__ import annotations

from typing import Any


def broken(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Put `value` (or what it makes of the leaf, where it is called) at `path` ("engine.labels") of a copy."""
    *way, last = path.split(".")
    copy = {**tree}
    place = copy
    for name in way:
        place[name] = {**place[name]}
        place = place[name]
    place[last] = value(place[last]) if callable(value) else value
    return copy

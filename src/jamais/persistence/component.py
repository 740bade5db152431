"""How does one part of a state go back while the rest stays?"""

from __future__ import annotations

from typing import Any

from jamais.errors import InputError, StateError
from jamais.types import StateTree


def grafted(tree: StateTree, component: str, donor: StateTree) -> StateTree:
    """Give `tree` with the part `component` ("meaning/memory") as it is in `donor`; neither is changed.

    Raises InputError when one of them has no such part, StateError when the part was made with another encoder
    than the one that stays: its vectors would mean nothing.
    """
    names = component.strip("/").split("/")
    part = _part(donor, names, component)
    _part(tree, names, component)
    made = dict(tree)
    node = made
    for name in names[:-1]:
        node[name] = dict(node[name])
        node = node[name]
    old, node[names[-1]] = node[names[-1]], part
    mine, other = encoder_digests(part), encoder_digests(old)
    if mine and other and mine != other:
        raise StateError(
            f"{component} was made with encoder {min(mine)[:12]}, the state that stays has {min(other)[:12]}: "
            "roll back both, or the whole"
        )
    return made


def encoder_digests(node: Any) -> set[str]:
    """Collect the encoders that memories in a state say their vectors were made with."""
    found: set[str] = set()
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "encoder_digest" and isinstance(value, str) and value:
                found.add(value)
            else:
                found |= encoder_digests(value)
    return found


def _part(tree: StateTree, names: list[str], component: str) -> Any:
    node: Any = tree
    for depth, name in enumerate(names):
        if not isinstance(node, dict) or name not in node:
            known = ", ".join("/".join([*names[:depth], key]) for key in node) if isinstance(node, dict) else "none"
            raise InputError(f"this state has no part {component!r}; parts here: {known[:300]}")
        node = node[name]
    return node

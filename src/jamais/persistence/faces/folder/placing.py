"""Which file does each part of a state go to, and how is the state put together again?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence.dtypes import NAMES, AnyArray
from jamais.persistence.faces.arrangement import Arrangement
from jamais.persistence.faces.folder import manifest
from jamais.persistence.faces.folder.array_files import fits_npy
from jamais.persistence.tree import below
from jamais.types import StateTree

PART = "$part"

Place = tuple[str, str]
"""A file and the name of an array in it ("" where it is the only one)."""


def places(
    tree: StateTree, arrays: Mapping[str, AnyArray], arrangement: Arrangement, weights_file: str
) -> dict[str, Place]:
    """Say for every array of a state (by path) which file it goes to, under which name."""
    placed: dict[str, Place] = {}
    if arrangement.weights is not None:
        here = arrangement.weights.path
        owners = {_spot(array): path for path, array in _leaves(tree).items() if path in arrays}
        inside = at(tree, here)
        for key, array in inside.items() if isinstance(inside, dict) else ():
            # A tied array belongs to whoever came first in the state; a weights file without it would not load.
            if isinstance(array, np.ndarray) and array.dtype in NAMES:
                owner = below(here, key) if below(here, key) in arrays else owners[_spot(array)]
                placed.setdefault(owner, (weights_file, arrangement.weights.prefix + key))
    for file, path in arrangement.arrays.items():
        if path in arrays and path not in placed and fits_npy(at(tree, path)):
            placed[path] = (file, "")
    return {path: placed.get(path, (manifest.STATE_ARRAYS, path)) for path in arrays}


def twins(arrangement: Arrangement, placed: Mapping[str, Place]) -> dict[str, str]:
    """Say which files show an array that another file holds already, and which file that is."""
    holders = {file: path for path, (file, name) in placed.items() if not name}
    shown = {path: file for file, path in holders.items()}
    return {f: shown[path] for f, path in arrangement.arrays.items() if path in shown and f not in holders}


def take_parts(plain: dict[str, Any], parts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Cut the dicts that get files of their own out of a state's JSON; in their places stays which file it is."""
    taken: dict[str, dict[str, Any]] = {}
    for file, path in sorted(parts.items(), key=lambda pair: -pair[1].count("/")):
        holder, key = _holder(plain, path)
        if holder is None or type(holder.get(key)) is not dict:
            raise StateError(f"{file} is to hold {path}, which is no dict of this state")
        taken[file], holder[key] = holder[key], {PART: file}
    return taken


def join_parts(plain: dict[str, Any], taken: Mapping[str, Any], parts: Mapping[str, str], where: str) -> None:
    """Undo `take_parts`."""
    for file, path in sorted(parts.items(), key=lambda pair: pair[1].count("/")):
        holder, key = _holder(plain, path)
        if holder is None or holder.get(key) != {PART: file}:
            raise CorruptStateError(f"{where}: does not name {file} at {path[:80]}")
        holder[key] = taken[file]


def path_of_tokens(tree: StateTree, tokens: tuple[str, ...]) -> str:
    """Find the list in a state that holds a vocabulary; raise StateError if none does."""
    if len(set(tokens)) != len(tokens):
        raise StateError("a vocabulary names each token once: this one does not")
    wanted = list(tokens)
    for path, leaf in _leaves(tree).items():
        if type(leaf) is list and leaf == wanted:
            return path
    raise StateError("the arrangement's tokens are in no list of the state")


def at(tree: StateTree, path: str) -> Any:
    """Give what lies at a path of a state; None if nothing does."""
    node: Any = tree
    for key in _keys(path):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _keys(path: str) -> list[str]:
    return [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]


def _leaves(tree: StateTree, path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        here = below(path, key)
        found |= _leaves(value, here) if isinstance(value, dict) else {here: value}
    return found


def _spot(array: AnyArray) -> tuple[Any, ...]:
    return array.__array_interface__["data"][0], array.dtype, array.shape, array.strides


def _holder(plain: dict[str, Any], path: str) -> tuple[dict[str, Any] | None, str]:
    """Give the dict of a state's JSON that has the last key of a path, and that key as it is written there."""
    *above, last = [""] if not path else ["$" + key if key.startswith("$") else key for key in _keys(path)]
    node: Any = plain
    for key in above:
        node = node.get(key) if type(node) is dict else None
    return (node if type(node) is dict else None), last

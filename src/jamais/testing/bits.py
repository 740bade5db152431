"""Are two states the same, bit for bit?"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np

from jamais.types import StateTree


def digest(tree: StateTree) -> str:
    """Name a state tree by its content: every key, type, shape and bit of it counts, the order of keys does not."""
    whole = hashlib.sha256()
    _feed(tree, whole)
    return whole.hexdigest()


def hold(kept: bool, broken: str) -> None:
    """Raise AssertionError with what was `broken` unless it was `kept`."""
    if not kept:
        raise AssertionError(broken)


def _feed(leaf: Any, whole: Any) -> None:
    if isinstance(leaf, dict):
        whole.update(b"{%d" % len(leaf))
        for key in sorted(leaf):
            whole.update(repr(key).encode())
            _feed(leaf[key], whole)
    elif isinstance(leaf, list | tuple):
        whole.update(b"[%d" % len(leaf))
        for item in leaf:
            _feed(item, whole)
    elif isinstance(leaf, np.ndarray):
        whole.update(f"{leaf.dtype.str}{leaf.shape}".encode() + leaf.tobytes())
    elif isinstance(leaf, float):
        whole.update(b"f" + struct.pack("<d", leaf))
    elif leaf is None or isinstance(leaf, str | int):
        whole.update(repr(leaf).encode("utf-8", "surrogatepass"))
    else:
        raise AssertionError(f"a state tree holds {type(leaf).__name__}, which no save keeps")

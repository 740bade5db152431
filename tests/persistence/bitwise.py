"""Are two state trees the same, bit for bit?"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Compare types, key order, dtypes, shapes and bits; NaN equals NaN only with the same payload."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)

"""Can these be neighbour lists of so many rows?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError
from jamais.types import Floats, Ints, StateTree


def checked_lists(tree: StateTree, m: int, fewest: int, most: int) -> tuple[Ints, Floats, Ints]:
    """Copy lists of `m` rows: whom they name [m, columns], how far these are [m, columns], how many each knows [m].

    Raise `CorruptStateError` unless every list names `fewest` to `most` others (or all there are), each once and
    none itself, at finite distances that never fall. Whether these are the true distances is not looked at: a
    checksum says so.
    """
    near, far = _leaf(tree, "near", np.dtype(np.int32)), _leaf(tree, "far", np.dtype(np.float64))
    columns = near.shape[1]
    if len(near) != m or far.shape != near.shape or columns > min(most, max(m - 1, 0)):
        raise _corrupt(f"near {list(near.shape)} and far {list(far.shape)} are not lists of {m} rows")
    filled = near >= 0
    known = filled.sum(axis=1)
    if (filled[:, 1:] > filled[:, :-1]).any() or (known < min(fewest, m - 1)).any():
        raise _corrupt("a list is too short, or has a gap")
    if columns and (near.max() >= m or (near == np.arange(m)[:, None]).any()):
        raise _corrupt("a list names a row that there is not, or its own")
    named = np.sort(near, axis=1)
    if ((named[:, 1:] == named[:, :-1]) & (named[:, 1:] >= 0)).any():
        raise _corrupt("a list names a row twice")
    if not np.isfinite(far).all() or (far < 0.0).any() or ((np.diff(far, axis=1) < 0.0) & filled[:, 1:]).any():
        raise _corrupt("distances must be finite and rise")
    return near.astype(np.int64), far.copy(), known


def _leaf(tree: StateTree, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    array = tree.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 2:
        raise _corrupt(f"{name}: wanted a matrix of {dtype}")
    return array


def _corrupt(what: str) -> CorruptStateError:
    return CorruptStateError(f"LOF: {what}: load another version")

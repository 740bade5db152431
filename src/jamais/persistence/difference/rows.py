"""Which rows of a memory came, went, or changed? Rows are known by the array `ids` beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.persistence.difference.arrays import BLOCK, differing, measured, side_of
from jamais.persistence.difference.changes import ArrayChange, RowsChange
from jamais.persistence.dtypes import AnyArray

IDS = "ids"

Ints = NDArray[np.int64]


def columns(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the arrays of two dicts that are rows with ids, `ids` among them; none where these are no memories."""
    if not (_are_ids(old.get(IDS)) and _are_ids(new.get(IDS))):
        return []
    n_old, n_new = len(old[IDS]), len(new[IDS])
    found = [key for key in old if _are_rows(old[key], n_old) and _are_rows(new.get(key), n_new)]
    found = [key for key in found if old[key].dtype == new[key].dtype and old[key].shape[1:] == new[key].shape[1:]]
    return found if len(found) > 1 else []


def compare_rows(path: str, old: Mapping[str, Any], new: Mapping[str, Any], names: list[str]) -> RowsChange | None:
    """Say which rows differ; None where all columns are the same bit for bit."""
    before, after = old[IDS], new[IDS]
    common, at_old, at_new = np.intersect1d(before, after, assume_unique=True, return_indices=True)
    order = np.argsort(at_old)  # as they stand in the old one, so that pieces lie together
    common, at_old, at_new = common[order], at_old[order], at_new[order]
    touched = np.zeros(len(common), bool)
    changes = []
    for name in names:
        if name != IDS:
            change, rows = _compare_column(f"{path}/{name}", old[name], new[name], at_old, at_new)
            touched |= rows
            changes += [change] if change.n_changed else []
    added, removed = np.setdiff1d(after, before), np.setdiff1d(before, after)
    reordered = bool((np.diff(at_new) < 0).any())
    if not (len(added) or len(removed) or changes or reordered):
        return None
    return RowsChange(
        path,
        len(before),
        len(after),
        tuple(added.tolist()),
        tuple(removed.tolist()),
        tuple(sorted(common[touched].tolist())),
        reordered,
        tuple(changes),
    )


def _are_ids(array: Any) -> bool:
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
        return False
    return len(np.unique(array)) == len(array)


def _are_rows(array: Any, n: int) -> bool:
    return isinstance(array, np.ndarray) and array.ndim >= 1 and len(array) == n


def _compare_column(
    path: str, old: AnyArray, new: AnyArray, at_old: Ints, at_new: Ints
) -> tuple[ArrayChange, NDArray[np.bool_]]:
    """Compare the rows of two arrays that belong together; say of each pair, too, whether it differs."""
    touched = np.zeros(len(at_old), bool)
    width = int(np.prod(old.shape[1:], dtype=np.int64))
    step = max(1, BLOCK // max(1, width))

    def pairs() -> Iterator[tuple[AnyArray, AnyArray]]:
        for start in range(0, len(at_old), step):
            a = old[at_old[start : start + step]].reshape(-1)
            b = new[at_new[start : start + step]].reshape(-1)
            if width:
                touched[start : start + step] = differing(a, b).reshape(-1, width).any(axis=1)
            yield a, b

    change = ArrayChange(path, side_of(old), side_of(new), common_rows=len(at_old))
    change = measured(change, pairs(), (len(at_old), *old.shape[1:]))
    return change, touched

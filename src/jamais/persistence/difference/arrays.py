"""How far apart are two arrays? Measured piece by piece: a few megabytes, whatever the arrays have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.persistence.difference.changes import ArrayChange, Side
from jamais.persistence.dtypes import NAMES, AnyArray

BLOCK = 1 << 16
"""So many values are compared at a time: few enough to stay in the processor's cache."""
_SMALLEST_SQUARE = 1e-200

Pairs = Iterable[tuple[AnyArray, AnyArray]]
"""Flat pieces of equal length of two arrays, in order."""


def compare_arrays(path: str, old: AnyArray, new: AnyArray) -> ArrayChange | None:
    """Say in what two arrays differ; None where they are the same bit for bit."""
    alike = old.shape == new.shape and old.dtype == new.dtype
    if alike and not any(differing(a, b).any() for a, b in pieces(old, new)):
        return None
    change = ArrayChange(path, side_of(old), side_of(new))
    if old.shape == new.shape:
        return measured(change, pieces(old, new), old.shape)
    if old.ndim and new.ndim and old.shape[1:] == new.shape[1:]:
        common = min(len(old), len(new))
        pairs = pieces(old[:common], new[:common])
        return measured(replace(change, common_rows=common), pairs, (common, *old.shape[1:]))
    return change


def side_of(array: AnyArray) -> Side:
    """Describe an array."""
    nan = inf = 0
    if array.dtype.kind in "fc" or _is_of_ml_dtypes(array.dtype):
        for flat in _flat_blocks(array):
            odd = flat[~np.isfinite(flat)]
            nan, inf = nan + int(np.isnan(odd).sum()), inf + len(odd) - int(np.isnan(odd).sum())
    return Side(NAMES.get(array.dtype, array.dtype.str), array.shape, nan, inf)


def pieces(old: AnyArray, new: AnyArray) -> Iterator[tuple[AnyArray, AnyArray]]:
    """Cut two arrays of one shape into flat pairs."""
    return zip(_flat_blocks(old), _flat_blocks(new), strict=True)


def measured(change: ArrayChange, pairs: Pairs, shape: tuple[int, ...]) -> ArrayChange:
    """Add the distances to what is known of a change; `shape` is that of what the pairs are cut from."""
    total, n_changed, n_values, comparable = _Distances(), 0, 0, True
    with np.errstate(all="ignore"):
        for old, new in pairs:
            n_changed += int(differing(old, new).sum())
            comparable = comparable and _holds_numbers(old.dtype) and _holds_numbers(new.dtype)
            if comparable and len(old):
                total.add(old, new, n_values)
            n_values += len(old)
    change = replace(change, n_changed=n_changed, share_changed=n_changed / n_values if n_values else 0.0)
    if not comparable or not n_values:
        return change
    return replace(
        change,
        l2=total.l2,
        relative=total.l2 / total.norm_old if total.norm_old else (math.inf if total.l2 else 0.0),
        largest=total.largest,
        largest_at=tuple(int(i) for i in np.unravel_index(total.at, shape)) if total.largest else None,
        cosine=total.cosine,
    )


def differing(old: AnyArray, new: AnyArray) -> NDArray[np.bool_]:
    """Say of each value of two flat arrays whether it changed: by its bits, between dtypes by its value, [n] -> [n]."""
    if old.dtype == new.dtype:
        changed = _bits(old) != _bits(new)
        return np.asarray(changed[:, 0] if changed.shape[1] == 1 else changed.any(axis=1))
    if _holds_numbers(old.dtype) and _holds_numbers(new.dtype):
        a, b = old.astype(np.complex128), new.astype(np.complex128)
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))
    return np.ones(len(old), bool)


@dataclass
class _Distances:
    """Sums over the pieces."""

    l2: float = 0.0
    norm_old: float = 0.0
    norm_new: float = 0.0
    dot: float = 0.0
    largest: float = 0.0
    at: int = 0

    def add(self, old: AnyArray, new: AnyArray, start: int) -> None:
        a, b = _numbers(old), _numbers(new)
        if len(a) != len(b):  # complex numbers on one side only
            a, b = _numbers(old.astype(np.complex128)), _numbers(new.astype(np.complex128))
        norm_old, norm_new = _norm(a), _norm(b)
        gaps = _exact_gaps(old, new) if old.dtype.kind in "iu" and old.dtype == new.dtype else np.abs(a - b)
        if not math.isfinite(norm_old) or not math.isfinite(norm_new):
            finite = np.isfinite(a) & np.isfinite(b)
            a, b, gaps = (np.where(finite, values, 0.0) for values in (a, b, gaps))
            norm_old, norm_new = _norm(a), _norm(b)
        top = int(gaps.argmax())
        if gaps[top] > self.largest:
            self.largest, self.at = float(gaps[top]), start + top * len(old) // len(gaps)
        self.l2 = math.hypot(self.l2, _norm(gaps))
        self.norm_old = math.hypot(self.norm_old, norm_old)
        self.norm_new = math.hypot(self.norm_new, norm_new)
        self.dot += float(a @ b)

    @property
    def cosine(self) -> float | None:
        if not self.norm_old or not self.norm_new:
            return None
        cosine = self.dot / self.norm_old / self.norm_new
        return min(1.0, max(-1.0, cosine)) if math.isfinite(cosine) else None


def _flat_blocks(array: AnyArray) -> Iterator[AnyArray]:
    """Give an array in flat pieces, in row order."""
    flat = np.ascontiguousarray(array).reshape(-1)
    for start in range(0, len(flat), BLOCK):
        yield flat[start : start + BLOCK]


def _bits(flat: AnyArray) -> NDArray[Any]:
    """View values as rows of whole words, [n] -> [n, words]."""
    width = flat.dtype.itemsize
    word = next(size for size in (8, 4, 2, 1) if width % size == 0)
    if not flat.nbytes:
        return np.zeros((len(flat), 0), np.uint8)
    return np.ascontiguousarray(flat).view(f"u{word}").reshape(len(flat), -1)


def _holds_numbers(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fiubc" or _is_of_ml_dtypes(dtype)


def _is_of_ml_dtypes(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "V" and dtype in NAMES


def _numbers(flat: AnyArray) -> NDArray[np.float64]:
    """Give values as floats; a complex number is two of them, [n] -> [n] or [2 n]."""
    if flat.dtype.kind == "c":
        return np.ascontiguousarray(flat).astype(np.complex128).view(np.float64)
    return flat.astype(np.float64)


def _exact_gaps(old: AnyArray, new: AnyArray) -> NDArray[np.float64]:
    """Give the distances between integers beyond 2^53, which floats would round to nothing."""
    unsigned = np.dtype(f"u{old.dtype.itemsize}")
    upper, lower = np.maximum(old, new), np.minimum(old, new)
    return np.asarray((upper.view(unsigned) - lower.view(unsigned)).astype(np.float64))


def _norm(values: NDArray[np.float64]) -> float:
    """Give the L2 norm, also of values whose squares are beyond what a float holds; not finite where one is not."""
    square = float(values @ values)
    if math.isfinite(square) and square > _SMALLEST_SQUARE:
        return math.sqrt(square)
    top = float(np.abs(values).max())
    if not top or not math.isfinite(top):
        return top
    return top * float(np.linalg.norm(values / top))

"""What are the distances of the candidates, to the last bit, and which k are the smallest?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Floats, Ints

_AT_ONCE = 256  # pairs of width 256 whose differences stay in the cache
_SPREAD = 4  # a table of candidates may be so much larger than the candidates


def decide(queries: NDArray[Any], rows: NDArray[Any], query: Ints, slot: Ints, k: int) -> tuple[Floats, Ints]:
    """Return distances [n, k] and slots [n, k] of the k nearest of each query's candidates.

    The pairs (`query`, `slot`) come sorted by query, then by slot, at least k for each of the n queries.
    """
    squares = pair_squares(queries, rows, query, slot)
    n_each = np.bincount(query, minlength=len(queries))
    first = np.cumsum(n_each) - n_each
    most = int(n_each.max(initial=0))
    if most * len(queries) <= _SPREAD * len(query) + 1000:
        table = np.full((len(queries), most), np.inf)
        table[query, np.arange(len(query)) - first[query]] = squares
        best = first[:, None] + np.argsort(table, axis=1, kind="stable")[:, :k]
    else:
        best = np.lexsort((slot, squares, query))[first[:, None] + np.arange(k)]
    return np.sqrt(squares[best]), slot[best]


def pair_squares(left: NDArray[Any], right: NDArray[Any], one: Ints, other: Ints) -> Floats:
    """Return |left[one] - right[other]|² pair by pair, [n], in float64; no pair's bits depend on another."""
    squares = np.empty(len(one), dtype=np.float64)
    width = left.shape[1]
    at_once = min(len(one), max(1, _AT_ONCE * 256 // max(width, 256)))
    # Fresh memory for every block would cost more than the work in it.
    lefts, rights = (np.empty((at_once, width), dtype=rows.dtype) for rows in (left, right))
    gaps = np.empty((at_once, width), dtype=np.float64)
    for start in range(0, len(one), max(1, at_once)):
        part = slice(start, start + at_once)
        n = len(one[part])
        np.take(left, one[part], axis=0, out=lefts[:n], mode="clip")
        np.take(right, other[part], axis=0, out=rights[:n], mode="clip")
        np.subtract(lefts[:n], rights[:n], dtype=np.float64, out=gaps[:n])
        np.multiply(gaps[:n], gaps[:n], out=gaps[:n])
        np.add.reduce(gaps[:n], axis=1, out=squares[part])
    return squares


def squared_differences(left: NDArray[Any], right: NDArray[Any]) -> Floats:
    """Return |x - y|² row by row, [n], in float64; each row is summed in the same order whatever n is."""
    differences = np.subtract(left, right, dtype=np.float64)
    np.multiply(differences, differences, out=differences)
    return np.asarray(np.add.reduce(differences, axis=1), dtype=np.float64)

"""When is it worth to sum path lengths with numba, and how is that done with the same bits?

Importing numba and loading the kernels takes half a second, and compiling them some seconds more, once per machine:
numba keeps the result in its own cache. So numpy serves a process until it has worked for about as long; from then on
the kernels do. `load()` fetches them at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Codes, Floats, Vectors

_WORTH = 16_000_000  # paths that numpy follows in the half second that loading costs
_CALL = 1_000  # paths in whose time numpy answers an empty call
_ROWS = 32  # of a block: with one tree they fit into the nearest cache

Kernel = Callable[[Vectors, Codes, Floats, NDArray[Any], Floats, Floats], None]


class _Loader:
    """What has been worked without the kernels, and the kernels once there."""

    def __init__(self) -> None:
        self.paths = 0
        self.kernels: tuple[Kernel, Kernel] | None = None
        self.tried = False
        self.lock = threading.Lock()


_loader = _Loader()


def kernel(n_paths: int, k: int) -> Kernel | None:
    """Return what sums path lengths into its last argument, if it is loaded or by now worth to be.

    `n_paths`: how many paths are asked for, times the columns `k` that a node looks at.
    """
    if not _loader.tried:
        _loader.paths += n_paths + _CALL
        if _loader.paths >= _WORTH:
            load()
    return None if _loader.kernels is None else _loader.kernels[k > 1]


def load() -> bool:
    """Load the kernels now, if numba is installed; say whether they are there."""
    with _loader.lock:
        if not _loader.tried:
            _loader.kernels = _compiled()
            _loader.tried = True
    return _loader.kernels is not None


def _compiled() -> tuple[Kernel, Kernel] | None:
    try:
        numba = import_module("numba")
    except ImportError:  # not installed, or not for this numpy
        return None
    of = {
        name: numba.types.Array(getattr(numba.types, name), n, "C", readonly=True)
        for name, n in (("float32", 2), ("int32", 3), ("float64", 2))
    }
    wide = numba.types.Array(numba.types.float64, 3, "C", readonly=True)
    sums = numba.types.Array(numba.types.float64, 1, "C")
    along = numba.void(of["float32"], of["int32"], wide, of["float32"], of["float64"], sums)
    oblique = numba.void(of["float32"], of["int32"], wide, of["float64"], of["float64"], sums)
    if numba.config.DISABLE_JIT:
        return None
    try:
        return numba.njit(along, cache=True)(sum_along), numba.njit(oblique, cache=True)(sum_oblique)
    except (RuntimeError, OSError):  # nowhere to keep what is compiled
        return numba.njit(along)(sum_along), numba.njit(oblique)(sum_oblique)


def sum_along(
    rows: Vectors, columns: Codes, weights: Floats, thresholds: NDArray[Any], lengths: Floats, sums: Floats
) -> None:
    """Sum the path lengths of `rows` [n, width] through trees that split along one column, into `sums` [n].

    `columns` [trees, nodes, 1], `thresholds` [trees, nodes], `lengths` [trees, leaves]; `weights` are not read.
    All rows of a block go down level by level: the compiler then takes many of them in one instruction.
    """
    n_nodes, width, flat = columns.shape[1], rows.shape[1], rows.reshape(-1)
    at = np.zeros(_ROWS, dtype=np.int32)
    for start in range(0, len(rows), _ROWS):
        n = min(_ROWS, len(rows) - start)
        block = flat[start * width : (start + n) * width]
        sums[start : start + n] = 0.0
        for tree in range(len(columns)):
            column, threshold, length = columns[tree].reshape(-1), thresholds[tree], lengths[tree]
            at[:n] = 0
            levels = n_nodes
            while levels:
                for i in range(n):
                    node = np.uint32(at[i])  # unsigned: no test for a negative index
                    second = block[np.uint32(i * width + column[node])] > threshold[node]
                    at[i] = 2 * at[i] + 1 + np.int32(second)
                levels >>= 1
            for i in range(n):
                sums[start + i] += length[np.uint32(at[i] - n_nodes)]


def sum_oblique(
    rows: Vectors, columns: Codes, weights: Floats, thresholds: NDArray[Any], lengths: Floats, sums: Floats
) -> None:
    """Do the same for trees that split along sums of columns: `columns` and `weights` [trees, nodes, k]."""
    n_nodes, k, width, flat = columns.shape[1], columns.shape[2], rows.shape[1], rows.reshape(-1)
    at = np.zeros(_ROWS, dtype=np.int32)
    for start in range(0, len(rows), _ROWS):
        n = min(_ROWS, len(rows) - start)
        block = flat[start * width : (start + n) * width]
        sums[start : start + n] = 0.0
        for tree in range(len(columns)):
            column, weight = columns[tree].reshape(-1), weights[tree].reshape(-1)
            threshold, length = thresholds[tree], lengths[tree]
            at[:n] = 0
            levels = n_nodes
            while levels:
                for i in range(n):
                    first, value = np.uint32(at[i] * k), 0.0
                    for j in range(np.uint32(k)):
                        value += weight[first + j] * np.float64(block[np.uint32(i * width + column[first + j])])
                    at[i] = 2 * at[i] + 1 + np.int32(value > threshold[np.uint32(at[i])])
                levels >>= 1
            for i in range(n):
                sums[start + i] += length[np.uint32(at[i] - n_nodes)]

"""When is it worth to sum path lengths with numba, and how is that done with the same bits?

Importing numba and loading a kernel takes about a second, and compiling it some seconds more, once per machine: numba
keeps the result in its own cache. So numpy serves until it has worked for about as long; from then on the process
has the kernel. `load()` fetches it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.types import Codes, Floats, Vectors

_WORTH = 40_000_000  # steps down a tree that numpy takes in the second or so that loading costs
_CALL = 12_000  # steps that a call of numpy costs beside those that it takes
_ROWS = 16  # of a block: with one tree they fit into the nearest cache

Kernel = Callable[[Vectors, Codes, Floats, NDArray[Any], Floats, Floats], None]


class _Loader:
    """What has been worked without the kernels, and the kernels once there."""

    def __init__(self) -> None:
        self.steps = 0
        self.kernels: tuple[Kernel, Kernel] | None = None
        self.tried = False
        self.lock = threading.Lock()


_loader = _Loader()


def kernel(n_steps: int, k: int) -> Kernel | None:
    """Return what sums path lengths into its last argument, if it is loaded or by now worth to be.

    `n_steps`: how many paths are asked for, times the columns `k` that a node looks at.
    """
    if not _loader.tried:
        _loader.steps += n_steps + _CALL
        if _loader.steps >= _WORTH:
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
    try:
        return numba.njit(along, cache=True)(sum_along), numba.njit(oblique, cache=True)(sum_oblique)
    except RuntimeError:  # nowhere to keep what is compiled
        return numba.njit(along)(sum_along), numba.njit(oblique)(sum_oblique)


def sum_along(
    rows: Vectors, columns: Codes, weights: Floats, thresholds: NDArray[Any], lengths: Floats, sums: Floats
) -> None:
    """Sum the path lengths of `rows` [n, width] through trees that split along one column, into `sums` [n].

    `columns` [trees, nodes, 1], `thresholds` [trees, nodes], `lengths` [trees, leaves]; `weights` are not read.
    """
    n_nodes = columns.shape[1]
    for start in range(0, len(rows), _ROWS):
        stop = min(start + _ROWS, len(rows))
        for row in range(start, stop):
            sums[row] = 0.0
        for tree in range(len(columns)):
            for row in range(start, stop):
                node = np.uint64(0)
                while node < n_nodes:
                    second = rows[row, np.uint32(columns[tree, node, 0])] > thresholds[tree, node]
                    node = np.uint64(2) * node + np.uint64(1) + np.uint64(second)
                sums[row] += lengths[tree, node - np.uint64(n_nodes)]


def sum_oblique(
    rows: Vectors, columns: Codes, weights: Floats, thresholds: NDArray[Any], lengths: Floats, sums: Floats
) -> None:
    """Do the same for trees that split along sums of columns: `columns` and `weights` [trees, nodes, k]."""
    n_nodes, k = columns.shape[1:]
    for start in range(0, len(rows), _ROWS):
        stop = min(start + _ROWS, len(rows))
        for row in range(start, stop):
            sums[row] = 0.0
        for tree in range(len(columns)):
            for row in range(start, stop):
                node = np.uint64(0)
                while node < n_nodes:
                    value = 0.0
                    for j in range(k):
                        value += weights[tree, node, j] * np.float64(rows[row, np.uint32(columns[tree, node, j])])
                    node = np.uint64(2) * node + np.uint64(1) + np.uint64(value > thresholds[tree, node])
                sums[row] += lengths[tree, node - np.uint64(n_nodes)]

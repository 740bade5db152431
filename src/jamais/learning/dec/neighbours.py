"""Which rows lie next to each other, and what does that alone say of clusters?

Student's t on latents sees blobs; a graph of nearest rows also follows clusters that are long and bent. Its normalised
cut (Ng, Jordan & Weiss, NIPS 2001) is a start for deep clustering, and means over it are steadier targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from jamais.errors import InputError, MissingExtraError
from jamais.types import Floats, Ints, Vectors

_WIDTH = 50  # directions of most variance in which neighbours are looked for, where rows are wider
_TABLE = 16_000_000  # distances held at once: 64 MB


def nearest_rows(rows: Vectors, k: int) -> Ints:
    """Return the `k` nearest other rows [n, k] of each of the rows [n, width], up to rounding.

    Raise `InputError` when there are not that many others.
    """
    if not 1 <= k < len(rows):
        raise InputError(f"neighbours={k} wants more than {k} rows, got {len(rows):,}: set fewer, or 0")
    narrow = torch.from_numpy(_narrow(rows))
    squares = narrow.square().sum(dim=1)
    found = []
    for part in torch.split(torch.arange(len(rows)), max(1, _TABLE // len(rows))):
        gaps = squares - 2.0 * (narrow[part] @ narrow.T)
        gaps[torch.arange(len(part)), part] = torch.inf
        found.append(gaps.topk(k, dim=1, largest=False).indices)
    return np.asarray(torch.cat(found).numpy(), dtype=np.int64)


def spectral_rows(neighbours: Ints, width: int) -> Vectors:
    """Return the rows [n, width] of the first eigenvectors of the graph's normalised adjacency, each of length 1."""
    try:
        from scipy import sparse
        from scipy.sparse.linalg import eigsh
    except ImportError as missing:
        raise MissingExtraError("a start from a graph of neighbours", "sklearn") from missing

    n, k = neighbours.shape
    if n <= width + 1:
        raise InputError(f"a start from a graph wants more than {width + 1} rows, got {n:,}: set neighbours to 0")
    owners = np.repeat(np.arange(n), k)
    directed: Any = sparse.csr_matrix((np.ones(n * k), (owners, neighbours.ravel())), shape=(n, n))
    graph = directed.maximum(directed.T)
    root = sparse.diags(np.asarray(graph.sum(axis=1)).ravel() ** -0.5)
    # The start is fixed, or the eigenvectors would be others each time; a coarse tolerance misses parts of the graph
    # that hang together by nothing, whose eigenvalues are all 1.
    start = np.random.default_rng(0).random(n)
    values, vectors = eigsh(root @ graph @ root, k=width, which="LA", v0=start, tol=1e-6)
    chosen = vectors[:, np.argsort(-values)]
    lengths = np.sqrt(np.add.reduce(chosen**2, axis=1, keepdims=True))
    return np.asarray(chosen / np.maximum(lengths, 1e-12), dtype=np.float32)


def smoothed(q: Tensor, neighbours: Tensor, rounds: int) -> Tensor:
    """Return assignments [n, k] averaged with those of the neighbours [n, m] of each row, `rounds` times."""
    for _ in range(rounds):
        total = q.clone()
        for column in neighbours.T:  # one at a time: [n, m, k] would be m times the table
            total += q[column]
        q = total / (neighbours.shape[1] + 1)
    return q


def _narrow(rows: Vectors) -> Vectors:
    centred: Vectors = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    if rows.shape[1] <= _WIDTH:
        return centred
    spread: Floats = np.zeros((rows.shape[1], rows.shape[1]))
    for part in np.array_split(centred, max(1, len(rows) // 4096)):
        spread += part.astype(np.float64).T @ part
    directions: Floats = np.linalg.eigh(spread)[1][:, -_WIDTH:]
    return np.asarray(centred @ directions, dtype=np.float32)

"""How is one line read without torch? The encoder's forward pass in numpy, a window of pieces at a time.

Importing torch costs two seconds and 200 MB, more than scoring a million lines. Training needs it; reading one
line does not. `tests/models/test_inference.py` holds both passes against each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jamais.types import Vectors

_lock = threading.Lock()
_limits: list[threadpool_limits] = []
_holders: list[int] = [0]

Weights = Mapping[str, NDArray[np.float32]]

EPSILON = 1e-12  # as in BERT


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's matrix products to one thread until the last of several holders is done.

    Products this small are slower on several threads, ten times so when another process holds a core.
    """
    with _lock:
        _holders[0] += 1
        if _holders[0] == 1:
            _limits.append(threadpool_limits(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _holders[0] -= 1
            if not _holders[0]:
                _limits.pop().restore_original_limits()


def hidden_vectors(weights: Weights, pieces: list[int], *, layers: int, heads: int) -> Vectors:
    """Map `pieces` [length] to hidden vectors [length, width], dropout off (Devlin et al., 2019)."""
    hidden = weights["words.weight"][pieces] + weights["positions.weight"][: len(pieces)]
    hidden = _norm(hidden, weights, "norm")
    for layer in range(layers):
        hidden = _block(hidden, weights, f"blocks.{layer}", heads)
    return hidden


def _block(hidden: Vectors, weights: Weights, name: str, heads: int) -> Vectors:
    attended = _linear(_attend(hidden, weights, name, heads), weights, f"{name}.output")
    hidden = _norm(hidden + attended, weights, f"{name}.attention_norm")
    inner = _gelu(_linear(hidden, weights, f"{name}.widen"))
    return _norm(hidden + _linear(inner, weights, f"{name}.narrow"), weights, f"{name}.final_norm")


def _attend(hidden: Vectors, weights: Weights, name: str, heads: int) -> Vectors:
    length, width = hidden.shape
    parts = _linear(hidden, weights, f"{name}.mixed").reshape(length, 3, heads, width // heads)
    queries, keys, values = parts.transpose(1, 2, 0, 3)
    likeness = queries @ keys.transpose(0, 2, 1) / np.float32(np.sqrt(width // heads))
    share = np.exp(likeness - likeness.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    mixed: Vectors = (share @ values).transpose(1, 0, 2).reshape(length, width)
    return mixed


def _linear(rows: Vectors, weights: Weights, name: str) -> Vectors:
    mapped: Vectors = rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return mapped


def _norm(rows: Vectors, weights: Weights, name: str) -> Vectors:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    normed: Vectors = centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return normed


def _gelu(x: Vectors) -> Vectors:
    """x * Phi(x), with erf after Abramowitz and Stegun 7.1.26 (error below 2e-7): numpy has none of its own."""
    z = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1.0 / (1.0 + np.float32(0.3275911) * z)
    polynomial = t * (
        np.float32(0.254829592)
        + t
        * (
            np.float32(-0.284496736)
            + t * (np.float32(1.421413741) + t * (np.float32(-1.453152027) + t * np.float32(1.061405429)))
        )
    )
    erf = np.copysign(1.0 - polynomial * np.exp(-z * z), x)
    result: Vectors = (np.float32(0.5) * x * (1.0 + erf)).astype(np.float32)
    return result

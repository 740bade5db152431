"""What is saved: a GPT-like network with Adam's moments and a memory, float32, random normal.

All arrays are views of one buffer, some floats further on for each `edition`: another edition is another state, no
byte of it in its old place, and takes no memory of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

WIDTH = 512
POSITIONS = 128
MEMORY_ROWS, MEMORY_WIDTH, MEMORY_GROWTH = 8192, 256, 512
FOUR_MIB = "blocks.0.mlp.up.weight"
"""Exactly 4 MiB, for the time to the first tensor."""
_PARTS = ("model", "exp_avg", "exp_avg_sq")
_EDITIONS = 3
_STEP = 16  # floats: every edition is aligned as memory that numpy allocates


@dataclass(frozen=True)
class State:
    """Arrays by name, and the same as a tree and as tensors; nothing is copied."""

    arrays: dict[str, Array]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def tree(self) -> dict[str, Any]:
        """Give it as a state of jamais."""
        parts: dict[str, dict[str, Array]] = {}
        for name, array in self.arrays.items():
            part, _, inside = name.partition("/")
            parts.setdefault(part, {})[inside] = array
        moments = {part: parts[part] for part in _PARTS[1:]}
        memory = {**parts["memory"], "n_seen": len(parts["memory"]["rows"])}
        return {"model": parts["model"], "optimizer": {**moments, "step": 1000}, "memory": memory}

    def tensors(self) -> dict[str, Any]:
        """Give it as torch tensors over the same memory."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}


def paths() -> dict[str, str]:
    """Give the path in the tree of the array that is read first."""
    return {"tree": f"/model/{FOUR_MIB}", "flat": f"model/{FOUR_MIB}"}


class Maker:
    """Makes editions of a state of about so many megabytes."""

    def __init__(self, megabytes: float, seed: int = 0) -> None:
        self._shapes = list(_shapes(megabytes))
        memory = (MEMORY_ROWS + MEMORY_GROWTH) * MEMORY_WIDTH
        n = len(_PARTS) * sum(math.prod(shape) for _, shape in self._shapes) + memory + _STEP * _EDITIONS
        self._buffer = np.random.default_rng(seed).standard_normal(n, dtype=np.float32)

    def state(self, edition: int = 0, *, grown: bool = False) -> State:
        """Give a state; `grown` has some more rows of memory at the end and is otherwise the same."""
        assert edition < _EDITIONS
        arrays: dict[str, Array] = {}
        at = edition * _STEP
        for part in _PARTS:
            for name, shape in self._shapes:
                arrays[f"{part}/{name}"] = self._view(at, shape)
                at += math.prod(shape)
        rows = MEMORY_ROWS + (MEMORY_GROWTH if grown else 0)
        arrays["memory/rows"] = self._view(at, (rows, MEMORY_WIDTH))
        return State(arrays)

    def _view(self, at: int, shape: tuple[int, ...]) -> Array:
        view: Array = self._buffer[at : at + math.prod(shape)].reshape(shape)
        return view


def _shapes(megabytes: float) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the weights: as many blocks as fit, the rest is vocabulary. Moments make it three times as much."""
    floats = (megabytes * 1e6 / 4 - MEMORY_ROWS * MEMORY_WIDTH) / len(_PARTS)
    block = sum(math.prod(shape) for shape in _block().values())
    n_blocks = max(1, min(8, int(floats // block)))
    vocabulary = max(1000, int((floats - n_blocks * block) / WIDTH) - POSITIONS - 2)
    yield "embed.weight", (vocabulary, WIDTH)
    yield "positions.weight", (POSITIONS, WIDTH)
    for i in range(n_blocks):
        for name, shape in _block().items():
            yield f"blocks.{i}.{name}", shape
    yield "norm.weight", (WIDTH,)
    yield "norm.bias", (WIDTH,)


def _block() -> dict[str, tuple[int, ...]]:
    linear = {"attention.qkv": (3 * WIDTH, WIDTH), "attention.out": (WIDTH, WIDTH)}
    linear |= {"mlp.up": (4 * WIDTH, WIDTH), "mlp.down": (WIDTH, 4 * WIDTH)}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in ("norm1", "norm2"):
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return shapes

"""What is saved: generations of a small training state, as plain arrays for the peers and as a tree for jamais."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


WORDS = ("[PAD]", "[UNK]", "日志", "磁盘", "disk", "##s")


@dataclass(frozen=True)
class Size:
    """So many layers of three arrays each: weights and the two moments of Adam."""

    layers: int
    rows: int
    width: int


@dataclass(frozen=True)
class State:
    """One generation: every number and every text differs from those of the others."""

    generation: int
    arrays: dict[str, Array]

    def tree(self) -> dict[str, Any]:
        """Give it as a state of jamais, with texts and plain numbers in it."""
        parts: dict[str, dict[str, Array]] = {"w": {}, "m": {}, "v": {}}
        for name, array in self.arrays.items():
            layer, _, part = name.rpartition(".")
            parts[part][layer] = array
        n = self.generation
        return {
            "model": parts["w"],
            "optimizer": {"exp_avg": parts["m"], "exp_avg_sq": parts["v"], "step": n, "odd": float("nan")},
            "vocab": {"words": list(WORDS)},
            "config": {"generation": n, "rate": 0.1 * n, "lines": [f"line {n} {i}" for i in range(20)]},
            "rng": np.random.default_rng(n).bit_generator.state,
        }


def state(generation: int, size: Size) -> State:
    """Make a generation; the same one is always the same."""
    rng = np.random.default_rng(generation)
    names = (f"layer{i}.{part}" for i in range(size.layers) for part in "wmv")
    return State(generation, {name: rng.standard_normal((size.rows, size.width), dtype=np.float32) for name in names})


def same(a: Any, b: Any) -> bool:
    """Compare types, order, dtypes, shapes and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)

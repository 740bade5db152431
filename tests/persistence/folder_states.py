"""States for the tests of folders: every kind of leaf, small, and how they want to be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.persistence.tree import state_sha256

TOKENS = ("[PAD]", "[UNK]", "die", "Платте", "磁盘", "##x")


def state(seed: int) -> dict[str, Any]:
    """Make a state in which every file of a folder has something of its own."""
    rng = np.random.default_rng(seed)
    weights = {f"layer.{name}": _any_bits(rng, name) for name in BY_NAME}
    return {
        "optimizer": {"moment": rng.random((3, 4), dtype=np.float32), "tied": weights["layer.F64"]},
        "model": {**weights, "again": weights["layer.F32"], "odd": np.array([1 + 2j, seed])},
        "memory": {
            "rows": rng.random((9, 5), dtype=np.float32),
            "counts": np.arange(9),
            "bf": _any_bits(rng, "BF16"),
            "$part": "not a marker",
            "notes": {"limit": float("inf"), "big": 2**90 + seed, "none": None, "text": "a\udc80b"},
        },
        "vocabulary": {"tokens": list(TOKENS)},
        "config": {"size": 7, "seed": seed, "rate": 0.1},
        "lines": [f"line {seed} 日本", [True, -0.0]],
    }


def _any_bits(rng: np.random.Generator, name: str) -> Any:
    raw = rng.integers(0, 2 if name == "BOOL" else 256, 6 * BY_NAME[name].itemsize, dtype=np.uint8)
    return raw.view(BY_NAME[name]).reshape(2, 3)


ARRANGEMENT = Arrangement(
    weights=Weights("/model", "encoder."),
    arrays={"detectors/knn_features.npy": "/memory/rows", "detectors/bf_features.npy": "/memory/bf"},
    parts={"config.json": "/config", "detectors/knn_params.json": "/memory", "detectors/notes.json": "/memory/notes"},
    derived={"detectors/detector_config.json": b'{"method": "knn"}\n'},
    tokens=TOKENS,
)


def name_of(tree: dict[str, Any]) -> str:
    return state_sha256(tree)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listing(folder) if (folder / name).is_file()}

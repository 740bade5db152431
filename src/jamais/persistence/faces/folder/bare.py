"""Which state does a folder hold that carries no manifest, as other programs write it?

Nothing tells whether it is whole, so this is said in a warning; that it is harmless is made sure of all the same.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, InputError
from jamais.persistence import files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.folder import tokenizer_files
from jamais.persistence.faces.folder.array_files import unsealed_arrays
from jamais.types import StateTree

TYPE = "folder"
CONFIG = "config.json"
DETECTORS = "detectors"
MAX_JSON_BYTES = 256 * 1024 * 1024

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in the order in which the Hugging Face library looks
_SHARD = re.compile(r"(?:pytorch_)?model-\d{5}-of-\d{5}\.(?:safetensors|bin)")
_DETECTOR = re.compile(r"([\w-]+)_(features\.npy|params\.json)")


def read(folder: Path) -> StateTree:
    """Read what can be recognised: config, model, tokens, detectors; raise InputError if that is nothing."""
    tree: StateTree = {}
    if _there(folder / CONFIG):
        tree["config"] = _json(folder / CONFIG)
    weights = read_weights(folder)
    if weights:
        tree["model"] = weights
    if not tree:
        raise InputError(f"{folder} holds no model: no MANIFEST.json, no config.json and no weights")
    tokens = read_tokens(folder)
    if tokens:
        tree["tokens"] = tokens
    if _there(folder / DETECTORS):
        tree |= _detectors(folder / DETECTORS)
    warn_unsealed(folder)
    return tree


def warn_unsealed(folder: Path) -> None:
    """Say that a folder cannot be verified."""
    warnings.warn(
        f"{folder} has no MANIFEST.json: it was not written by jamais, and nothing tells whether it is whole",
        stacklevel=3,
    )


def read_weights(folder: Path) -> dict[str, AnyArray]:
    """Read the weights of a folder, in one file or in the shards that an index lists."""
    for name in _WEIGHTS:
        if _there(folder / name):
            return unsealed_arrays(folder / name)
        if _there(folder / f"{name}.index.json"):
            return _shards(folder, f"{name}.index.json")
    return {}


def read_tokens(folder: Path) -> list[str]:
    """Read the vocabulary of vocab.txt, or else of tokenizer.json; empty if there is neither."""
    for name in (tokenizer_files.VOCABULARY, tokenizer_files.TOKENIZER):
        if _there(folder / name):
            data = files.read(folder / name, limit=tokenizer_files.MAX_BYTES)
            return tokenizer_files.tokens_of(name, data, str(folder / name))
    return []


def _there(path: Path) -> bool:
    return os.path.lexists(path)


def _json(path: Path) -> Any:
    """Read JSON as Python writes it, which is with NaN and Infinity for what has no number."""
    data = files.read(path, limit=MAX_JSON_BYTES)
    try:
        return json_text.parse(data, str(path))
    except CorruptStateError as refused:
        try:
            return json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            raise refused from None


def _shards(folder: Path, index: str) -> dict[str, AnyArray]:
    listed = _json(folder / index)
    try:
        wanted = dict(listed["weight_map"])
        if not all(type(shard) is str and _SHARD.fullmatch(shard) for shard in wanted.values()):
            raise ValueError("names files that are no shards")
    except (TypeError, KeyError, ValueError) as error:
        raise CorruptStateError(f"{folder / index}: not an index of shards ({error})"[:300]) from None
    found: dict[str, AnyArray] = {}
    for shard in sorted(set(wanted.values())):
        arrays = unsealed_arrays(folder / shard)
        missing = [name for name, place in wanted.items() if place == shard and name not in arrays]
        if missing:
            raise CorruptStateError(f"{folder / shard}: lacks {missing[0][:80]}, which {index} places there")
        found |= arrays
    return found


def _detectors(folder: Path) -> StateTree:
    if not folder.is_dir() or folder.is_symlink():
        raise CorruptStateError(f"{folder}: not a plain folder")
    tree: StateTree = {}
    detectors: dict[str, Any] = {}
    for name in sorted(os.listdir(folder)):
        match = _DETECTOR.fullmatch(name)
        if name in ("detector_config.json", "ensemble_performance.json"):
            tree[name.removesuffix(".json")] = _json(folder / name)
        elif match and match[2] == "params.json":
            detectors.setdefault(match[1], {})["params"] = _json(folder / name)
        elif match:
            detectors.setdefault(match[1], {})["features"] = unsealed_arrays(folder / name)[""]
    return {"detectors": detectors, **tree}

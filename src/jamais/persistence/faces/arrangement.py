"""How does a type want its state shown where people look: which part is which file, which key, which layer?

A face never needs an arrangement to come back bit for bit; it only gives parts of the state familiar places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Layer:
    """One layer of a network in the JSON face: arrays of the state under their names in the layer."""

    type: str
    tensors: Mapping[str, str]
    """Name in the layer -> path of the array in the state (`weight` -> `/model/blocks.0.weight`)."""


@dataclass(frozen=True)
class Weights:
    """The arrays of one dict of the state as one weights file for other libraries."""

    path: str
    """Path of the dict (`/meaning/encoder/weights`)."""
    prefix: str = ""
    """Put before each name in the file (`encoder.`)."""


@dataclass(frozen=True)
class Arrangement:
    """Familiar places for parts of a state; every field may stay empty."""

    sections: Mapping[str, str] = field(default_factory=dict)
    """JSON face: top-level key -> path of a dict of the state (`vocab` -> `/vocab`)."""
    layers: tuple[Layer, ...] = ()
    """JSON face: the list under the top-level key `layers`."""
    weights: Weights | None = None
    """Folder face: what becomes model.safetensors (or pytorch_model.bin)."""
    arrays: Mapping[str, str] = field(default_factory=dict)
    """Folder face: file name -> path of one array (`detectors/knn_features.npy` -> `/memory/rows`).

    Several files may show one array: the first holds it, the others are links to the first.
    """
    parts: Mapping[str, str] = field(default_factory=dict)
    """Folder face: file name -> path of a dict whose JSON goes there (`detectors/knn_params.json` -> `/memory`)."""
    derived: Mapping[str, bytes] = field(default_factory=dict)
    """Folder face: files for other readers that say nothing new (`config.json`, `vocab.txt`, `tokenizer.json`)."""
    tokens: tuple[str, ...] = ()
    """The vocabulary in order of its numbers; tokenizer files in a folder must agree with it."""

"""How is a whole state one file? Arrays in a safetensors file, all else as JSON in one more of its arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.tensor_file import TensorFile, write_tensors
from jamais.persistence.tree import flatten, unflatten
from jamais.types import StateTree
from jamais.version import __version__

FORMAT = "jamais-state"
FORMAT_VERSION = 1
STATE = "$state"
"""The array that holds the JSON; paths of other arrays begin with a slash."""


def write_binary(path: Path, tree: StateTree, type_name: str, *, digest: str = digests.FAST) -> None:
    """Write a state to `path`, replacing what is there as a whole; raise StateError for what cannot be saved."""
    arrays, plain = flatten(tree)
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "type": type_name,
        "digest": digest,
        "jamais_version": __version__,
    }
    arrays[STATE] = np.frombuffer(json_text.dump(plain), dtype=np.uint8)
    with files.replacing(path) as handle:
        write_tensors(handle, arrays, {"jamais": json.dumps(about, separators=(",", ":"))}, digest)


def read_binary(path: Path) -> tuple[StateTree, str]:
    """Read and verify a whole file: the state and the name of its type; raise CorruptStateError when damaged."""
    with open_binary(path) as opened:
        arrays = {name: opened.file.read(name) for name in opened.file.entries if name != STATE}
        return unflatten(arrays, opened.plain, str(path)), opened.type_name


class OpenState:
    """A state file open for reading: its header and JSON are in memory, arrays are read one by one."""

    def __init__(self, file: TensorFile, plain: dict[str, Any], about: dict[str, Any]) -> None:
        self.file = file
        self.plain = plain
        self.about = about
        self.type_name: str = about["type"]

    def array(self, path: str) -> AnyArray:
        """Read and verify the array at a path of the state (`/model/embed.weight`)."""
        return self.file.read(path)


@contextmanager
def open_binary(path: Path) -> Iterator[OpenState]:
    """Open a state file and verify what is not array: milliseconds, whatever its size."""
    with TensorFile.open(path) as file:
        about = _about(file, path)
        if STATE not in file.entries:
            raise CorruptStateError(f"{path}: holds no {STATE}")
        plain = json_text.parse(file.read(STATE).tobytes(), f"{path}: {STATE}")
        yield OpenState(file, plain, about)


def _about(file: TensorFile, path: Path) -> dict[str, Any]:
    about = json_text.parse(file.metadata.get("jamais", "null").encode(), str(path))
    if type(about) is not dict or about.get("format") != FORMAT or type(about.get("type")) is not str:
        raise CorruptStateError(f"{path}: a safetensors file, but not of a state")
    if about.get("format_version") != FORMAT_VERSION:
        raise StateError(
            f"{path}: format version {str(about.get('format_version'))[:20]}, jamais {__version__} reads "
            f"{FORMAT_VERSION}: use jamais {str(about.get('jamais_version'))[:20]}, which wrote it"
        )
    return about

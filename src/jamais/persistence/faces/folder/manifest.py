"""What does MANIFEST.json say about a folder: which files are ours, and which bytes and arrays do they hold?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.tensor_file import MAX_TENSORS
from jamais.version import __version__

NAME = "MANIFEST.json"
STATE = "state.json"
STATE_ARRAYS = "state.safetensors"
FORMAT = "jamais-folder"
FORMAT_VERSION = 1
MAX_BYTES = 32 * 1024 * 1024
MAX_MARKS = 10 * 65_536
"""Brackets and commas: 65,536 arrays, read in a second or so."""
MAX_FILES = 16_384

_PART = r"[\w][\w.+-]{0,120}"
_SAFE_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,3}}")


@dataclass(frozen=True)
class FileEntry:
    """What the bytes of one file must be; `header` is the xxh3 of all before its arrays, "" where it has none."""

    size: int
    sha256: str
    header: str = ""


@dataclass(frozen=True)
class ArrayEntry:
    """Where one array of the state lies: the file, its name in there ("" in .npy), and what it must be."""

    file: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    xxh3: str

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * BY_NAME[self.dtype].itemsize


@dataclass(frozen=True)
class TokenizerSeal:
    """What tokenizer files must agree with; other programs rewrite them, so their bytes do not count."""

    tokens: str
    """Path of the list of tokens in the state."""
    written: Mapping[str, str] = field(default_factory=dict)
    """File -> sha256 as it was written: where that still holds, nothing else is looked at."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What tokenizer_config.json said that changes ids."""
    pipeline: Mapping[str, str] = field(default_factory=dict)
    """Section of tokenizer.json -> sha256: how it cuts a text."""


@dataclass(frozen=True)
class Manifest:
    """All that MANIFEST.json says."""

    type_name: str
    state_sha256: str
    files: Mapping[str, FileEntry]
    arrays: Mapping[str, ArrayEntry]
    parts: Mapping[str, str]
    """JSON file -> path of the dict of the state that it holds."""
    tokenizer: TokenizerSeal | None = None
    jamais_version: str = field(default_factory=lambda: __version__)

    @property
    def generation(self) -> str:
        """Name this content: 16 hex digits over the state and all files; the same state has the same name."""
        listed = {name: [entry.size, entry.sha256] for name, entry in self.files.items()}
        named = [self.type_name, self.state_sha256, listed]
        return digests.sha256(json_text.dump(named, canonical=True))[:16]


def checked_name(name: Any) -> str:
    """Give back the name of a file inside the folder; raise ValueError for one that could lie elsewhere."""
    if type(name) is not str or not _SAFE_NAME.fullmatch(name) or name == NAME:
        raise ValueError(f"file name {str(name)[:80]!r} is not allowed")
    return name


def to_bytes(manifest: Manifest) -> bytes:
    """Write a manifest with its own digest, indented for people."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "type": manifest.type_name,
        "generation": manifest.generation,
        "state_sha256": manifest.state_sha256,
        "jamais_version": manifest.jamais_version,
        "files": {name: _file_out(entry) for name, entry in sorted(manifest.files.items())},
        "parts": dict(sorted(manifest.parts.items())),
        "tokenizer": None if manifest.tokenizer is None else dict(vars(manifest.tokenizer)),
        "arrays": {path: {**vars(entry), "shape": list(entry.shape)} for path, entry in manifest.arrays.items()},
    }
    if len(manifest.arrays) > MAX_TENSORS or len(manifest.files) > MAX_FILES:
        raise StateError(f"a state of {len(manifest.arrays)} arrays, at most {MAX_TENSORS} are saved: join small ones")
    data = json_text.dump({**body, "sha256": digests.sha256(json_text.dump(body, canonical=True))})
    if len(data) > MAX_BYTES or json_text.too_much(data, MAX_MARKS):
        raise StateError(f"a manifest of {len(data)} bytes, at most {MAX_BYTES}: give arrays shorter names")
    return data


def parse(data: bytes, where: str) -> Manifest:
    """Read a manifest; raise CorruptStateError for one that was changed, StateError for an unknown format."""
    if json_text.too_much(data, MAX_MARKS):
        raise CorruptStateError(f"{where}: {len(data)} bytes of more files and arrays than are ever saved")
    body = json_text.parse(data, where)
    if type(body) is not dict or body.get("format") != FORMAT:
        raise CorruptStateError(f"{where}: not a manifest of {FORMAT}")
    version = body.get("format_version")
    digest = body.pop("sha256", None)
    try:
        intact = digests.sha256(json_text.dump(body, canonical=True)) == digest
        if not intact:
            raise CorruptStateError(f"{where}: its content does not match its sha256")
        if type(version) is not int or version != FORMAT_VERSION:
            raise StateError(
                f"{where}: format version {str(version)[:20]}, jamais {__version__} reads {FORMAT_VERSION}: "
                f"use jamais {str(body.get('jamais_version'))[:20]}, which wrote it"
            )
        return _checked(_from_body(body))
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, CorruptStateError):
            raise
        raise CorruptStateError(f"{where}: not a manifest ({error!r})"[:400]) from None


def read(folder: Path) -> Manifest:
    """Read and check the manifest of a folder."""
    return parse(files.read(folder / NAME, limit=MAX_BYTES), str(folder / NAME))


def _file_out(entry: FileEntry) -> dict[str, Any]:
    said: dict[str, Any] = {"size": entry.size, "sha256": entry.sha256}
    return {**said, "header": entry.header} if entry.header else said


def _from_body(body: Mapping[str, Any]) -> Manifest:
    seal = body["tokenizer"]
    return Manifest(
        type_name=_typed(body["type"], str),
        state_sha256=_hex(body["state_sha256"], digests.STRONG),
        files={checked_name(name): _file_in(raw) for name, raw in body["files"].items()},
        arrays={path: _array_in(raw) for path, raw in body["arrays"].items()},
        parts={checked_name(name): _typed(path, str) for name, path in body["parts"].items()},
        tokenizer=None if seal is None else _seal_in(seal),
        jamais_version=_typed(body["jamais_version"], str),
    )


def _checked(manifest: Manifest) -> Manifest:
    """Refuse what no writer writes: arrays in unlisted files, two in one place, more bytes than a file has."""
    if len(manifest.arrays) > MAX_TENSORS or len(manifest.files) > MAX_FILES:
        raise ValueError(f"{len(manifest.arrays)} arrays in {len(manifest.files)} files")
    places = {(entry.file, entry.name) for entry in manifest.arrays.values()}
    if len(places) != len(manifest.arrays):
        raise ValueError("two arrays lie in one place")
    held = dict.fromkeys(manifest.files, 0)
    for entry in manifest.arrays.values():
        held[entry.file] += entry.n_bytes
    fullest = [name for name, n in held.items() if n > manifest.files[name].size]
    if fullest:
        raise ValueError(f"{fullest[0]} is said to hold more than its size")
    if not manifest.parts.keys() <= manifest.files.keys():
        raise ValueError("a part of the state is in no listed file")
    return manifest


def _file_in(raw: Mapping[str, Any]) -> FileEntry:
    header = raw.get("header", "")
    return FileEntry(
        size=_size(raw["size"]),
        sha256=_hex(raw["sha256"], digests.STRONG),
        header=_hex(header, digests.FAST) if header else "",
    )


def _array_in(raw: Mapping[str, Any]) -> ArrayEntry:
    shape = _typed(raw["shape"], list)
    if raw["dtype"] not in BY_NAME or len(shape) > 32:
        raise ValueError(f"an array of dtype {str(raw['dtype'])[:20]!r}")
    return ArrayEntry(
        file=checked_name(raw["file"]),
        name=_typed(raw["name"], str),
        dtype=raw["dtype"],
        shape=tuple(_size(n) for n in shape),
        xxh3=_hex(raw["xxh3"], digests.FAST),
    )


def _seal_in(raw: Mapping[str, Any]) -> TokenizerSeal:
    return TokenizerSeal(
        tokens=_typed(raw["tokens"], str),
        written={checked_name(name): _hex(text, digests.STRONG) for name, text in raw["written"].items()},
        settings=dict(raw["settings"]),
        pipeline={name: _hex(text, digests.STRONG) for name, text in raw["pipeline"].items()},
    )


def _typed(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise TypeError(f"wanted {wanted.__name__}, got {str(value)[:60]!r}")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise ValueError(f"a size of {str(value)[:40]}")
    return value


def _hex(value: Any, kind: str) -> str:
    if type(value) is not str or not re.fullmatch(rf"[0-9a-f]{{{digests.LENGTHS[kind]}}}", value):
        raise ValueError(f"{str(value)[:40]!r} is no {kind}")
    return value

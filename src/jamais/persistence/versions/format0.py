"""How is a version of format 0 read? It was a folder `versions/0003/` of its own; jamais 0.1 wrote it.

    versions/0003/manifest.json              kind, reason, parent, time, metrics, sha256 and size of every file
    versions/0003/state.json  *.safetensors  the state

Such versions are read for ever and never written again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.tensor_file import MAX_HEADER_BYTES, MAX_TENSORS
from jamais.persistence.tree import unflatten
from jamais.persistence.versions.manifest import VersionInfo, digest, info_in, typed
from jamais.types import StateTree
from jamais.version import __version__

NAME = "manifest.json"
FORMAT = "jamais-state"
FORMAT_VERSION = 0
MAX_BYTES = 4 * 1024 * 1024
MAX_FILE_BYTES = 64 * 1024**3

STATE = "state.json"
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """What the bytes of one file must be."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest0:
    """A version's description and the files it consists of."""

    info: VersionInfo
    files: Mapping[str, FileEntry]


def load(folder: Path, number: int) -> tuple[StateTree, VersionInfo]:
    """Read and verify all files of the version in `folder`; raise CorruptStateError naming what is damaged."""
    read = read_manifest(folder, number)
    contents: dict[str, bytes] = {}
    for name, wanted in read.files.items():
        data = files.read(folder / name, size=wanted.size, limit=MAX_FILE_BYTES)
        if hashlib.sha256(data).hexdigest() != wanted.sha256:
            raise CorruptStateError(f"{folder / name}: not the bytes that were written (sha256)")
        contents[name] = data
    return _unpack(contents, str(folder)), read.info


def glance(folder: Path, number: int) -> str:
    """Say what is wrong with manifest and file sizes, nothing if they are right."""
    try:
        for name, wanted in read_manifest(folder, number).files.items():
            found = os.lstat(folder / name)
            if not stat.S_ISREG(found.st_mode) or found.st_size != wanted.size:
                return f"{folder / name}: not a file of {wanted.size} bytes"
    except FileNotFoundError as error:
        return f"{error.filename}: missing"
    except CorruptStateError as error:
        return str(error)
    except OSError as error:
        raise StateError(f"{error.filename}: {error.strerror}: check its permissions") from error
    return ""


def strangers(folder: Path, number: int) -> list[str]:
    """List files that do not belong to the version in `folder`."""
    return sorted(set(os.listdir(folder)) - {NAME, *read_manifest(folder, number).files})


def read_manifest(folder: Path, number: int) -> Manifest0:
    """Read the manifest in a version's folder and refuse one that was changed, renamed or points outside."""
    path = folder / NAME
    if os.path.islink(folder):
        raise CorruptStateError(f"{folder}: is a link")
    envelope = json_text.parse(files.read(path, limit=MAX_BYTES), str(path))
    try:
        body, written = envelope["manifest"], envelope["sha256"]
        intact = len(envelope) == 2 and digest(body) == written
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise CorruptStateError(f"{path}: not a manifest ({error!r})") from None
    if not intact:
        raise CorruptStateError(f"{path}: its content does not match its sha256")
    _known_format(body, path)
    try:
        manifest = _from_body(body)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise CorruptStateError(f"{path}: not a manifest ({error!r})") from None
    if manifest.info.number != number:
        raise CorruptStateError(f"{path}: describes version {manifest.info.number}, not {number}")
    return manifest


def _known_format(body: Any, path: Path) -> None:
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CorruptStateError(f"{path}: not a manifest of {FORMAT}")
    version = body.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise StateError(
            f"{path}: format version {version!r}, jamais {__version__} reads {FORMAT_VERSION} here: "
            f"use jamais {str(body.get('jamais_version'))[:20]}, which wrote it"
        )


def _from_body(body: Mapping[str, Any]) -> Manifest0:
    listed = {_safe_name(name): _entry_in(raw) for name, raw in body["files"].items()}
    info = info_in(body, sum(e.size for e in listed.values()))
    return Manifest0(info, listed)


def _safe_name(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name) or name == NAME:
        raise ValueError(f"file name {name[:80]!r} is not allowed")
    return name


def _entry_in(raw: Mapping[str, Any]) -> FileEntry:
    sha256, size = typed(raw["sha256"], str), typed(raw["size"], int)
    if not _SHA256.fullmatch(sha256) or not 0 <= size <= MAX_FILE_BYTES:
        raise ValueError(f"sha256 {sha256[:80]!r}, size {size}")
    return FileEntry(sha256, size)


def _unpack(contents: Mapping[str, bytes], where: str) -> StateTree:
    tensors: dict[str, AnyArray] = {}
    for name, data in contents.items():
        if name != STATE:
            found = _read_tensors(data, f"{where}/{name}")
            twice = tensors.keys() & found.keys()
            if twice:
                raise CorruptStateError(f"{where}/{name}: array {min(twice)} is in another file too")
            tensors.update(found)
    if STATE not in contents:
        raise CorruptStateError(f"{where}: no {STATE}")
    plain = json_text.parse(contents[STATE], f"{where}/{STATE}")
    return unflatten(tensors, plain, f"{where}/{STATE}")


def _read_tensors(data: bytes, where: str) -> dict[str, AnyArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(MAX_HEADER_BYTES, len(data) - 8):
        raise CorruptStateError(f"{where}: a header of {header} bytes does not fit a file of {len(data)}")
    if data.count(b'"data_offsets"', 8, 8 + header) > MAX_TENSORS:
        raise CorruptStateError(f"{where}: more than {MAX_TENSORS} arrays")
    try:
        found = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise CorruptStateError(f"{where}: not a safetensors file ({error})") from None
    # Older safetensors hand out read-only views; a live state must be writable.
    return {name: array if array.flags.writeable else np.array(array) for name, array in found.items()}

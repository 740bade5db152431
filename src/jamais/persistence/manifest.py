"""What does a version say about itself, and is that still what was written?"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import files, json_text
from jamais.version import __version__

NAME = "manifest.json"
FORMAT = "jamais-state"
FORMAT_VERSION = 0
MAX_BYTES = 4 * 1024 * 1024
MAX_FILE_BYTES = 64 * 1024**3

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class VersionInfo:
    """One line of the history; `time` is ISO 8601 in UTC, `warnings` say what is wrong with the store."""

    number: int
    time: str
    reason: str
    kind: str
    parent: int | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    size_bytes: int = 0
    jamais_version: str = __version__
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileEntry:
    """What the bytes of one file must be."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """A version's description and the files it consists of."""

    info: VersionInfo
    files: Mapping[str, FileEntry]


def entry(data: bytes) -> FileEntry:
    """Describe bytes that are about to be written."""
    return FileEntry(hashlib.sha256(data).hexdigest(), len(data))


def to_bytes(manifest: Manifest) -> bytes:
    """Write a manifest with its own digest, indented for people; raise StateError when it is too large."""
    info = manifest.info
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": info.number,
        "parent": info.parent,
        "kind": info.kind,
        "reason": info.reason.encode("utf-8", "replace").decode(),  # a lone surrogate from a file name
        "time": info.time,
        # As hex where JSON has no word for it: NaN and the infinities.
        "metrics": {name: _metric_out(float(value)) for name, value in info.metrics.items()},
        "jamais_version": info.jamais_version,
        "files": {name: {"sha256": e.sha256, "size": e.size} for name, e in sorted(manifest.files.items())},
    }
    data = json_text.dump({"manifest": body, "sha256": _digest(body)})
    if len(data) > MAX_BYTES:
        raise StateError(f"a manifest of {len(data)} bytes, at most {MAX_BYTES}: shorten the reason")
    return data


def read(folder: Path, number: int) -> Manifest:
    """Read the manifest in a version's folder and refuse one that was changed, renamed or points outside."""
    path = folder / NAME
    if os.path.islink(folder):
        raise CorruptStateError(f"{folder}: is a link")
    envelope = json_text.parse(files.read(path, limit=MAX_BYTES), str(path))
    try:
        body, digest = envelope["manifest"], envelope["sha256"]
        intact = len(envelope) == 2 and _digest(body) == digest
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


def _digest(body: Any) -> str:
    return hashlib.sha256(json_text.dump(body, canonical=True)).hexdigest()


def _known_format(body: Any, path: Path) -> None:
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CorruptStateError(f"{path}: not a manifest of {FORMAT}")
    version = body.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise StateError(
            f"{path}: format version {version!r}, jamais {__version__} reads {FORMAT_VERSION}: "
            f"use jamais {str(body.get('jamais_version'))[:20]}, which wrote it"
        )


def _from_body(body: Mapping[str, Any]) -> Manifest:
    listed = {_safe_name(name): _entry_in(raw) for name, raw in body["files"].items()}
    parent = body["parent"]
    info = VersionInfo(
        number=_typed(body["version"], int),
        time=_typed(body["time"], str),
        reason=_typed(body["reason"], str),
        kind=_typed(body["kind"], str),
        parent=parent if parent is None else _typed(parent, int),
        metrics={name: _metric_in(value) for name, value in body["metrics"].items()},
        size_bytes=sum(e.size for e in listed.values()),
        jamais_version=_typed(body["jamais_version"], str),
    )
    return Manifest(info, listed)


def _typed(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise TypeError(f"wanted {wanted.__name__}, got {str(value)[:60]!r}")
    return value


def _safe_name(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name) or name == NAME:
        raise ValueError(f"file name {name[:80]!r} is not allowed")
    return name


def _entry_in(raw: Mapping[str, Any]) -> FileEntry:
    sha256, size = _typed(raw["sha256"], str), _typed(raw["size"], int)
    if not _SHA256.fullmatch(sha256) or not 0 <= size <= MAX_FILE_BYTES:
        raise ValueError(f"sha256 {sha256[:80]!r}, size {size}")
    return FileEntry(sha256, size)


def _metric_out(value: float) -> float | str:
    return value if value - value == 0 else str(value)


def _metric_in(value: Any) -> float:
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        raise ValueError(f"metric {value[:40]!r}")
    return float(value)

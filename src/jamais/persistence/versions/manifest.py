"""What does a version say about itself: why it was made, and which bytes of which objects it consists of?"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import json_text
from jamais.persistence.dtypes import BY_NAME
from jamais.version import __version__

FORMAT = "jamais-version"
FORMAT_VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
MAX_MARKS = 8 * 65_536
"""Brackets and commas: some 40,000 arrays, read in a second."""
MAX_REASON = 100_000

_OBJECT = re.compile(r"[0-9a-f]{64}\.(safetensors|json)")
_FAST = re.compile(r"[0-9a-f]{32}")


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
    refs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObjectEntry:
    """One immutable file: its name is the sha256 of its bytes."""

    name: str
    size: int

    @property
    def sha256(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Segment:
    """Some rows of an array: `offset` in the object of this number, and the xxh3-128 of the bytes there."""

    object: int
    offset: int
    digest: str


@dataclass(frozen=True)
class ArrayEntry:
    """One array: cut every `rows` rows (0: not cut) into segments; an empty array has none."""

    dtype: str
    shape: tuple[int, ...]
    rows: int
    segments: tuple[Segment, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * BY_NAME[self.dtype].itemsize

    def n_segments(self) -> int:
        """Give how many segments there must be; counted before a list of them is made."""
        if not self.nbytes:
            return 0
        return -(-self.shape[0] // self.rows) if self.rows else 1

    def lengths(self) -> list[int]:
        """Give the bytes of each segment."""
        if not self.nbytes:
            return []
        if not self.rows:
            return [self.nbytes]
        row = self.nbytes // self.shape[0]
        return [min(self.rows, self.shape[0] - start) * row for start in range(0, self.shape[0], self.rows)]


@dataclass(frozen=True)
class Manifest:
    """A version's description and content; `parts` are the objects that hold its JSON, `keys` its order."""

    info: VersionInfo
    objects: tuple[ObjectEntry, ...]
    keys: tuple[str, ...]
    parts: tuple[int, ...]
    arrays: Mapping[str, ArrayEntry]


def to_bytes(manifest: Manifest) -> bytes:
    """Write a manifest with its own sha256; raise StateError when it is too large."""
    info = manifest.info
    if len(info.reason) > MAX_REASON:
        raise StateError(f"a reason of {len(info.reason)} characters, at most {MAX_REASON}: shorten the reason")
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": info.number,
        "parent": info.parent,
        "kind": info.kind,
        "reason": info.reason.encode("utf-8", "replace").decode(),  # a lone surrogate from a file name
        "time": info.time,
        "metrics": {name: _metric_out(float(value)) for name, value in info.metrics.items()},
        "jamais_version": info.jamais_version,
        "size_bytes": info.size_bytes,
        "objects": [[one.name, one.size] for one in manifest.objects],
        "keys": list(manifest.keys),
        "parts": list(manifest.parts),
        "arrays": {path: _array_out(entry) for path, entry in manifest.arrays.items()},
    }
    data = _layout(body)
    if len(data) > MAX_BYTES or json_text.too_much(data, MAX_MARKS):
        raise StateError(
            f"a manifest of {len(data)} bytes is more than is read, at most {MAX_BYTES}: join the small arrays"
        )
    return data


def from_bytes(data: bytes, number: int, where: str) -> Manifest:
    """Read a manifest; refuse one that was changed, renamed, or cannot be true, with CorruptStateError."""
    if json_text.too_much(data, MAX_MARKS):
        raise CorruptStateError(f"{where}: {len(data)} bytes of more arrays than are ever saved")
    envelope = json_text.parse(data, where)
    try:
        body, written = envelope["manifest"], envelope["sha256"]
        intact = len(envelope) == 2 and digest(body) == written
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise CorruptStateError(f"{where}: not a manifest ({error!r})"[:400]) from None
    if not intact:
        raise CorruptStateError(f"{where}: its content does not match its sha256")
    _known_format(body, where)
    try:
        manifest = _from_body(body)
        _check_sums(manifest)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise CorruptStateError(f"{where}: not a manifest ({error!r})"[:400]) from None
    if manifest.info.number != number:
        raise CorruptStateError(f"{where}: describes version {manifest.info.number}, not {number}")
    return manifest


def _layout(body: dict[str, Any]) -> bytes:
    """Give the text: a line per entry, so that people can read it and diff it."""
    arrays = body.pop("arrays")
    head = json_text.dump(body).decode().rstrip()[:-2]
    rows = ",\n".join(f"  {_short(path)}: {_short(entry)}" for path, entry in arrays.items())
    body["arrays"] = arrays
    listed = f"{{\n{rows}\n }}" if rows else "{}"
    return f'{{"manifest": {head},\n "arrays": {listed}\n}},\n"sha256": "{digest(body)}"}}\n'.encode()


def _short(value: Any) -> str:
    return json_text.dump(value, canonical=True).decode()


def _array_out(entry: ArrayEntry) -> dict[str, Any]:
    return {
        "dtype": entry.dtype,
        "shape": list(entry.shape),
        "rows": entry.rows,
        "segments": [[one.object, one.offset, one.digest] for one in entry.segments],
    }


def digest(body: Any) -> str:
    """Name the body of a manifest: sha256 of its canonical JSON."""
    return hashlib.sha256(json_text.dump(body, canonical=True)).hexdigest()


def _known_format(body: Any, where: str) -> None:
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CorruptStateError(f"{where}: not a manifest of {FORMAT}")
    version = body.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise StateError(
            f"{where}: format version {version!r}, jamais {__version__} reads 0 to {FORMAT_VERSION}: "
            f"use jamais {str(body.get('jamais_version'))[:20]}, which wrote it"
        )


def info_in(body: Mapping[str, Any], size_bytes: int) -> VersionInfo:
    """Read what a manifest of any format says about its version."""
    parent = body["parent"]
    return VersionInfo(
        number=typed(body["version"], int),
        time=typed(body["time"], str),
        reason=typed(body["reason"], str),
        kind=typed(body["kind"], str),
        parent=parent if parent is None else typed(parent, int),
        metrics={name: _metric_in(value) for name, value in body["metrics"].items()},
        size_bytes=size_bytes,
        jamais_version=typed(body["jamais_version"], str),
    )


def _from_body(body: Mapping[str, Any]) -> Manifest:
    info = info_in(body, _count(body["size_bytes"]))
    return Manifest(
        info,
        tuple(_object_in(raw) for raw in typed(body["objects"], list)),
        tuple(typed(key, str) for key in typed(body["keys"], list)),
        tuple(_count(part) for part in typed(body["parts"], list)),
        {path: _array_in(raw) for path, raw in typed(body["arrays"], dict).items()},
    )


def _object_in(raw: Any) -> ObjectEntry:
    name, size = raw
    if not _OBJECT.fullmatch(name):
        raise ValueError(f"object {name[:80]!r}")
    return ObjectEntry(name, _count(size))


def _array_in(raw: Any) -> ArrayEntry:
    if raw["dtype"] not in BY_NAME or len(raw) != 4 or len(raw["shape"]) > 32:
        raise ValueError(f"array of {str(raw['dtype'])[:20]!r}")
    segments = tuple(_segment_in(one) for one in raw["segments"])
    entry = ArrayEntry(raw["dtype"], tuple(_count(n) for n in raw["shape"]), _count(raw["rows"]), segments)
    if (entry.rows and not entry.shape) or entry.n_segments() != len(segments):
        raise ValueError(f"{len(segments)} segments for {entry.shape[:8]}, {entry.rows} rows each")
    return entry


def _segment_in(raw: Any) -> Segment:
    number, offset, fast = raw
    if not _FAST.fullmatch(fast):
        raise ValueError(f"digest {fast[:80]!r}")
    return Segment(_count(number), _count(offset), fast)


def _check_sums(manifest: Manifest) -> None:
    # Every byte of an array has a byte in a file of its own: a small store cannot ask for much memory.
    if sum(entry.nbytes for entry in manifest.arrays.values()) > sum(one.size for one in manifest.objects):
        raise ValueError("its arrays are larger than its objects")
    for path, entry in manifest.arrays.items():
        for length, segment in zip(entry.lengths(), entry.segments, strict=True):
            if segment.offset + length > manifest.objects[segment.object].size:
                raise ValueError(f"{path[:200]} goes past the end of its object")
    if not all(manifest.objects[part].name.endswith(".json") for part in manifest.parts):
        raise ValueError("its JSON is no JSON object")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise ValueError(f"{str(value)[:40]} is no count")
    return value


def typed(value: Any, wanted: type) -> Any:
    """Give a value of exactly that type; raise TypeError for another."""
    if type(value) is not wanted:
        raise TypeError(f"{str(value)[:80]!r} is not {wanted.__name__}")
    return value


def _metric_out(value: float) -> float | str:
    return value if value - value == 0 else str(value)  # JSON has no word for NaN and the infinities


def _metric_in(value: Any) -> float:
    """Read a figure; NaN and the infinities are texts."""
    if isinstance(value, str) and value not in ("nan", "inf", "-inf"):
        raise ValueError(f"metric {value[:40]!r}")
    return float(value)

"""How do arrays become a valid safetensors file that any language reads, and come back one by one, checked?

    8 bytes   length of the header, little-endian
    header    JSON: {"__metadata__": {"sha256": …, "digests": …, …},
                     name: {"dtype", "shape", "data_offsets": [from, to]}, …}
    data      the bytes of the arrays in row order, without holes

That is the common format (https://github.com/huggingface/safetensors#format); it has no checksum. Ours adds a
seal to the texts of `__metadata__`: `digests` names every array's bytes, and `sha256`, which stands first, covers
the length and the header (with 64 zeros in its own place). So every bit of the file is covered.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.digests import Bytes, Hasher
from jamais.persistence.dtypes import BY_NAME, NAMES, AnyArray, as_bytes, empty

MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_TENSORS = 65_536
"""A header of 89 MB with 1.5 million empty tensors took the usual reader 21 s and 2.2 GiB (measured)."""

_METADATA = "__metadata__"
_BLOCK_BYTES = 4 * 1024 * 1024
_SEAL = b'{"__metadata__":{"sha256":"'
_ZEROS = "0" * digests.LENGTHS[digests.STRONG]


def write_tensors(
    handle: int,
    arrays: Mapping[str, AnyArray],
    metadata: Mapping[str, str],
    digest: str = digests.FAST,
    *,
    known: Mapping[str, str] | None = None,
    whole: Hasher | None = None,
    digest_later: Callable[[Hasher, Bytes], None] | None = None,
) -> dict[str, int]:
    """Write arrays and texts to an open, empty file, without a copy of them; give where each array begins.

    Digests that are not `known` are made while the data is written, and the header, whose length they do not
    change, is written once more at the end. `whole` takes every byte of the file in order, if all are known: by the
    time this returns, or when `digest_later`, if that is given, has done what it was asked. Raises StateError when
    there is more than a reader would accept.
    """
    assert known is not None or (whole is None and digest_later is None)
    # Stable; wide numbers first keeps every array at a multiple of its width, which readers by mmap need.
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    blank = dict.fromkeys(order, "0" * digests.LENGTHS[digest])
    meters = {name: digests.hasher(digest) for name in order} if known is None else {}
    with contextlib.nullcontext(digest_later) if digest_later else _side_by_side() as later:

        def emit(block: memoryview | bytes, meter: Hasher | None) -> None:
            if meter is not None:
                later(meter, block)
            files.write_all(handle, block)

        header = _header(arrays, order, metadata, blank if known is None else known)
        emit(header, whole)
        starts, at = {}, len(header)
        for name in order:
            starts[name] = at
            at += arrays[name].nbytes
            for block in _blocks(arrays[name]):
                emit(block, meters.get(name, whole))
        os.fsync(handle)  # here, while the last blocks are still being digested
    if known is None:
        os.lseek(handle, 0, os.SEEK_SET)
        found = {name: meter.hexdigest() for name, meter in meters.items()}
        files.write_all(handle, _header(arrays, order, metadata, found))
    return starts


@dataclass(frozen=True)
class Entry:
    """Where one array lies: bytes `start` to `stop` of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class TensorFile:
    """A safetensors file that is open for reading; only the header is in memory. Use it in a `with` block."""

    def __init__(self, handle: int, where: str, entries: dict[str, Entry], metadata: dict[str, str]) -> None:
        self.entries = entries
        self.metadata = metadata
        self._handle = handle
        self._where = where
        self._digests: dict[str, str] = json.loads(metadata["digests"]) if "digests" in metadata else {}

    @classmethod
    def open(cls, path: Path, *, sealed: bool = True) -> Self:
        """Open a file and check its header; `sealed=False` reads files of other writers, which have no digests.

        Raises InputError when there is none, CorruptStateError for anything but a sound file. Nothing is
        allocated that the size of the file does not back.
        """
        handle, size = files.open_plain(path)
        try:
            header = _read_header(handle, size, str(path), sealed)
            entries, metadata = _parse_header(header, size, str(path))
            if sealed:
                _check_digests(entries, metadata, str(path))
            return cls(handle, str(path), entries, metadata)
        except BaseException:
            os.close(handle)
            raise

    def read(self, name: str) -> AnyArray:
        """Read one array and compare it with its digest; raise CorruptStateError naming it."""
        entry = self.entries[name]
        array = empty(BY_NAME[entry.dtype], entry.shape, f"{self._where}: array {name}")
        target = as_bytes(array)
        files.read_into(self._handle, target, entry.start, f"{self._where}: array {name}")
        if name in self._digests:
            digest = self._digests[name]
            strong = len(digest) == digests.LENGTHS[digests.STRONG]
            if (digests.sha256(target) if strong else digests.fast(target)) != digest:
                raise CorruptStateError(f"{self._where}: array {name}: not the bytes that were written")
        return array

    def close(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def _side_by_side() -> Iterator[Callable[[Hasher, Bytes], None]]:
    """Spread digests over two threads, each digest on one of them: a disk can be faster than one sha256."""
    with digests.meanwhile() as one, digests.meanwhile() as other:
        lanes, given = (one, other), [0, 0]
        chosen: dict[Hasher, int] = {}

        def later(meter: Hasher, block: Bytes) -> None:
            lane = chosen.setdefault(meter, given.index(min(given)))
            given[lane] += len(block)
            lanes[lane](meter, block)

        yield later


def _blocks(array: AnyArray) -> Iterator[memoryview]:
    """Give the bytes of an array in pieces that a cache of the processor holds."""
    whole = as_bytes(array)
    for start in range(0, len(whole), _BLOCK_BYTES):
        yield whole[start : start + _BLOCK_BYTES]


def _header(
    arrays: Mapping[str, AnyArray], order: list[str], metadata: Mapping[str, str], found: Mapping[str, str]
) -> bytes:
    if _METADATA in arrays:
        raise StateError(f"an array cannot be called {_METADATA}: the format keeps that name for its texts")
    if len(order) > MAX_TENSORS:
        raise StateError(f"a state of {len(order)} arrays, at most {MAX_TENSORS} are saved: join the small ones")
    listing = json.dumps({name: found[name] for name in order}, separators=(",", ":"))
    body: dict[str, Any] = {_METADATA: {"sha256": _ZEROS, "digests": listing, **metadata}}
    at = 0
    for name in order:
        array = arrays[name]
        body[name] = {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES or _too_much(text):
        raise StateError(
            f"a header of {len(text)} bytes, at most {MAX_HEADER_BYTES} are read: give arrays shorter, plainer names"
        )
    raw = len(text).to_bytes(8, "little") + text
    return raw.replace(_ZEROS.encode(), digests.sha256(raw).encode(), 1)


def _read_header(handle: int, size: int, where: str, sealed: bool) -> bytes:
    if size < 8:
        raise CorruptStateError(f"{where}: {size} bytes, a safetensors file has more")
    head = bytearray(8)
    files.read_into(handle, memoryview(head), 0, where)
    length = int.from_bytes(head, "little")
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise CorruptStateError(f"{where}: a header of {length} bytes does not fit a file of {size}")
    header = bytearray(length)
    files.read_into(handle, memoryview(header), 8, where)
    if sealed:
        place = slice(len(_SEAL), len(_SEAL) + len(_ZEROS))
        written = bytes(header[place])
        if not header.startswith(_SEAL):
            raise CorruptStateError(f"{where}: carries no seal of jamais: it was written by another program")
        header[place] = _ZEROS.encode()
        if digests.sha256(bytes(head + header)).encode() != written:
            raise CorruptStateError(f"{where}: its header is not what was written (sha256)")
    if _too_much(bytes(header)):
        raise CorruptStateError(f"{where}: a header of more than {MAX_TENSORS} arrays")
    return bytes(header)


def _too_much(header: bytes) -> bool:
    """Say whether a header would become more objects in memory than its arrays could need."""
    marks = sum(header.count(mark) for mark in (b"{", b"[", b","))
    return header.count(b'"data_offsets"') > MAX_TENSORS or marks > 16 * MAX_TENSORS


def _parse_header(header: bytes, size: int, where: str) -> tuple[dict[str, Entry], dict[str, str]]:
    parsed = json_text.parse(header, where)
    base = 8 + len(header)
    try:
        metadata = dict(parsed.pop(_METADATA, {}))
        if not all(type(text) is str for text in metadata.values()):
            raise ValueError("__metadata__ holds more than texts")
        entries = {name: _entry(raw, base) for name, raw in parsed.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptStateError(f"{where}: not a safetensors header ({error!r})"[:400]) from None
    at = base
    for name, entry in sorted(entries.items(), key=lambda pair: (pair[1].start, pair[1].stop)):
        if entry.start != at:
            raise CorruptStateError(f"{where}: array {name[:200]} does not begin where the one before it ends")
        at = entry.stop
    if at != size:
        raise CorruptStateError(f"{where}: {size} bytes, the header tells of {at}")
    return entries, metadata


def _entry(raw: Any, base: int) -> Entry:
    dtype, shape, (start, stop) = raw["dtype"], raw["shape"], raw["data_offsets"]
    if dtype not in BY_NAME or len(raw) != 3:
        raise ValueError(f"dtype {str(dtype)[:20]!r}")
    if not all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, start, stop)) or len(shape) > 32:
        raise ValueError("numbers that cannot be")
    wanted = BY_NAME[dtype].itemsize
    for n in shape:
        wanted *= n
    if stop - start != wanted:
        raise ValueError(f"{stop - start} bytes for {dtype} {shape[:8]}")
    return Entry(dtype, tuple(shape), base + start, base + stop)


def _check_digests(entries: Mapping[str, Entry], metadata: Mapping[str, str], where: str) -> None:
    found = json_text.parse(metadata.get("digests", "null").encode(), f"{where}: digests")
    if type(found) is not dict or found.keys() != entries.keys():
        raise CorruptStateError(f"{where}: its digests are not about its arrays")
    if not all(type(one) is str and len(one) in digests.LENGTHS.values() for one in found.values()):
        raise CorruptStateError(f"{where}: holds something else where digests belong")

"""Where do the bytes of a log come from: files, globs, compressed or not, pipes, iterables, tables?"""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import lzma
import os
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from jamais.errors import InputError, MissingExtraError
from jamais.sources.tables import table_lines

_GZIP, _XZ, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_BOMS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOOK = 1 << 16
_PIECE = 1 << 17
LINE_BYTES = 1 << 20
"""Of a line without an end this much is kept."""
_NUL_SHARE = 0.05
"""More NULs than this in the first 64 KiB and it is no text (a copy-truncated log has fewer, all in one run)."""
_ODD_SHARE = 0.15
"""Control characters that no text has; fewer are suspicious only together with bytes that are not UTF-8."""


@dataclass
class Source:
    """One stream of bytes with a name; `blocks(size)` may be called once."""

    name: str
    blocks: Callable[[int], Iterator[bytes]]
    size: int = 0
    written: float = field(default_factory=time.time)
    """Seconds since 1970 when it was last written."""
    bodies: Callable[[int], Iterator[bytes]] | None = None
    """For plain files: blocks of whole lines without their last line feed, which need no further copy."""
    from_glob: bool = False
    """Its place among the others is decided by its first time stamp."""
    notes: list[str] = field(default_factory=list)


class _Reader(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def open_sources(data: Any) -> list[Source]:
    """Turn what a user calls data into sources, in reading order; raises InputError."""
    if isinstance(data, str) and data == "-":
        return [_stream("standard input", sys.stdin.buffer)]
    if isinstance(data, str | os.PathLike):
        return _paths(os.fspath(data))
    if isinstance(data, list | tuple) and data and all(_is_path(one) for one in data):
        return [source for one in data for source in open_sources(one)]
    if hasattr(data, "read"):
        return [_stream(str(getattr(data, "name", "stream")), data)]
    if hasattr(data, "columns") and hasattr(data, "shape"):
        return [Source("table", lambda size: _from_lines(table_lines(data), size))]
    if isinstance(data, Iterable):
        return [Source("lines", lambda size: _from_lines(data, size))]
    raise InputError(
        f"cannot read logs from {type(data).__name__}: give a path, a list of paths, '-', a file, lines or a DataFrame"
    )


def text_blocks(source: Source, size: int) -> Iterator[bytes]:
    """Give UTF-8 blocks of a source: byte-order marks handled, what is no text refused."""
    blocks = source.blocks(size)
    first = next(blocks, b"")
    while 0 < len(first) < 4 and (more := next(blocks, b"")):
        first += more
    encoding = None
    for mark, name in _BOMS:
        if first.startswith(mark):
            first, encoding = first[len(mark) :], name
            break
    if encoding:
        decode = codecs.getincrementaldecoder(encoding)("replace").decode
        source.notes.append(f"{source.name}: {encoding.upper()} read as text")
        yield decode(first).encode("utf-8", "replace")
        for block in blocks:
            yield decode(block).encode("utf-8", "replace")
        yield decode(b"", True).encode("utf-8", "replace")
        return
    _refuse_binary(source.name, first[:_LOOK])
    if first:
        yield first
    yield from blocks


def _refuse_binary(name: str, head: bytes) -> None:
    if not head:
        return
    if head.startswith(b"__CURSOR="):  # a journal export may hold binary fields
        return
    inner = head.strip(b"\0")
    nul = inner.count(b"\0") / len(head)
    odd = sum(head.count(bytes([c])) for c in (*range(1, 8), *range(14, 27), *range(28, 32))) / len(head)
    unread = head.decode("utf-8", "replace").count("\ufffd") / len(head)
    empty = not inner and len(head) > 16
    if empty or nul > _NUL_SHARE or odd > _ODD_SHARE or (nul + odd > 0.02 and unread > 0.1):
        raise InputError(f"no text in {name}: it looks like binary data, wanted text (plain, .gz, .xz or .zst)")


def _is_path(one: object) -> bool:
    if isinstance(one, os.PathLike):
        return True
    return isinstance(one, str) and "\n" not in one and len(one) < 4096 and (one == "-" or _on_disk(one))


def _on_disk(text: str) -> bool:
    return os.path.exists(text) or (any(c in text for c in "*?[") and bool(glob.glob(text)))


def _paths(text: str) -> list[Source]:
    if os.path.exists(text) or not any(c in text for c in "*?["):
        return [_file(Path(text))]
    found = [Path(one) for one in sorted(glob.glob(text, recursive=True)) if not os.path.isdir(one)]
    if not found:
        raise InputError(f"no file matches {text}: check the pattern, and quote it in a shell")
    sources = [_file(path) for path in found]
    for source in sources:
        source.from_glob = True
    return sources


def _file(path: Path) -> Source:
    try:
        status = path.stat()
        if path.is_dir():
            raise InputError(f"{path} is a directory, wanted a file: give a pattern such as '{path}/*.log'")
        magic = b""
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                magic = file.read(6)
    except FileNotFoundError as wrong:
        raise InputError(f"no such file: {path}") from wrong
    except OSError as wrong:
        raise InputError(f"cannot read {path}: {wrong.strerror or wrong}") from wrong
    source = Source(str(path), lambda size: iter(()), status.st_size, status.st_mtime)
    packed = _opener(magic)
    if packed is None:
        source.blocks = lambda size: _plain_blocks(path, size)
        if stat.S_ISREG(status.st_mode) and not magic.startswith(tuple(mark for mark, _ in _BOMS)):
            source.bodies = lambda size: _plain_bodies(path, size)
    else:
        source.blocks = lambda size: _packed_file(path, packed, size, source)
    return source


def _opener(magic: bytes) -> Callable[[Any], _Reader] | None:
    if magic.startswith(_GZIP):
        return lambda file: gzip.GzipFile(fileobj=file)
    if magic.startswith(_XZ):
        return lambda file: lzma.LZMAFile(file)
    if magic.startswith(_ZSTD):
        return _open_zstd
    return None


def _open_zstd(file: IO[bytes]) -> _Reader:
    try:
        import zstandard
    except ImportError as wrong:
        raise MissingExtraError("reading .zst files", "zstd") from wrong
    return _Zstd(file, zstandard.ZstdDecompressor().decompressobj)


class _Zstd:
    """Frames of zstd, one after the other; the library's own stream says nothing about one that is cut short."""

    def __init__(self, file: IO[bytes], frame: Callable[[], Any]) -> None:
        self._file, self._new_frame = file, frame
        self._frame: Any = None
        self._packed = b""

    def read1(self, size: int, /) -> bytes:
        while True:
            packed = self._packed or self._file.read(min(size, 1 << 14))
            if not packed:
                if self._frame is not None:
                    raise EOFError("the last frame has no end")
                return b""
            if self._frame is None:
                self._frame = self._new_frame()
            text: bytes = self._frame.decompress(packed)
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
            if text:
                return text


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut blocks at line feeds: bodies of whole lines without the last line feed.

    A line longer than `LINE_BYTES` loses its rest.
    """
    carry = b""
    skipping = False
    for block in blocks:
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            yield carry
            block, carry, skipping = block[end + 1 :], b"", False
        block = carry + block if carry else block
        end = block.rfind(b"\n")
        if end >= 0:
            yield block[:end]
        carry = block[end + 1 :]
        if len(carry) > LINE_BYTES:
            carry, skipping = carry[:LINE_BYTES], True
    if carry:
        yield carry


def _plain_blocks(path: Path, size: int, at: int = 0) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            if at:
                file.seek(at)
            while block := file.read(size):
                yield block
    except OSError as wrong:
        raise InputError(f"cannot read {path}: {wrong.strerror or wrong}") from wrong


def _plain_bodies(path: Path, size: int) -> Iterator[bytes]:
    """Look for the last line feed of a block before reading it, so that the block is never cut or copied."""
    try:
        with path.open("rb", buffering=0) as file:
            descriptor = file.fileno()
            _refuse_binary(str(path), os.pread(descriptor, _LOOK, 0))
            at = 0
            while os.pread(descriptor, 1, at):
                end = _line_feed_near(descriptor, at, size)
                if end is None:
                    yield from whole_lines(_plain_blocks(path, size, at))
                    return
                block = os.pread(descriptor, end - at, at)
                while len(block) < end - at and (more := os.pread(descriptor, end - at - len(block), at + len(block))):
                    block += more
                yield block
                at = end + 1
    except OSError as wrong:
        raise InputError(f"cannot read {path}: {wrong.strerror or wrong}") from wrong


def _line_feed_near(descriptor: int, at: int, size: int) -> int | None:
    """Find the last line feed before `at` + `size`; None near the end of the file or in a very long line."""
    start = at + max(0, size - _LOOK)
    tail = os.pread(descriptor, min(size, _LOOK), start)
    end = tail.rfind(b"\n")
    return start + end if end >= 0 else None


def _packed_file(path: Path, packed: Callable[[Any], _Reader], size: int, source: Source) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _packed_blocks(packed(file), size, source)


def _packed_blocks(reader: _Reader, size: int, source: Source) -> Iterator[bytes]:
    """Unpack piece by piece: one call for a whole block would lose what it had before it met the damage."""
    parts: list[bytes] = []
    held = 0
    try:
        while part := reader.read1(_PIECE):
            parts.append(part)
            held += len(part)
            if held >= min(size, 1 << 20):
                yield b"".join(parts)
                parts, held = [], 0
    except Exception as wrong:
        known = EOFError | zlib.error | lzma.LZMAError | OSError
        if not isinstance(wrong, known) and type(wrong).__name__ != "ZstdError":
            raise
        source.notes.append(f"truncated: {source.name} is damaged or cut short ({wrong}); what came before is kept")
    if parts:
        yield b"".join(parts)


def _stream(name: str, file: Any) -> Source:
    source = Source(name, lambda size: iter(()))

    def blocks(size: int) -> Iterator[bytes]:
        raw = getattr(file, "buffer", file)  # a text file: its bytes
        read = getattr(raw, "read1", raw.read)
        first = read(min(size, 1 << 20))
        if isinstance(first, str):
            raw, first = _Encoded(raw), first.encode("utf-8", "replace")
            read = raw.read
        packed = _opener(first)
        if packed is not None:
            rest = io.BytesIO(first + raw.read())
            yield from _packed_blocks(packed(rest), size, source)
            return
        while first:
            yield first
            first = read(min(size, 1 << 20))

    source.blocks = blocks
    return source


class _Encoded:
    """A text stream without bytes below it (StringIO)."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return str(self._file.read(size)).encode("utf-8", "replace")


def _from_lines(lines: Iterable[Any], size: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    for line in lines:
        if not isinstance(line, str | bytes):
            raise InputError(f"expected lines of text, got {type(line).__name__}: give str or bytes")
        one = line.encode("utf-8", "replace") if isinstance(line, str) else line
        parts.append(one if one.endswith(b"\n") else one + b"\n")
        held += len(one)
        if held > size:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)

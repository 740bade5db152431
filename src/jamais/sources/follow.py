"""How is a log read that is still being written, rotated, truncated, and read on after a restart?"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import select
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from jamais.errors import InputError, StateError

_HEAD_BYTES = 256
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Position:
    """A place in a log that survives rotation: which file (inode and how it begins), and how far."""

    inode: int
    offset: int
    head_bytes: int
    """So many first bytes of the file are in the fingerprint (a young file has few)."""
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Position:
        """Read what `to_json` gave; raises StateError."""
        try:
            return cls(int(saved["inode"]), int(saved["offset"]), int(saved["head_bytes"]), str(saved["fingerprint"]))
        except (KeyError, TypeError, ValueError) as wrong:
            raise StateError(f"the saved place in the log cannot be read ({wrong}): start without --resume") from wrong


def follow(
    log: str | os.PathLike[str] | IO[bytes],
    *,
    poll_seconds: float = 0.2,
    from_start: bool = False,
    position: Position | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Follower | Pipe:
    """Follow a file by name, or standard input for "-" (or an open pipe); raises InputError if there is none.

    Iterating gives new bytes as they come and None on idle ticks, until `stop()`; a pipe also ends at its end.
    """
    if not isinstance(log, str | os.PathLike):
        return Pipe(log.fileno(), poll_seconds, stop)
    if os.fspath(log) == "-":
        return Pipe(sys.stdin.fileno(), poll_seconds, stop)
    return Follower(Path(log), poll_seconds, from_start, position, stop)


class Pipe:
    """New bytes of a pipe, without blocking for longer than a tick."""

    position = None
    lines_before = None

    def __init__(self, descriptor: int, poll_seconds: float, stop: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._poll_seconds = poll_seconds
        self._stop = stop

    def __iter__(self) -> Iterator[bytes | None]:
        while not self._stop():
            ready, _, _ = select.select([self._descriptor], [], [], self._poll_seconds)
            if not ready:
                yield None
                continue
            block = os.read(self._descriptor, _BLOCK)
            if not block:
                return
            yield block


class Follower:
    """New bytes of a named file: across rename and create, copy and truncate, and moments without a file."""

    def __init__(
        self,
        path: Path,
        poll_seconds: float,
        from_start: bool,
        position: Position | None,
        stop: Callable[[], bool],
    ) -> None:
        if position is None and not path.exists():
            raise InputError(f"no such file: {path}")
        if path.is_dir():
            raise InputError(f"{path} is a directory, wanted a log file")
        self._path = path
        self._poll_seconds = poll_seconds
        self._from_start = from_start
        self._stop = stop
        self._resume = position
        self._file: IO[bytes] | None = None
        self._queue: list[Path] = []
        self._offset = 0
        self._head = b""
        self._last_byte = b"\n"
        self.lost = False
        """Whether the place to resume at was in a file that is gone."""
        self.lines_before: int | None = None
        """Lines of the file above the block given last, where that block does not go on from the one before."""
        self._lines_above: int | None = None

    @property
    def position(self) -> Position | None:
        """Where the bytes given so far end; None before there was a file."""
        if self._file is None:
            return self._resume
        return Position(
            os.fstat(self._file.fileno()).st_ino,
            self._offset,
            len(self._head),
            hashlib.sha256(self._head).hexdigest(),
        )

    def __iter__(self) -> Iterator[bytes | None]:
        try:
            self._begin()
            while not self._stop():
                self.lines_before = None
                block = self._next()
                if block:
                    yield block
                    continue
                yield None
                if not self._stop():
                    time.sleep(self._poll_seconds)
        finally:
            self._resume = self.position
            if self._file is not None:
                self._file.close()
                self._file = None

    def _next(self) -> bytes:
        """Read on; at the end of the file look whether another has taken its place."""
        if self._file is None:
            self._open(self._path, 0)
            if self._file is None:
                return b""
        if self._truncated():
            self._offset, self._head, self._lines_above = 0, b"", 0
            if self._last_byte != b"\n":
                self._last_byte = b"\n"
                return b"\n"
        block = self._read()
        if block or not self._replaced():
            return block
        block = self._read()  # written between the look at the end and the look at the name
        if block:
            return block
        ended = self._last_byte
        self._file.close()
        self._file = None
        self._open(self._queue.pop(0) if self._queue else self._path, 0)
        self._last_byte = b"\n"
        if ended != b"\n":
            return b"\n"
        return self._read() if self._file is not None else b""

    def _read(self) -> bytes:
        assert self._file is not None
        block = os.pread(self._file.fileno(), _BLOCK, self._offset)
        if block:
            if len(self._head) < _HEAD_BYTES:
                self._head = os.pread(self._file.fileno(), min(_HEAD_BYTES, self._offset + len(block)), 0)
            self.lines_before, self._lines_above = self._lines_above, None
            self._offset += len(block)
            self._last_byte = block[-1:]
        return block

    def _open(self, path: Path, offset: int) -> None:
        if self._file is not None:
            self._file.close()
        try:
            self._file = _opened(path)
        except OSError:
            self._file = None  # between two rotations there may be none: the next tick looks again
            return
        self._offset = offset
        self._head = os.pread(self._file.fileno(), min(_HEAD_BYTES, offset), 0)
        self._lines_above = _line_feeds(self._file, offset)

    def _truncated(self) -> bool:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._offset:
            return True
        return bool(self._head) and os.pread(self._file.fileno(), len(self._head), 0) != self._head

    def _replaced(self) -> bool:
        """Say whether the name means another file that has something in it: until then the old one may grow."""
        assert self._file is not None
        if self._queue:
            return True
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return there.st_ino != os.fstat(self._file.fileno()).st_ino and there.st_size > 0

    def _begin(self) -> None:
        """Open at the right place: the file that was being read, wherever it is now, then those after it."""
        place = self._resume
        if place is None:
            self._open(self._path, 0)
            if self._file is not None and not self._from_start:
                self._open(self._path, _last_line_end(self._file))
            return
        rotated = _siblings(self._path)
        holding = [one for one in (self._path, *rotated) if _holds(one, place)]
        found = next((one for one in holding if _inode(one) == place.inode), next(iter(holding), None))
        if found is None:
            self.lost = place.offset > 0
            self._open(self._path, 0)
            return
        if found != self._path:
            self._queue = [one for one in rotated if _mtime(one) > _mtime(found)]
        self._open(found, place.offset)


def _siblings(path: Path) -> list[Path]:
    """Give the rotated files of a log (app.log.1, app.log-20261122, app-20261122.log, also .gz), oldest first."""
    rotated = re.compile(
        rf"{re.escape(path.name)}[.-]\d[\w.-]*|{re.escape(path.stem)}[.-]\d[\d._-]*{re.escape(path.suffix)}(?:\.gz)?"
    )
    try:
        there = [one for one in path.parent.iterdir() if rotated.fullmatch(one.name) and one.is_file()]
    except OSError:
        return []
    return sorted(there, key=_mtime)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _holds(path: Path, place: Position) -> bool:
    """Say whether a file is the one that was being read, and still reaches to the place."""
    try:
        status = path.stat()
        packed = path.suffix == ".gz"
        if not packed and status.st_size < place.offset:
            return False
        if not place.head_bytes:  # nothing read yet: only the inode can tell
            return status.st_ino == place.inode
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(place.head_bytes)
    except (OSError, EOFError, zlib.error):
        return False
    return hashlib.sha256(head).hexdigest() == place.fingerprint


def _opened(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return path.open("rb", buffering=0)
    plain = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the follower closes it)
    try:
        with gzip.open(path) as packed:
            while piece := packed.read1(_BLOCK):
                plain.write(piece)
    except (EOFError, zlib.error):
        pass  # cut short: what could be read of it is there
    return plain


def _line_feeds(file: IO[bytes], end: int) -> int:
    """Count the line feeds before `end`, a gigabyte in about a second."""
    starts = range(0, end, _BLOCK)
    return sum(os.pread(file.fileno(), min(_BLOCK, end - at), at).count(b"\n") for at in starts)


def _last_line_end(file: IO[bytes]) -> int:
    """Give where the last whole line ends: a line being written at the start is given whole."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - (1 << 16))
    tail = os.pread(file.fileno(), size - start, start)
    end = tail.rfind(b"\n")
    return start + end + 1 if end >= 0 else size

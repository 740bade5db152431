"""How is a save stopped at any of its calls to the system? All that write are taken in hand, Python's `open` too.

Only calls made from Python are seen: what a library writes from C++ or Rust is not.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CALLS = ("open", "write", "fsync", "ftruncate", "rename", "replace", "link", "mkdir", "unlink", "remove", "rmdir")


@contextmanager
def watched(step: Callable[[], None]) -> Iterator[None]:
    """Inside the block call `step` before each call that changes the disk, and in the middle of each write."""
    real = {name: getattr(os, name) for name in CALLS}
    for name in CALLS:
        setattr(os, name, _stepping(name, real[name], step))
    opened = builtins.open
    builtins.open = io.open = _open
    try:
        yield
    finally:
        builtins.open = io.open = opened
        for name, function in real.items():
            setattr(os, name, function)


def _stepping(name: str, real: Callable[..., Any], step: Callable[[], None]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            step()
        return real(*args, **kwargs)

    def write(handle: int, data: Any) -> int:
        view = memoryview(data).cast("B")
        half = len(view) // 2
        step()
        done = int(real(handle, view[:half])) if half else 0
        if half:
            step()
        return done + int(real(handle, view[half:]))

    return write if name == "write" else call


_open_really = builtins.open
_FLAGS = {"w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL, "r": 0}


def _open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """Do as `open` does, with files that are written through the functions of `os`."""
    if isinstance(file, int) or not set(mode) & set("wax+"):
        return _open_really(file, mode, buffering, encoding, errors, newline, closefd, opener)
    both = "+" in mode
    flags = _FLAGS[next(letter for letter in mode if letter in _FLAGS)] | (os.O_RDWR if both else os.O_WRONLY)
    raw = _OsFile(file, flags, mode)
    if buffering == 0:
        return raw
    whole: Any = io.BufferedRandom(raw) if both else io.BufferedWriter(raw)
    return whole if "b" in mode else io.TextIOWrapper(whole, encoding, errors, newline)


class _OsFile(io.RawIOBase):
    """An unbuffered file over `os.open`, `os.write` and their like."""

    def __init__(self, path: Any, flags: int, mode: str) -> None:
        self.name, self.mode = os.fspath(path), mode
        self._handle = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def readable(self) -> bool:
        return "+" in self.mode

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def readinto(self, buffer: Any) -> int:
        data = os.read(self._handle, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        return os.write(self._handle, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._handle, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._handle, 0, os.SEEK_CUR)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        os.ftruncate(self._handle, size)
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)

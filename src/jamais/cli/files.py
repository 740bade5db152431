"""How is a result written so that it is whole or not there?"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jamais.cli.output import OutputError
from jamais.errors import InputError


@contextmanager
def opened(out: str | None) -> Iterator[IO[bytes]]:
    """Open standard output, or a file that takes its name when all of it is written; raises InputError."""
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(os.path.realpath(out))
    try:
        with _in_place(path) if path.exists() and not path.is_file() else _renamed(path) as file:
            yield file
    except (BrokenPipeError, OutputError):
        raise
    except OSError as wrong:
        raise InputError(f"cannot write {out}: {wrong.strerror or wrong}; nothing was written") from wrong


@contextmanager
def _in_place(path: Path) -> Iterator[IO[bytes]]:
    """A device or a pipe: renaming a file over it would destroy it."""
    with path.open("wb") as file:
        yield file


@contextmanager
def _renamed(path: Path) -> Iterator[IO[bytes]]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or of any new file."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask

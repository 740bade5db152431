"""Where does a store lie? What it asks of a disk or of an object store, and the disk's answers.

A store is written so that little is needed: immutable objects first, then one small file that must not exist yet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jamais.errors import InputError, JamaisError, StateError
from jamais.persistence import files
from jamais.persistence.digests import Bytes


class Reading(Protocol):
    """A file that is open for reading."""

    size: int

    def read_into(self, target: memoryview, offset: int) -> None:
        """Fill `target` from `offset`; raise CorruptStateError when the file ends before."""
        ...

    def was_compared(self, offset: int, digest: str) -> bool:
        """Say whether the bytes from `offset` were compared with this digest since the file last changed."""
        ...

    def note_compared(self, offset: int, digest: str) -> None: ...


@dataclass(frozen=True)
class Found:
    """A plain file, without its content."""

    size: int
    age_s: float


class Place(Protocol):
    """A folder on a disk, or a prefix in an object store. Names are relative, with `/`."""

    grace_s: float
    """How old an unreferenced object must be before it may be swept: 0 where `locked` keeps writers out."""

    holds_folders: bool
    """Whether there can be versions of format 0, which are folders."""

    def __str__(self) -> str: ...

    def exists(self) -> bool: ...

    def names(self, folder: str) -> list[str]:
        """List the files and folders in a folder; nothing if there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Give the size of a plain file; None if it is missing or something else."""
        ...

    def files(self, folder: str) -> dict[str, Found]:
        """Give the plain files in a folder with size and age; nothing if there is none."""
        ...

    def read(self, name: str, *, size: int | None = None, limit: int) -> bytes: ...

    def opened(self, name: str) -> contextlib.AbstractContextManager[Reading]: ...

    def prepare(self) -> None:
        """Make the place a store if it is empty; raise InputError when it belongs to somebody else."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Let nobody else change the store inside the block; where that cannot be, let nobody remove anything."""
        ...

    def alone(self) -> contextlib.AbstractContextManager[bool]:
        """Say whether nobody else is saving, and keep others from beginning inside the block; only while locked."""
        ...

    def clean(self) -> None:
        """Remove what writers that died have left; only while locked."""
        ...

    def drafts(self) -> Path:
        """Give a folder on this machine to write new objects in before they are adopted."""
        ...

    def adopt(self, draft: Path, name: str) -> None:
        """Make a finished, flushed draft the file `name`."""
        ...

    def settle(self, folder: str) -> None:
        """Have the names in a folder on the disk before returning."""
        ...

    def put(self, name: str, data: Bytes) -> None:
        """Write or replace a small file as a whole, durably."""
        ...

    def put_new(self, name: str, data: Bytes) -> bool:
        """Write a small file durably if there is none of this name; say whether this call did it."""
        ...

    def append(self, name: str, line: bytes) -> None: ...

    def lines(self, name: str) -> list[bytes]: ...

    def remove(self, name: str) -> None: ...

    def refusals(self) -> contextlib.AbstractContextManager[None]:
        """Turn what the disk or the network says while writing into StateError."""
        ...


STORE_FILE = "STORE.json"
FOLDERS = ("objects", "versions", "refs")
MAX_LOG_BYTES = 256 * 1024 * 1024
PAGE_LINES = 100
"""An object store holds a log as pages, `log.jsonl.d/000000001.jsonl` …; each repeats the lines since a full one."""
_PAGE = re.compile(r"[0-9]{9}\.jsonl")


class Disk:
    """A folder on this machine."""

    grace_s = 0.0
    holds_folders = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def exists(self) -> bool:
        return os.path.lexists(self.folder)

    def names(self, folder: str) -> list[str]:
        try:
            return os.listdir(self.folder / folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StateError(f"{self.folder / folder}: {error.strerror}: check its permissions") from error

    def size(self, name: str) -> int | None:
        try:
            found = os.lstat(self.folder / name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StateError(f"{self.folder / name}: {error.strerror}: check its permissions") from error
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def files(self, folder: str) -> dict[str, Found]:
        found, now = {}, time.time()
        for name in self.names(folder):
            with contextlib.suppress(OSError):
                about = os.lstat(self.folder / folder / name)
                if stat.S_ISREG(about.st_mode):
                    found[name] = Found(about.st_size, now - about.st_mtime)
        return found

    def read(self, name: str, *, size: int | None = None, limit: int) -> bytes:
        return files.read(self.folder / name, size=size, limit=limit)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[Reading]:
        handle, size = files.open_plain(self.folder / name)
        try:
            yield _OpenFile(handle, size, str(self.folder / name))
        finally:
            os.close(handle)

    def prepare(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file: give a folder to save to")
        if not (self.folder / "versions").is_dir() and self.folder.is_dir():
            inside = os.listdir(self.folder)
            if set(inside) - {"objects", "refs", "lock", "README.txt", STORE_FILE} and not _drafts_only(inside):
                raise InputError(f"{self.folder} is not empty and not a watcher: choose another folder")
        for name in FOLDERS:
            files.make_folder(self.folder / name)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        return files.locked(self.folder / "lock")

    def alone(self) -> contextlib.AbstractContextManager[bool]:
        return contextlib.nullcontext(True)

    def clean(self) -> None:
        # Under the lock nobody else is writing, so whatever is temporary was left by a process that died.
        for folder in ("", *FOLDERS):
            for name in self.names(folder):
                if name.startswith(files.TEMPORARY):
                    files.remove(self.folder / folder / name)

    def drafts(self) -> Path:
        return self.folder / "objects"

    def adopt(self, draft: Path, name: str) -> None:
        os.rename(draft, self.folder / name)

    def settle(self, folder: str) -> None:
        files.sync_folder(self.folder / folder)

    def put(self, name: str, data: Bytes) -> None:
        target = self.folder / name
        draft = target.with_name(f"{files.TEMPORARY}{target.name}")
        try:
            files.write(draft, data)
            os.rename(draft, target)
        except BaseException:
            with contextlib.suppress(OSError):
                files.remove(draft)
            raise
        files.sync_folder(target.parent)

    def put_new(self, name: str, data: Bytes) -> bool:
        target = self.folder / name
        draft = target.with_name(f"{files.TEMPORARY}{target.name}")
        try:
            files.write(draft, data)
            if not _named(draft, target):
                return False
            try:
                files.sync_folder(target.parent)
            except OSError:
                files.remove(target)  # what is reported as not saved must not be there
                raise
        finally:
            with contextlib.suppress(OSError):
                files.remove(draft)
        return True

    def append(self, name: str, line: bytes) -> None:
        handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            end = os.lseek(handle, 0, os.SEEK_END)
            torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"  # the power failed in the middle of a line
            files.write_all(handle, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        files.sync_folder((self.folder / name).parent)

    def lines(self, name: str) -> list[bytes]:
        # Pages come from an object store that was copied here.
        parts = [f"{name}.d/{page}" for page in pages_to_read(self.names(f"{name}.d"))]
        parts += [name] if self.size(name) is not None else []
        read = (files.read(self.folder / part, limit=MAX_LOG_BYTES) for part in parts)
        return [line for data in read for line in data.split(b"\n") if line]

    def remove(self, name: str) -> None:
        files.remove(self.folder / name)

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        try:
            yield
        except JamaisError:
            raise
        except OSError as error:
            kept = "nothing was changed, older versions still load"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StateError(
                    f"no room to save to {self.folder} ({error.strerror}): {kept}; free space or raise the "
                    "limit on file sizes, then save again"
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise StateError(
                    f"not allowed to write to {self.folder} ({error.strerror}): {kept}; give this user write "
                    "permission there or save to another folder"
                ) from error
            raise StateError(f"cannot save to {self.folder} ({error}): {kept}") from error


class _OpenFile:
    def __init__(self, handle: int, size: int, where: str) -> None:
        self.size = size
        self._handle = handle
        self._where = where

    def read_into(self, target: memoryview, offset: int) -> None:
        files.read_into(self._handle, target, offset, self._where)

    def was_compared(self, offset: int, digest: str) -> bool:
        return False  # a disk can rot between two looks, and reading again is cheap

    def note_compared(self, offset: int, digest: str) -> None:
        """Forget it."""


def _named(draft: Path, target: Path) -> bool:
    """Give a finished file its name unless the name is taken: a link cannot replace, a rename would."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError:
        if os.path.lexists(target):  # no hard links here (FAT, some network disks); the lock keeps others out
            return False
        os.rename(draft, target)
    return True


def pages_to_read(names: Iterable[str]) -> list[str]:
    """Choose the pages of a log that hold all its lines once: the full ones and the last."""
    pages = sorted(name for name in names if _PAGE.fullmatch(name))
    return [page for page in pages if int(page[:9]) % PAGE_LINES == 0 or page == pages[-1]]


def _drafts_only(inside: list[str]) -> bool:
    return all(name.startswith(files.TEMPORARY) for name in inside)

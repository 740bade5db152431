"""How do bytes reach the disk, and how are bytes from a stranger read?

Every change to a store goes through these few `os` calls, so that a test can kill or refuse each one of them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jamais.errors import CorruptStateError, StateError
from jamais.persistence.digests import Bytes

LOCK_WAIT_S = 60.0
TEMPORARY = ".tmp-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC


def write(path: Path, data: Bytes) -> None:
    """Create a new file and have its content on the disk before returning."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[int]:
    """Give a handle to write a new content of `path` to: at the end it is there whole, or the old one still is.

    The temporary file lies beside it, since a rename cannot cross file systems. Folders above are made. The mode
    is that of the file it replaces, or what the umask leaves of 0666.
    """
    path = Path(os.path.realpath(path))
    make_folder(path.parent)
    work = beside(path)
    handle = os.open(work, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666)
    try:
        try:
            yield handle
            with suppress(FileNotFoundError, PermissionError):
                os.fchmod(handle, stat.S_IMODE(os.stat(path).st_mode))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(work, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(work)
        raise
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Name a temporary file or folder next to `path`, and remove those whose writers died on this machine."""
    host, name = (hashlib.sha256(os.fsencode(one)).hexdigest()[:8] for one in (os.uname().nodename, path.name))
    ours = re.compile(rf"{re.escape(TEMPORARY)}{host}-(\d{{1,9}})-[0-9a-f]{{8}}-{name}")
    for left in os.listdir(path.parent):
        owner = ours.fullmatch(left)
        if owner and not _alive(int(owner[1])):
            with suppress(OSError):
                remove(path.parent / left)
    return path.with_name(f"{TEMPORARY}{host}-{os.getpid()}-{secrets.token_hex(4)}-{name}")


def write_all(handle: int, data: Bytes) -> None:
    """Write all of `data` where the handle stands; one call of the system may take only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def replace_folder(work: Path, target: Path) -> None:
    """Put the finished folder `work` in the place of `target`, whole or not at all, and remove the old one.

    `work` is made at `beside(target)`. All of it is flushed first; then both names are exchanged in one step where the
    system can do that (Linux). Elsewhere the old folder steps aside first: a crash between the two leaves it
    beside, as `.old-…`.
    """
    sync_tree(work)
    if not target.exists():
        os.rename(work, target)
    elif not _exchange(work, target):
        aside = target.with_name(f".old-{os.getpid()}-{target.name}")
        os.rename(target, aside)
        os.rename(work, target)
        os.rename(aside, work)
    sync_folder(target.parent)
    remove(work)


def sync_tree(folder: Path) -> None:
    """Have every file and folder below a folder on the disk before returning; links are not followed."""
    for above, folders, names in os.walk(folder):
        for name in [*names, *folders]:
            inside = Path(above, name)
            if not stat.S_ISREG(os.lstat(inside).st_mode):
                continue
            handle = os.open(inside, os.O_RDONLY | _NO_LINKS)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(above))


def link_or_write(path: Path, data: bytes, twin: Path | None) -> None:
    """Make `path` share the disk blocks of `twin` if that really holds `data`; else write it."""
    if twin is not None and _holds(twin, data):
        try:
            os.link(twin, path)
        except OSError:
            pass  # no hard links here (FAT, some network disks), or too many on one file
        else:
            return
    write(path, data)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each on the disk before returning; leave existing ones alone."""
    if not path.exists():
        make_folder(path.parent)
        with suppress(FileExistsError):  # another process may make it at the same moment
            os.mkdir(path)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk before returning."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file or a folder with all in it; follow no link; do nothing if it is gone."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            for inside in os.listdir(path):
                remove(path / inside)
            os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass


def read(path: Path, *, size: int | None = None, limit: int) -> bytes:
    """Read a plain file of exactly `size` bytes (None: any) and at most `limit`.

    Raises CorruptStateError for a missing file, a link, a pipe, or another size; the size is compared before
    anything is allocated.
    """
    handle, found = open_plain(path)
    try:
        if size is not None and found != size:
            raise CorruptStateError(f"{path}: {found} bytes, the manifest says {size}")
        if found > limit:
            raise CorruptStateError(f"{path}: {found} bytes, at most {limit} are read")
        data = bytearray(found)
        read_into(handle, memoryview(data), 0, str(path))
        return bytes(data)
    finally:
        os.close(handle)


def open_plain(path: Path) -> tuple[int, int]:
    """Open a plain file for reading and give its handle and size; raise CorruptStateError for anything else."""
    try:
        # O_NONBLOCK: opening a pipe somebody put there must not wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _NO_LINKS)
    except FileNotFoundError:
        raise CorruptStateError(f"{path}: missing") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENOTDIR):
            raise CorruptStateError(f"{path}: not a plain file") from None
        raise _unreadable(str(path), error) from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise CorruptStateError(f"{path}: not a plain file")
    return handle, found.st_size


def read_into(handle: int, target: memoryview, offset: int, where: str) -> None:
    """Fill `target` from `offset` of an open file; raise CorruptStateError when the file ends before."""
    done = 0
    try:
        while done < len(target):
            n = os.preadv(handle, [target[done:]], offset + done)
            if not n:
                raise CorruptStateError(f"{where}: shrank while it was read")
            done += n
    except OSError as error:
        raise _unreadable(where, error) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one on this machine inside this block; raise StateError when another does not leave it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o666)
    try:
        end = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StateError(
                        f"{path}: another process has held this lock for {LOCK_WAIT_S:.0f} s: end it and save again"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)  # closing releases the lock, as does the end of the process


def _unreadable(where: str, error: OSError) -> StateError:
    # A bad sector is damage, and an older version may be whole; a missing right is not.
    if error.errno == errno.EIO:
        return CorruptStateError(f"{where}: the disk cannot read it ({error.strerror})")
    return StateError(f"{where}: cannot be read ({error.strerror}): check its permissions")


def _holds(path: Path, data: bytes) -> bool:
    # A damaged file must not be handed on to the next version: compare, do not trust the manifest.
    try:
        return read(path, size=len(data), limit=len(data)) == data
    except StateError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _exchange(one: Path, other: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return True
    if ctypes.get_errno() in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))

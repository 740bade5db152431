"""How does an object store answer what a store of versions asks of a place?

Objects first, the manifest last, and the manifest only if there is none of its number: the object store itself decides
which of two writers was first. Nothing is renamed, nothing is locked, nothing but names of versions is ever replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, InputError, JamaisError, StateError
from jamais.persistence import files
from jamais.persistence.digests import Bytes
from jamais.persistence.versions.place import FOLDERS, MAX_LOG_BYTES, PAGE_LINES, STORE_FILE, Found, pages_to_read
from jamais.persistence.versions.remote import manifests, marks
from jamais.persistence.versions.remote.bucket import PROOF, Bucket
from jamais.persistence.versions.remote.manifests import Manifests
from jamais.persistence.versions.remote.marks import Mark
from jamais.persistence.versions.remote.network import UnreachableError
from jamais.persistence.versions.remote.reading import Blocks, OpenObject

GRACE_S = 24 * 3600.0
"""What is younger is never swept: somebody may be copying a store here, objects first, who knows nothing of marks."""
_OURS = {*FOLDERS, marks.FOLDER, PROOF, STORE_FILE, "README.txt"}
_TRIES = 100


class Remote:
    """A prefix in an object store, by an address that fsspec knows: `s3://bucket/app`.

    `options` go to the file system of fsspec (`endpoint_url`, …). Nothing is sent before it is asked for.
    """

    holds_folders = False

    def __init__(self, url: str, *, grace_s: float = GRACE_S, options: Mapping[str, Any] | None = None) -> None:
        self.grace_s = grace_s
        self._bucket = Bucket(url, options or {})
        self._blocks = Blocks(self._bucket)
        self._manifests = Manifests(self._bucket)
        self._compared: dict[str, tuple[str, set[tuple[int, str]]]] = {}
        self._mark: Mark | None = None
        self._sweep: Mark | None = None
        self._drafts: Path | None = None
        self._here = threading.Lock()

    def __str__(self) -> str:
        return self._bucket.url

    # --- reading

    def exists(self) -> bool:
        return bool(self._bucket.entries(""))

    def names(self, folder: str) -> list[str]:
        found = self._bucket.entries(folder)
        if folder == manifests.FOLDER:
            self._manifests.note(found)
        return [one.name for one in found]

    def files(self, folder: str) -> dict[str, Found]:
        now = time.time() + (self._mark.ahead_s if self._mark else 0.0)
        found = self._bucket.entries(folder)
        return {one.name: Found(one.size, now - one.written) for one in found if one.size is not None}

    def size(self, name: str) -> int | None:
        found = self._bucket.look(name)
        return found.size if found else None

    def read(self, name: str, *, size: int | None = None, limit: int) -> bytes:
        folder, _, file = name.rpartition("/")
        data = self._manifests.get(file, limit) if folder == manifests.FOLDER else None
        if data is None:
            data = self._fetched(name, limit if size is None else min(size, limit))
        if len(data) > limit:
            raise CorruptStateError(f"{self}/{name}: more than the {limit} bytes that are read")
        if size is not None and len(data) != size:
            found = f"more than {size}" if len(data) > size else len(data)
            raise CorruptStateError(f"{self}/{name}: {found} bytes, the manifest says {size}")
        return data

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[OpenObject]:
        found = self._bucket.look(name)
        if found is None:
            raise CorruptStateError(f"{self}/{name}: missing")
        tag, compared = self._compared.get(name, ("", set()))
        if not found.tag or tag != found.tag:
            compared = set()
            self._compared[name] = (found.tag, compared)
        yield OpenObject(self._blocks, f"{self}/{name}", name, found, compared)

    def lines(self, name: str) -> list[bytes]:
        # The file itself comes from a disk that was copied here; it is never added to.
        before = self._bucket.look(name)
        parts = [name] if before and before.size else []
        parts += [f"{name}.d/{page}" for page in pages_to_read(self.names(f"{name}.d"))]
        return [line for part in parts for line in self._lines_of(part)]

    # --- writing

    def prepare(self) -> None:
        inside = self.names("")
        if "versions" not in inside and set(inside) - _OURS:
            raise InputError(f"{self} is not empty and not a watcher: choose another address")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._here:  # threads that share this object take turns; processes do not
            self._bucket.check_makes_new()
            self._mark = Mark(self._bucket, "save")
            try:
                marks.wait_for_sweeps(self._mark)
                yield
                self._mark.drop()
            except UnreachableError:
                raise  # the mark runs out by itself
            except BaseException:
                self._mark.drop()
                raise
            finally:
                self._mark = None
                self._remove_drafts()

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        self._sweep = Mark(self._bucket, "sweep")
        try:
            own = self._mark.name if self._mark else ""
            yield not [name for name in self._sweep.others() if name != own]
        finally:
            sweep, self._sweep = self._sweep, None
            sweep.drop()

    def clean(self) -> None:
        if self._mark:
            self._mark.remove_dead()

    def drafts(self) -> Path:
        if self._drafts is None:
            folder = files.beside(Path(tempfile.gettempdir()) / "jamais-drafts")  # removes those of dead processes too
            folder.mkdir(mode=0o700)
            self._drafts = folder
        return self._drafts

    def adopt(self, draft: Path, name: str) -> None:
        self._stay()
        size = os.stat(draft).st_size
        self._bucket.upload(draft, name)
        arrived = self.size(name)
        if arrived != size:
            raise StateError(f"{self}/{name}: {size} bytes were sent, {arrived} arrived: save again")
        files.remove(draft)

    def settle(self, folder: str) -> None:
        """Do nothing: what an object store has confirmed it keeps."""

    def put(self, name: str, data: Bytes) -> None:
        self._stay()
        self._bucket.put(name, data)

    def put_new(self, name: str, data: Bytes) -> bool:
        self._stay()
        return self._bucket.make(name, data)

    def append(self, name: str, line: bytes) -> None:
        for _ in range(_TRIES):
            pages = pages_to_read(self.names(f"{name}.d"))
            last = int(pages[-1][:9]) if pages else 0
            before = self._lines_of(f"{name}.d/{pages[-1]}") if last % PAGE_LINES else []
            page = b"".join(one + b"\n" for one in [*before, line])
            if self.put_new(f"{name}.d/{last + 1:09d}.jsonl", page):
                return
        raise StateError(f"{self}/{name}: others were faster {_TRIES} times: do it again")

    def remove(self, name: str) -> None:
        self._stay()
        self._bucket.delete(name)

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        try:
            yield
        except JamaisError:
            raise
        except OSError as error:  # of the drafts: whatever the network says is a StateError already
            room = "; free space there or name another folder in TMPDIR" if error.errno == errno.ENOSPC else ""
            raise StateError(
                f"cannot write drafts for {self} in {tempfile.gettempdir()} ({error.strerror}): nothing was changed, "
                f"older versions still load{room}"
            ) from error

    def _stay(self) -> None:
        for mark in (self._mark, self._sweep):
            if mark:
                mark.keep()

    def _fetched(self, name: str, most: int) -> bytes:
        try:
            return self._bucket.get(name, [(0, most + 1)])[0]
        except FileNotFoundError:
            raise CorruptStateError(f"{self}/{name}: missing") from None
        except StateError:
            if self.size(name) != 0:  # a range of an empty file is refused
                raise
            return b""

    def _remove_drafts(self) -> None:
        if self._drafts:
            with contextlib.suppress(OSError):
                files.remove(self._drafts)
            self._drafts = None

    def _lines_of(self, part: str) -> list[bytes]:
        return [line for line in self.read(part, limit=MAX_LOG_BYTES).split(b"\n") if line]

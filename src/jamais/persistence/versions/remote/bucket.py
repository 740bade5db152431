"""What can be asked of an object store? List, look, get, put, upload, delete, and make what must not exist yet."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jamais.errors import InputError, StateError
from jamais.persistence.digests import Bytes
from jamais.persistence.versions.remote import network

MAKES_NEW = {
    "s3": "If-None-Match: *",
    "s3a": "If-None-Match: *",
    "gs": "ifGenerationMatch=0",
    "gcs": "ifGenerationMatch=0",
    "abfs": "If-None-Match: *",
    "abfss": "If-None-Match: *",
    "az": "If-None-Match: *",
    "memory": "a lock of this process",
}
"""Kinds of address whose client has the server refuse what exists; any other would look first and then write."""
PROOF = "create-once.txt"
_PROOF_TEXT = b"Made once. It shows a writer whether this object store refuses to make what is there already.\n"
_PART_BYTES = 8 * 1024 * 1024
_UPLOAD = {"s3": {"chunksize": _PART_BYTES, "max_concurrency": 4}}
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")
_TAGS = ("ETag", "etag", "generation")
_IN_PROCESS = threading.Lock()


@dataclass(frozen=True)
class Entry:
    """A file (or a folder, which has no size); `tag` changes whenever its content does, and may be missing."""

    name: str
    size: int | None
    written: float
    tag: str


class Bucket:
    """A prefix in an object store. Names are relative to it. Whatever goes wrong is a JamaisError.

    A missing file is FileNotFoundError, for the caller to say what that means.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = network.shown(url).rstrip("/")
        self._raw_url = url
        self._options = options
        self._kind = url.partition("://")[0]
        self._connected: tuple[int, Any, str] | None = None
        self._proven = False

    def entries(self, folder: str) -> list[Entry]:
        """List files and folders in a folder; nothing if there is none."""
        file_system, path = self._at(folder)
        with network.told(f"{self.url}/{folder}".rstrip("/")):
            try:
                file_system.invalidate_cache()
                found = file_system.ls(path, detail=True)
            except FileNotFoundError:
                return []
        entries = [_entry(one) for one in found if str(one["name"]).strip("/") != path.strip("/")]
        return [one for one in entries if one.name]

    def look(self, name: str) -> Entry | None:
        """Describe one file; None if it is missing or a folder."""
        file_system, path = self._at(name)
        with network.told(f"{self.url}/{name}"):
            try:
                file_system.invalidate_cache()
                found = _entry(file_system.info(path))
            except FileNotFoundError:
                return None
        return found if found.size is not None else None

    def get(self, name: str, ranges: list[tuple[int, int]]) -> list[bytes]:
        """Read ranges of a file, at the same time; a range is cut where the file ends."""
        return self._get([name] * len(ranges), [start for start, _ in ranges], [end for _, end in ranges])

    def get_files(self, names: list[str], sizes: list[int]) -> list[bytes]:
        """Read files, at the same time; of each at most one byte more than it is said to have."""
        return self._get(names, [0] * len(names), [size + 1 for size in sizes])

    def put(self, name: str, data: Bytes) -> None:
        """Write or replace a file as a whole."""
        file_system, path = self._at(name)
        with self._writing(name):
            file_system.pipe_file(path, bytes(data))

    def upload(self, source: Path, name: str) -> None:
        """Write or replace a file with the content of one on this machine, in parts where it is large."""
        file_system, path = self._at(name)
        with self._writing(name):
            file_system.put_file(str(source), path, **_UPLOAD.get(self._kind, {}))

    def delete(self, name: str) -> None:
        """Delete a file; do nothing if it is gone."""
        file_system, path = self._at(name)
        with network.told(f"{self.url}/{name}"), contextlib.suppress(FileNotFoundError, KeyError):
            file_system.rm_file(path)

    def make(self, name: str, data: Bytes) -> bool:
        """Write a file if there is none of this name, and say whether this call did; never replace one.

        An answer can get lost, and the client repeats the request: then its own file is in the way of the second.
        So whatever is said, what lies there decides.
        """
        for _ in range(3):
            problem: StateError | None = None
            try:
                self._make(name, data)
                return True
            except FileExistsError:
                pass
            except StateError as error:
                problem = error
            try:
                return self.get(name, [(0, len(data) + 1)]) == [bytes(data)]
            except FileNotFoundError:
                if problem:
                    raise problem from None
            except StateError as error:
                raise StateError(
                    f"{problem or error}. Whether {name} was written is not known: look at the history once the "
                    "object store answers"
                ) from error
        raise StateError(f"{self.url}/{name}: said to be there, but it is not: save again")

    def check_makes_new(self) -> None:
        """Raise StateError unless this store refuses to make what exists: many servers take the wish and ignore it."""
        if self._kind not in MAKES_NEW:
            raise StateError(
                f"{self.url}: fsspec cannot make a file only if there is none at {self._kind}://, so two writers could "
                f"both win: nothing was saved. Save to a folder, or to {', '.join(f'{kind}://' for kind in MAKES_NEW)}"
            )
        for _ in range(2 if not self._proven else 0):
            try:
                self._make(PROOF, _PROOF_TEXT)
            except FileExistsError:
                self._proven = True
                return
        if not self._proven:
            raise StateError(
                f"{self.url}: this server ignores '{MAKES_NEW[self._kind]}' and replaces what exists, so two writers "
                "could both win: nothing was saved. Use a server that knows conditional writes, or save to a folder"
            )

    def _get(self, names: list[str], starts: list[int], ends: list[int]) -> list[bytes]:
        placed = [self._at(name) for name in names]
        file_system = placed[0][0]
        with network.told(f"{self.url}/{names[0]}"):
            if len(placed) == 1:
                return [bytes(file_system.cat_file(placed[0][1], start=starts[0], end=ends[0]))]
            paths = [path for _, path in placed]
            return [bytes(one) for one in file_system.cat_ranges(paths, starts, ends, on_error="raise")]

    def _make(self, name: str, data: Bytes) -> None:
        file_system, path = self._at(name)
        lock = _IN_PROCESS if self._kind == "memory" else contextlib.nullcontext()
        with self._writing(name), lock:
            try:
                file_system.pipe_file(path, bytes(data), mode="create")
            except Exception as error:
                if network.is_in_the_way(error):
                    raise FileExistsError(name) from error
                raise

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        with network.told(f"{self.url}/{name}"):
            try:
                yield
            except Exception as error:
                if network.is_no_bucket(error):
                    said = str(error).partition("\n")[0]
                    raise InputError(f"{self.url}: no such bucket ({said}): make it, or check its name") from error
                raise

    def _at(self, name: str) -> tuple[Any, str]:
        # The clients of fsspec do not survive a fork: a child connects anew.
        if self._connected is None or self._connected[0] != os.getpid():
            self._connected = (os.getpid(), *network.connect(self._raw_url, self._options))
        _, file_system, root = self._connected
        return file_system, f"{root}/{name}".rstrip("/")


def _entry(info: Mapping[str, Any]) -> Entry:
    written = _seconds(next((info[key] for key in _TIMES if info.get(key)), None))
    tag = next((str(info[key]) for key in _TAGS if info.get(key)), "")
    size = int(info["size"] or 0) if info["type"] == "file" else None
    name = str(info["name"]).rstrip("/").rpartition("/")[2]
    return Entry(name, size, written, f"{tag} {written} {size}" if tag else "")


def _seconds(when: Any) -> float:
    """Give a time as seconds since 1970; now, if the store does not say: what has no age is not old."""
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return float(when) if when is not None else datetime.now(UTC).timestamp()

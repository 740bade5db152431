"""Which versions of a state exist, and how does a new one come to be without endangering the old?

    DIR/README.txt                 what this folder is
    DIR/lock                       held while a version is being added
    DIR/versions/0003/             one version, never changed again
        manifest.json              kind, reason, parent, time, metrics, sha256 and size of every file
        state.json  *.safetensors  the state

There is no pointer to "the current version" that could disagree with the folders: it is the highest number
whose manifest is whole. A version is built under a temporary name, all of it is flushed, and one rename of
that folder makes it exist. A file that an older version already has is a hard link to it, so deleting a
version folder by hand never harms another.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jamais.errors import CorruptStateError, InputError, JamaisError, StaleVersionError, StateError
from jamais.persistence import files, manifest, parts
from jamais.persistence.manifest import FileEntry, Manifest, VersionInfo
from jamais.types import StateTree

_NUMBER = re.compile(r"[0-9]{4,9}")
_TEMPORARY = ".tmp-"
_README = """\
This folder is a watcher of jamais: what it learned, as numbered versions.

versions/0003/manifest.json says when and why version 3 was made and which bytes belong to it. The highest
number counts. Nothing in a version changes once it is there; a version may be deleted by deleting its folder.

Look:     jamais history THIS_FOLDER
Go back:  jamais rollback THIS_FOLDER 2
Copy:     cp -a or rsync -aH (versions share unchanged files as hard links)
"""


class VersionStore:
    """All versions of one state in one folder. Nothing is read or made before it is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._versions = self.folder / "versions"

    @property
    def current(self) -> int | None:
        """The newest version whose manifest and file sizes are right; None if there is none."""
        for number in reversed(self._numbers()):
            if not self._damage_at_a_glance(number):
                return number
        return None

    def commit(
        self,
        tree: StateTree,
        *,
        reason: str,
        kind: str,
        metrics: Mapping[str, float] | None = None,
        parent: int | None,
    ) -> int:
        """Add a version and return its number, or raise and leave the store as it was.

        `parent` is the version the state was loaded from or last saved as (None: a new store). Raises
        StaleVersionError when a good version other than `parent` is the newest, StateError when a leaf cannot
        be saved or the disk refuses, InputError when the folder belongs to somebody else.
        """
        contents = parts.pack(tree)  # a leaf that cannot be saved shows here, before the disk is touched
        with self._writing():
            if parent is not None and not self._versions.is_dir():
                raise StaleVersionError(f"{self.folder} holds no version {parent}, which this state came from")
            self._prepare_folder()
            with files.locked(self.folder / "lock"):
                self._refuse_stale(parent)
                self._clean()
                number = max(self._numbers(), default=0) + 1
                now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                info = VersionInfo(number, now, reason, kind, parent, dict(metrics or {}))
                self._write(info, contents)
        return number

    def load(self, version: int | None = None) -> tuple[StateTree, VersionInfo]:
        """Read and verify one version: the newest good one, or exactly `version`.

        Damaged versions newer than the one returned are named in `info.warnings`. Raises InputError when
        there is no store, CorruptStateError when `version`, or every version, is damaged.
        """
        numbers = self._existing()
        if version is not None:
            return self._load_one(self._checked(version, numbers))
        damage: list[str] = []
        for number in reversed(numbers):
            try:
                tree, info = self._load_one(number)
            except CorruptStateError as error:
                damage.append(f"version {number} is damaged ({error})")
                continue
            if damage:
                damage.append(f"version {number} was loaded instead")
            return tree, replace(info, warnings=tuple(damage))
        raise CorruptStateError(f"{self.folder}: no version is whole: " + "; ".join(damage))

    def info(self, version: int | None = None) -> VersionInfo:
        """Describe one version (None: the current one) without reading its tensors."""
        numbers = self._existing()
        if version is None:
            version = self.current
            if version is None:
                return self._describe(numbers[-1])
        return self._describe(self._checked(version, numbers))

    def history(self) -> list[VersionInfo]:
        """Describe all versions, oldest first, without their tensors; damaged ones carry a warning."""
        return [self._describe(number) for number in self._existing()]

    def verify(self) -> list[str]:
        """Read every byte of every version and say what is wrong; an empty list means nothing is."""
        problems: list[str] = []
        for number in self._existing():
            try:
                self._load_one(number)
                expected = {manifest.NAME, *self._manifest(number).files}
                strangers = sorted(set(os.listdir(self._path(number))) - expected)
                problems += [f"{self._path(number) / name}: does not belong here" for name in strangers]
            except StateError as error:
                problems.append(f"version {number}: {error}")
        return problems

    # --- reading

    def _path(self, number: int) -> Path:
        return self._versions / f"{number:04d}"

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._versions)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StateError(f"{self._versions}: {error.strerror}: check its permissions") from error
        return sorted(int(n) for n in names if _NUMBER.fullmatch(n) and n == f"{int(n):04d}")

    def _existing(self) -> list[int]:
        try:
            if not self.folder.exists():
                raise InputError(f"no watcher at {self.folder}: jamais fit … --out {self.folder} makes one")
            if not self._versions.is_dir() or self._versions.is_symlink():
                raise InputError(f"{self.folder} is not a watcher: it has no folder 'versions'")
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror}: check its permissions") from error
        numbers = self._numbers()
        if not numbers:
            raise InputError(f"{self.folder} holds no version: its first save did not finish, run fit again")
        return numbers

    def _checked(self, version: int, numbers: list[int]) -> int:
        if version not in numbers:
            known = ", ".join(map(str, numbers[-10:]))
            raise InputError(f"{self.folder} has no version {version}; the newest are {known}")
        return version

    def _manifest(self, number: int) -> Manifest:
        return manifest.read(self._path(number), number)

    def _load_one(self, number: int) -> tuple[StateTree, VersionInfo]:
        read = self._manifest(number)
        folder = self._path(number)
        contents: dict[str, bytes] = {}
        for name, wanted in read.files.items():
            data = files.read(folder / name, size=wanted.size, limit=manifest.MAX_FILE_BYTES)
            if manifest.entry(data) != wanted:
                raise CorruptStateError(f"{folder / name}: not the bytes that were written (sha256)")
            contents[name] = data
        return parts.unpack(contents, str(folder)), read.info

    def _damage_at_a_glance(self, number: int) -> str:
        try:
            for name, wanted in self._manifest(number).files.items():
                found = os.lstat(self._path(number) / name)
                if not stat.S_ISREG(found.st_mode) or found.st_size != wanted.size:
                    return f"{self._path(number) / name}: not a file of {wanted.size} bytes"
        except FileNotFoundError as error:
            return f"{error.filename}: missing"
        except CorruptStateError as error:
            return str(error)
        except OSError as error:
            raise StateError(f"{error.filename}: {error.strerror}: check its permissions") from error
        return ""

    def _describe(self, number: int) -> VersionInfo:
        damage = self._damage_at_a_glance(number)
        warnings = (f"version {number} is damaged ({damage})",) if damage else ()
        try:
            return replace(self._manifest(number).info, warnings=warnings)
        except CorruptStateError:
            return VersionInfo(number, "", "", "", None, jamais_version="", warnings=warnings)

    # --- writing

    def _refuse_stale(self, parent: int | None) -> None:
        for number in reversed(self._numbers()):
            if number == parent:
                return
            with contextlib.suppress(CorruptStateError):
                self._load_one(number)
                came = "a new one" if parent is None else f"version {parent}"
                raise StaleVersionError(
                    f"{self.folder} is at version {number}, this state is {came}: nothing was saved; "
                    "load it again and repeat the change, or save to another folder"
                )
        if parent is not None:
            raise StaleVersionError(f"{self.folder} holds no version {parent}, which this state came from")

    def _prepare_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file: give a folder to save to")
        if not self._versions.is_dir():
            if self.folder.is_dir() and os.listdir(self.folder):
                raise InputError(f"{self.folder} is not empty and not a watcher: choose another folder")
            files.make_folder(self._versions)

    def _clean(self) -> None:
        # Under the lock nobody else is writing, so whatever is temporary was left by a process that died.
        for folder in (self.folder, self._versions):
            for name in os.listdir(folder):
                if name.startswith(_TEMPORARY):
                    files.remove(folder / name)
        readme = self.folder / "README.txt"
        if not readme.exists():
            files.write(self.folder / f"{_TEMPORARY}README", _README.encode())
            os.rename(self.folder / f"{_TEMPORARY}README", readme)
            files.sync_folder(self.folder)

    def _write(self, info: VersionInfo, contents: Iterator[tuple[str, bytes]]) -> None:
        work, target = self._versions / f"{_TEMPORARY}{info.number:04d}", self._path(info.number)
        twins = self._stored_files()
        listed: dict[str, FileEntry] = {}
        try:
            os.mkdir(work)
            for name, data in contents:
                listed[name] = manifest.entry(data)
                files.link_or_write(work / name, data, twins.get(listed[name]))
            files.write(work / manifest.NAME, manifest.to_bytes(Manifest(info, listed)))
            files.sync_folder(work)
            os.rename(work, target)  # the commit point
            try:
                files.sync_folder(self._versions)
            except OSError:
                os.rename(target, work)  # what is reported as not saved must not be there
                raise
        except BaseException:
            with contextlib.suppress(OSError):
                files.remove(work)
            raise

    def _stored_files(self) -> dict[FileEntry, Path]:
        stored: dict[FileEntry, Path] = {}
        for number in self._numbers():
            with contextlib.suppress(StateError):
                folder, listed = self._path(number), self._manifest(number).files
                stored.update((found, folder / name) for name, found in listed.items())
        return stored

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
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

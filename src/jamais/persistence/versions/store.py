"""Which versions of a state exist, and how does a new one come to be without endangering the old?

    DIR/STORE.json                 which programs may read and write here
    DIR/versions/0003.json         one version: reason, parent, metrics, and which bytes of which objects it is
    DIR/objects/<sha256>.…         immutable content, shared by versions
    DIR/refs/                      names of versions, and the log of who moved them (refs.py)
    DIR/lock                       held while something is added or removed

There is no pointer to "the current version" that could disagree with the rest: it is the highest number whose
manifest is sound. A commit writes and flushes the objects first; then one small file that must not exist yet, the
manifest, makes the version exist. Readers take no lock: nothing they read ever changes.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, InputError, JamaisError, StaleVersionError, StateError
from jamais.persistence import json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.tree import flatten
from jamais.persistence.versions import manifest, sweep
from jamais.persistence.versions import refs as names
from jamais.persistence.versions.manifest import Manifest, VersionInfo
from jamais.persistence.versions.objects import Packer
from jamais.persistence.versions.place import STORE_FILE, Disk, Place
from jamais.persistence.versions.refs import Move
from jamais.persistence.versions.retention import Retention
from jamais.persistence.versions.shelf import Shelf
from jamais.persistence.versions.sweep import Swept
from jamais.types import StateTree

FORMAT = "jamais-store"
FORMAT_VERSION = 1
OLDER_MANIFESTS = 8
"""So many of the newest are searched for content that need not be written again."""

_README = """\
This folder is a store of jamais: what a watcher or a model learned, as numbered versions.

versions/0003.json says when and why version 3 was made and which bytes of which files in objects/ belong to it.
The highest number counts. Nothing in versions/ or objects/ changes once it is there.

Look:     jamais history THIS_FOLDER
Go back:  jamais rollback THIS_FOLDER 2
Tidy up:  jamais gc THIS_FOLDER --keep-latest 10 --dry-run
Take out: jamais convert THIS_FOLDER model.bin        (or .json, or a folder that other libraries read)
Copy:     cp -a or rsync -a
"""


class VersionStore:
    """All versions of one state in one place. Nothing is read or made before it is asked for.

    `folder` is a path, or an address that fsspec knows (`s3://bucket/app`; needs `jamais[remote]`).
    """

    def __init__(self, folder: str | Path, place: Place | None = None) -> None:
        self.place = place or _place_of(folder)
        self.folder = self.place.folder if isinstance(self.place, Disk) else Path(folder)  # of no use for an address
        self.shelf = Shelf(self.place, self.folder)

    def lies_at(self, folder: str | Path) -> bool:
        """Say whether this is the store of that folder or address."""
        there = _place_of(folder)
        if isinstance(there, Disk) and isinstance(self.place, Disk):
            return there.folder.resolve() == self.place.folder.resolve()
        return str(there) == str(self.place)

    @property
    def current(self) -> int | None:
        """The newest version whose manifest and file sizes are right; None if there is none."""
        for number in reversed(self.shelf.numbers()):
            if not self.shelf.glance(number):
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
        refs: Sequence[str] = (),
        keep: Retention | None = None,
        like: int | None = None,
    ) -> int:
        """Add a version and return its number, or raise and leave the store as it was.

        `parent` is the version the state was loaded from or last saved as (None: a new store). `refs` are names
        that the new version takes over. `keep`, applied after the commit, removes older versions. `like` is the
        version this state was read from, if not `parent`: its files, which were compared then, are shared first. Raises
        StaleVersionError when a good version other than `parent` is the newest, StateError when a leaf cannot be
        saved or the disk refuses, InputError when the folder belongs to somebody else.
        """
        arrays, plain = flatten(tree)  # a leaf that cannot be saved shows here, before the disk is touched
        for name in refs:
            names.check_name(name)
        info = VersionInfo(0, _now(), reason, kind, parent, _figures(metrics or {}))
        with self.place.refusals():
            if parent is not None and not self.shelf.numbers():
                raise StaleVersionError(f"{self.place} holds no version {parent}, which this state came from")
            self.check_format()
            self.place.prepare()
            with self.place.locked():
                self._refuse_stale(parent)
                self.place.clean()
                self._introduce()
                number = max(self.shelf.numbers(), default=0) + 1
                self._write(replace(info, number=number), arrays, plain, like)
                self._after_commit(number, refs, keep, info)
        return number

    def load(self, version: int | str | None = None, *, full: bool = False) -> tuple[StateTree, VersionInfo]:
        """Read and verify one version: the newest good one, exactly `version`, or the one of that name.

        Damaged versions newer than the one returned are named in `info.warnings`. `full` compares the sha256 of
        every file first. Raises InputError when there is no such version, CorruptStateError when it is damaged.
        """
        self.check_format()
        if version is not None:
            number = self._number(version)
            tree, info = self.shelf.load(number, full)
            return tree, replace(info, refs=self._names_of(number))
        damage: list[str] = []
        while True:
            numbers = self.shelf.existing()
            for number in reversed(numbers):
                try:
                    tree, info = self.shelf.load(number, full)
                except CorruptStateError as error:
                    if number in self.shelf.numbers():
                        damage.append(f"version {number} is damaged ({error})")
                    continue  # else it was removed while it was read, and a newer one has come
                if damage:
                    damage.append(f"version {number} was loaded instead")
                return tree, replace(info, warnings=tuple(damage), refs=self._names_of(number))
            if self.shelf.numbers() == numbers:
                raise CorruptStateError(f"{self.place}: no version is whole: " + "; ".join(damage))

    def info(self, version: int | str | None = None) -> VersionInfo:
        """Describe one version (None: the current one) without reading its tensors."""
        numbers = self.shelf.existing()
        number = self.current if version is None else self._number(version)
        return self._describe(numbers[-1] if number is None else number)

    def history(self) -> list[VersionInfo]:
        """Describe all versions, oldest first, without their tensors; damaged ones carry a warning."""
        given = self._names_by_version()
        numbers, found = self.shelf.existing(), self.place.files("objects")
        return [replace(self.shelf.describe(number, found), refs=given.get(number, ())) for number in numbers]

    def verify(self, *, full: bool = True) -> list[str]:
        """Read every byte of every version and say what is wrong; an empty list means nothing is.

        `full=False` compares fast digests of the state only, not the sha256 of the files.
        """
        self.check_format()
        problems: list[str] = []
        for number in self.shelf.existing():
            problems += self.shelf.problems(number, full)
        return list(dict.fromkeys(problems))

    def refs(self) -> dict[str, int]:
        """Give the names of versions and what they mean; `last` is the newest good one."""
        found = {name: move.version for name, move in names.read(self.place).items() if move.version is not None}
        current = self.current
        return {**found, names.LAST: current} if current is not None else found

    def promote(self, name: str, version: int | str | None = None, *, reason: str = "") -> Move:
        """Let `name` (`production`, a pin) mean a version, after every byte of it was compared with its sha256.

        A named version is never removed by retention. Raises CorruptStateError when the version is damaged.
        """
        names.check_name(name)
        self.check_format()
        number = self._number(version if version is not None else names.LAST)
        problems = self.shelf.problems(number, full=True)
        if problems:
            raise CorruptStateError(f"version {number} is damaged, {name} was not moved: {problems[0]}")
        with self.place.refusals(), self.place.locked():
            if number not in self.shelf.numbers():
                raise StateError(f"{self.place}: version {number} was removed meanwhile, {name} was not moved")
            return names.move(self.place, name, number, reason, _now())

    def unname(self, name: str, *, reason: str = "") -> Move:
        """Take a name away from its version; raise InputError when no version bears it."""
        if name not in names.read(self.place):
            raise InputError(f"{self.place} has no version called {name!r}; it has {', '.join(self.refs()) or 'none'}")
        with self.place.refusals(), self.place.locked():
            return names.move(self.place, name, None, reason, _now())

    def log(self) -> list[Move]:
        """Give every move of a name, oldest first: who, when, from where to where, why."""
        return names.log(self.place)

    def gc(self, keep: Retention | None = None, *, dry_run: bool = False) -> Swept:
        """Remove versions that no rule keeps, then objects that no version needs; say what went, or would go."""
        self.check_format()
        self.shelf.existing()
        with self.place.refusals():
            if dry_run:
                return sweep.sweep(self.place, self.shelf, self.refs, keep or Retention(), dry_run=True)
            with self.place.locked():
                self.place.clean()
                return sweep.sweep(self.place, self.shelf, self.refs, keep or Retention(), dry_run=False)

    # --- reading

    def _number(self, version: int | str) -> int:
        numbers = self.shelf.existing()
        if isinstance(version, str) and not version.isdecimal():
            known = self.refs()
            if version not in known:
                raise InputError(f"{self.place} has no version called {version!r}; it has {', '.join(known) or 'none'}")
            version = known[version]
        if int(version) not in numbers:
            newest = ", ".join(map(str, numbers[-10:]))
            raise InputError(f"{self.place} has no version {version}; the newest are {newest}")
        return int(version)

    def _describe(self, number: int) -> VersionInfo:
        return replace(self.shelf.describe(number), refs=self._names_of(number))

    def _names_of(self, number: int) -> tuple[str, ...]:
        return self._names_by_version().get(number, ())

    def _names_by_version(self) -> dict[int, tuple[str, ...]]:
        given: dict[int, tuple[str, ...]] = {}
        with contextlib.suppress(CorruptStateError):  # fsck tells; a damaged name keeps nobody from reading
            for name, move in names.read(self.place).items():
                if move.version is not None:
                    given[move.version] = (*given.get(move.version, ()), name)
        return given

    def check_format(self) -> None:
        """Raise StateError when this store needs a newer jamais, CorruptStateError when nobody can tell."""
        if self.place.size(STORE_FILE) is None:
            return  # a store of format 0, or none
        where = f"{self.place}/{STORE_FILE}"
        about = json_text.parse(self.place.read(STORE_FILE, limit=64 * 1024), where)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise CorruptStateError(f"{where}: does not describe a store: put back the file from a copy")
        if about.get("format_version") != FORMAT_VERSION or about.get("needs"):
            raise StateError(f"{where}: this store needs a newer jamais (format {about.get('format_version')}): update")

    # --- writing

    def _refuse_stale(self, parent: int | None) -> None:
        for number in reversed(self.shelf.numbers()):
            if number == parent:
                return
            if not self.shelf.glance(number):
                came = "a new one" if parent is None else f"version {parent}"
                raise StaleVersionError(
                    f"{self.place} is at version {number}, this state is {came}: nothing was saved; "
                    "load it again and repeat the change, or save to another folder"
                )
        if parent is not None:
            raise StaleVersionError(f"{self.place} holds no version {parent}, which this state came from")

    def _introduce(self) -> None:
        if self.place.size(STORE_FILE) is None:
            about = {"format": FORMAT, "format_version": FORMAT_VERSION, "needs": []}
            self.place.put("README.txt", _README.encode())
            self.place.put(STORE_FILE, json_text.dump(about))

    def _after_commit(self, number: int, refs: Sequence[str], keep: Retention | None, info: VersionInfo) -> None:
        """Move names and tidy up; what goes wrong here must not look as if the version were not there."""
        try:
            for name in refs:
                names.move(self.place, name, number, info.reason, info.time)
            if keep is not None:
                sweep.sweep(self.place, self.shelf, self.refs, keep, dry_run=False)
        except (OSError, JamaisError) as error:
            warnings.warn(
                f"{self.place}: version {number} is saved, but what was to follow failed: {error}", stacklevel=3
            )

    def _write(
        self, info: VersionInfo, arrays: Mapping[str, AnyArray], plain: Mapping[str, Any], like: int | None
    ) -> None:
        packer = Packer(self.place, self.shelf.manifests(like, OLDER_MANIFESTS))
        fresh: list[str] = []
        try:
            parts = packer.json(plain)
            entries = packer.arrays(arrays)
            size = sum(entry.nbytes for entry in entries.values())
            objects = packer.objects()
            size += sum(objects[part].size for part in parts)
            made = Manifest(replace(info, size_bytes=size), objects, tuple(plain), parts, entries)
            data = manifest.to_bytes(made)
            fresh = packer.adopt()
            self.place.settle("objects")
            if not self.place.put_new(f"versions/{info.number:04d}.json", data):  # the commit point
                raise StaleVersionError(f"{self.place} got a version {info.number} meanwhile: load it again")
        except BaseException:
            packer.discard()
            with contextlib.suppress(Exception):
                for name in fresh:
                    self.place.remove(name)
            raise


def _place_of(folder: str | Path) -> Place:
    if isinstance(folder, Path) or "://" not in folder:
        return Disk(Path(folder))
    if folder.startswith(("file://", "local://")):
        return Disk(Path(folder.partition("://")[2]))
    from jamais.persistence.versions.remote import Remote

    return Remote(folder)


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    try:
        return {name.encode().decode(): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"metrics are numbers by name, got {dict(metrics)!r:.80} ({error})") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

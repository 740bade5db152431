"""How are the versions of a store read, whatever format they have?"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, InputError, StateError
from jamais.persistence import json_text
from jamais.persistence.tree import unflatten
from jamais.persistence.versions import format0, manifest
from jamais.persistence.versions.manifest import Manifest, ObjectEntry, VersionInfo
from jamais.persistence.versions.objects import read_array
from jamais.persistence.versions.place import STORE_FILE, Found, Place
from jamais.types import StateTree

_NUMBER = re.compile(r"([0-9]{4,9})(\.json)?")
MAX_OBJECT_BYTES = 1 << 42
_BLOCK = 4 * 1024 * 1024


class Shelf:
    """The versions in a place. Nothing is remembered: what is on the disk now counts."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._folder = folder

    def numbers(self) -> list[int]:
        """List the numbers of all versions, sound or not, in order."""
        found = (_NUMBER.fullmatch(name) for name in self._place.names("versions"))
        return sorted({int(m[1]) for m in found if m and m[1] == f"{int(m[1]):04d}"})

    def existing(self) -> list[int]:
        """List the versions, of which there is at least one; raise InputError when this is no store."""
        numbers = self.numbers()
        if not numbers:
            if not self._place.exists():
                raise InputError(f"no watcher at {self._place}: jamais fit … --out {self._place} makes one")
            if not {"versions", STORE_FILE} & set(self._place.names("")):  # an object store has no empty folders
                raise InputError(f"{self._place} is not a watcher: it has no folder 'versions'")
            raise InputError(f"{self._place} holds no version: its first save did not finish, run fit again")
        return numbers

    def is_old(self, number: int) -> bool:
        """Say whether a version is of format 0: a folder."""
        return self._place.holds_folders and f"{number:04d}.json" not in self._place.names("versions")

    def manifest(self, number: int) -> Manifest:
        """Read the manifest of a version of format 1; raise CorruptStateError when it is not what was written."""
        name = f"versions/{number:04d}.json"
        data = self._place.read(name, limit=manifest.MAX_BYTES)
        return manifest.from_bytes(data, number, f"{self._place}/{name}")

    def manifests(self, first: int | None, n: int) -> list[Manifest]:
        """Give the sound ones among the manifest of `first` and the `n` newest, newest first."""
        numbers = [*([first] if first is not None else []), *reversed(self.numbers()[-n:])]
        found: list[Manifest] = []
        for number in dict.fromkeys(numbers):
            with contextlib.suppress(StateError):
                if not self.is_old(number):
                    found.append(self.manifest(number))
        return found

    def load(self, number: int, full: bool) -> tuple[StateTree, VersionInfo]:
        """Read and verify one version."""
        if self.is_old(number):
            return format0.load(self._old(number), number)
        read = self.manifest(number)
        if full:
            for one in read.objects:
                self._check_sha256(one)
        with contextlib.ExitStack() as stack:
            objects = [(stack.enter_context(self._opened(one)), one.name) for one in read.objects]
            plain = self._json(read, objects)
            arrays = {path: read_array(entry, objects, str(self._place), path) for path, entry in read.arrays.items()}
        return unflatten(arrays, plain, f"{self._place}: version {number}"), read.info

    def array(self, number: int, path: str) -> Any:
        """Read one array of one version."""
        read = self.manifest(number)
        with contextlib.ExitStack() as stack:
            entry = read.arrays[path]
            wanted = {segment.object for segment in entry.segments}
            objects: list[Any] = [
                (stack.enter_context(self._opened(one)) if at in wanted else None, one.name)
                for at, one in enumerate(read.objects)
            ]
            return read_array(entry, objects, str(self._place), path)

    def glance(self, number: int) -> str:
        """Say what is wrong with the manifest and the sizes of files, nothing if they are right."""
        if self.is_old(number):
            return format0.glance(self._old(number), number)
        try:
            return self._sizes(self.manifest(number))
        except CorruptStateError as error:
            return str(error)

    def describe(self, number: int, found: Mapping[str, Found] | None = None) -> VersionInfo:
        """Give what the manifest says, and a warning where the version is damaged.

        `found` are the files in objects/, where many versions are described: a look at each of them costs a round
        trip in an object store.
        """
        try:
            if self.is_old(number):
                info, damage = format0.read_manifest(self._old(number), number).info, self.glance(number)
            else:
                read = self.manifest(number)
                info, damage = read.info, self._sizes(read, found)
        except CorruptStateError as error:
            info, damage = VersionInfo(number, "", "", "", None, jamais_version=""), str(error)
        return replace(info, warnings=(f"version {number} is damaged ({damage})",) if damage else ())

    def problems(self, number: int, full: bool) -> list[str]:
        """Read every byte of a version and say what is wrong."""
        try:
            self.load(number, full=False)
            if self.is_old(number):
                folder = self._old(number)
                return [f"{folder / name}: does not belong here" for name in format0.strangers(folder, number)]
        except StateError as error:
            return [f"version {number}: {error}"]
        found: list[str] = []
        for one in self.manifest(number).objects if full else ():
            try:
                self._check_sha256(one)
            except StateError as error:
                found.append(f"version {number}: {error}")
        return found

    def remove(self, number: int) -> None:
        """Remove the file, or the folder, that makes a version exist."""
        self._place.remove(f"versions/{number:04d}" + ("" if self.is_old(number) else ".json"))

    def _old(self, number: int) -> Path:
        return self._folder / "versions" / f"{number:04d}"

    def _sizes(self, read: Manifest, found: Mapping[str, Found] | None = None) -> str:
        for one in read.objects:
            if found is None:
                size = self._place.size(f"objects/{one.name}")
            else:
                size = found[one.name].size if one.name in found else None
            if size != one.size:
                what = "missing" if size is None else f"{size} bytes"
                return f"{self._place}/objects/{one.name}: {what}, the manifest says {one.size} bytes"
        return ""

    @contextlib.contextmanager
    def _opened(self, one: ObjectEntry) -> Any:
        with self._place.opened(f"objects/{one.name}") as opened:
            if opened.size != one.size:
                where = f"{self._place}/objects/{one.name}"
                raise CorruptStateError(f"{where}: {opened.size} bytes, the manifest says {one.size}")
            yield opened

    def _json(self, read: Manifest, objects: list[Any]) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        for part in read.parts:
            opened, name = objects[part]
            where = f"{self._place}/objects/{name}"
            data = bytearray(opened.size)
            opened.read_into(memoryview(data), 0)
            if hashlib.sha256(data).hexdigest() != read.objects[part].sha256:
                raise CorruptStateError(f"{where}: not the bytes that were written (sha256)")
            parsed = json_text.parse(bytes(data), where)
            if type(parsed) is not dict or parsed.keys() & joined.keys():
                raise CorruptStateError(f"{where}: not a part of a state")
            joined.update(parsed)
        if sorted(joined) != sorted(read.keys):
            raise CorruptStateError(f"{self._place}: version {read.info.number}: its parts are not those of its list")
        return {key: joined[key] for key in read.keys}

    def _check_sha256(self, one: ObjectEntry) -> None:
        total = hashlib.sha256()
        with self._opened(one) as opened:
            buffer = bytearray(min(_BLOCK, one.size))
            for at in range(0, one.size, _BLOCK):
                target = memoryview(buffer)[: min(_BLOCK, one.size - at)]
                opened.read_into(target, at)
                total.update(target)
        if total.hexdigest() != one.sha256:
            raise CorruptStateError(f"{self._place}/objects/{one.name}: not the bytes that were written (sha256)")

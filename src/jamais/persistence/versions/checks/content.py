"""Is every byte that the versions need what was written? Each is read once, however many versions share it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import digests, json_text
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.tree import unflatten
from jamais.persistence.versions.checks.finding import ERROR, Finding
from jamais.persistence.versions.manifest import Manifest, ObjectEntry
from jamais.persistence.versions.place import Place, Reading
from jamais.persistence.versions.shelf import Shelf
from jamais.types import Event, Listener, silent

NOT_WRITTEN = "not the bytes that were written"
_BLOCK = 4 * 1024 * 1024
_NAMED = 3


def check_versions(
    place: Place, shelf: Shelf, *, full: bool, on_event: Listener = silent
) -> tuple[list[Finding], dict[int, Manifest]]:
    """Read what all versions consist of and say what is wrong; give their manifests, too, as far as they are sound.

    By default every array is compared with its fast digest and every JSON with its sha256; `full` compares the
    sha256 of all files as well.
    """
    found, manifests = _manifests(place, shelf, full)
    found += _check_objects(place, manifests, full, on_event)
    for number, read in manifests.items():
        if not any(number in one.versions for one in found):
            found += _check_fit(place, number, read)
    present = set(shelf.numbers())
    return [one for one in found if not one.versions or present.intersection(one.versions)], manifests


def plain_of(place: Place, read: Manifest) -> dict[str, Any]:
    """Read the JSON of a version, without its arrays; raise CorruptStateError when it is not what was written."""
    joined: dict[str, Any] = {}
    for one in (read.objects[part] for part in read.parts):
        where = f"{place}/objects/{one.name}"
        data = place.read(f"objects/{one.name}", size=one.size, limit=one.size)
        if digests.sha256(data) != one.sha256:
            raise CorruptStateError(f"{where}: {NOT_WRITTEN} (sha256)")
        parsed = json_text.parse(data, where)
        if type(parsed) is not dict or parsed.keys() & joined.keys():
            raise CorruptStateError(f"{where}: not a part of a state")
        joined |= parsed
    if sorted(joined) != sorted(read.keys):
        raise CorruptStateError(f"{place}: version {read.info.number}: its parts are not those of its list")
    return {key: joined[key] for key in read.keys}


def _manifests(place: Place, shelf: Shelf, full: bool) -> tuple[list[Finding], dict[int, Manifest]]:
    found: list[Finding] = []
    manifests: dict[int, Manifest] = {}
    for number in shelf.numbers():
        try:
            if shelf.is_old(number):
                problems = shelf.problems(number, full)
                found += [Finding(ERROR, f"versions/{number:04d}", problem, versions=(number,)) for problem in problems]
            else:
                manifests[number] = shelf.manifest(number)
        except StateError as error:
            where = f"versions/{number:04d}.json"
            what = _without(str(error), f"{place}/{where}")
            found.append(Finding(ERROR, where, what, _unreadable(error), (number,)))
    return found, manifests


@dataclass
class _Needed:
    """What the versions need of one object: JSON, or pieces of arrays (offset, length, digest)."""

    versions: set[int] = field(default_factory=set)
    is_json: bool = False
    pieces: dict[tuple[int, int, str], set[tuple[int, str]]] = field(default_factory=dict)
    """The versions that need a piece, with the path of the array that it is of there."""

    def users(self) -> set[tuple[int, str]]:
        return {user for users in self.pieces.values() for user in users}


def _check_objects(place: Place, manifests: Mapping[int, Manifest], full: bool, on_event: Listener) -> list[Finding]:
    found: list[Finding] = []
    needed = _needed(manifests)
    total, done = sum(one.size for one in needed), 0
    for one, use in needed.items():
        on_event(Event("checking", done, total))
        where = f"objects/{one.name}"
        try:
            found += _check_object(place, where, one, use, full)
        except StateError as error:
            what = _without(str(error), f"{place}/{where}")
            what += f" (it holds {_some(path for _, path in use.users())})" if use.pieces else ""
            found.append(Finding(ERROR, where, what, _unreadable(error), tuple(sorted(use.versions))))
        done += one.size
    on_event(Event("checking", done, total))
    return found


def _needed(manifests: Mapping[int, Manifest]) -> dict[ObjectEntry, _Needed]:
    needed: dict[ObjectEntry, _Needed] = {}
    for number, read in manifests.items():
        for one in read.objects:
            needed.setdefault(one, _Needed()).versions.add(number)
        for part in read.parts:
            needed[read.objects[part]].is_json = True
        for path, entry in read.arrays.items():
            for length, segment in zip(entry.lengths(), entry.segments, strict=True):
                pieces = needed[read.objects[segment.object]].pieces
                pieces.setdefault((segment.offset, length, segment.digest), set()).add((number, path))
    return needed


def _check_object(place: Place, where: str, one: ObjectEntry, use: _Needed, full: bool) -> list[Finding]:
    """Say which arrays in an object are damaged; a version that needs only others of it can still be read."""
    wrong: set[tuple[int, str]] = set()
    with place.opened(where) as opened:
        if opened.size != one.size:
            raise CorruptStateError(f"{opened.size} bytes, the manifest says {one.size}")
        buffer = bytearray(max((length for _, length, _ in use.pieces), default=0))
        for (offset, length, digest), users in sorted(use.pieces.items()):
            target = memoryview(buffer)[:length]
            opened.read_into(target, offset)
            if digests.fast(target) != digest:
                wrong |= users
        whole = not (full or use.is_json) or _sha256(opened) == one.sha256
    damaged = {number for number, _ in wrong}
    found = []
    if wrong:
        what = f"{_some(path for _, path in wrong)}: {NOT_WRITTEN}"
        found.append(Finding(ERROR, where, what, versions=tuple(sorted(damaged))))
    if not whole and use.versions - damaged:
        found.append(Finding(ERROR, where, f"{NOT_WRITTEN} (sha256)", versions=tuple(sorted(use.versions - damaged))))
    return found


def _sha256(opened: Reading) -> str:
    total, buffer = hashlib.sha256(), bytearray(min(_BLOCK, opened.size))
    for at in range(0, opened.size, _BLOCK):
        target = memoryview(buffer)[: min(_BLOCK, opened.size - at)]
        opened.read_into(target, at)
        total.update(target)
    return total.hexdigest()


def _check_fit(place: Place, number: int, read: Manifest) -> list[Finding]:
    """Say whether JSON and arrays, each as it was written, make a state."""
    try:
        # Only dtype and shape count here: one value, shown many times, takes no memory.
        shown = {
            path: np.broadcast_to(np.zeros((), BY_NAME[entry.dtype]), entry.shape)
            for path, entry in read.arrays.items()
        }
        unflatten(shown, plain_of(place, read), f"version {number}")
    except StateError as error:
        return [Finding(ERROR, f"versions/{number:04d}.json", _without(str(error), str(place)), versions=(number,))]
    return []


def _unreadable(error: StateError) -> str:
    """Say what to do about a file that may well be whole, but cannot be read, or not by this jamais."""
    return "" if isinstance(error, CorruptStateError) else "nothing is lost: mend that, then look again"


def _some(paths: Iterable[str]) -> str:
    names = sorted(set(paths))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"array{'s' if len(names) > 1 else ''} {', '.join(name[:120] for name in names[:_NAMED])}{more}"


def _without(message: str, where: str) -> str:
    with contextlib.suppress(ValueError):
        return message[message.index(where) + len(where) :].lstrip(":/ ") or message
    return message

"""What can go? Versions that no rule keeps, then objects that no version needs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from jamais.errors import CorruptStateError
from jamais.persistence.versions.place import Place
from jamais.persistence.versions.retention import Retention, kept
from jamais.persistence.versions.shelf import Shelf

_OBJECT = re.compile(r"[0-9a-f]{64}\.(safetensors|json)")


@dataclass(frozen=True)
class Swept:
    """What was removed, or would be; `kept` says of each remaining version why it stays."""

    versions: tuple[int, ...]
    objects: tuple[str, ...]
    freed_bytes: int
    kept: Mapping[int, str]
    warnings: tuple[str, ...] = ()


def sweep(
    place: Place, shelf: Shelf, refs: Callable[[], Mapping[str, int]], keep: Retention, *, dry_run: bool
) -> Swept:
    """Remove what no rule keeps; the store is locked unless this is a dry run.

    Versions go first: an object without a version is waste, a version without an object is damage. `refs` is asked
    once nobody can move a name any more.
    """
    with contextlib.nullcontext(True) if dry_run else place.alone() as alone:
        if alone:
            return _sweep(place, shelf, refs(), keep, dry_run)
    busy = "nothing was removed, as somebody is saving here: try again later"
    return Swept((), (), 0, dict.fromkeys(shelf.numbers(), "not asked"), (busy,))


def _sweep(place: Place, shelf: Shelf, refs: Mapping[str, int], keep: Retention, dry_run: bool) -> Swept:
    numbers = shelf.numbers()
    found = place.files("objects")
    staying = kept([shelf.describe(number, found) for number in numbers], refs, keep, datetime.now(UTC))
    going = tuple(number for number in numbers if number not in staying)
    needed, warnings = _needed(shelf, list(staying))
    loose = tuple(sorted(filter(_OBJECT.fullmatch, found.keys() - needed))) if not warnings else ()
    if place.grace_s:
        loose = tuple(name for name in loose if found[name].age_s > place.grace_s)
    if not dry_run:
        for number in going:
            shelf.remove(number)
        if going:
            place.settle("versions")
        for name in loose:
            place.remove(f"objects/{name}")
        if loose:
            place.settle("objects")
    return Swept(going, loose, sum(found[name].size for name in loose), staying, warnings)


def _needed(shelf: Shelf, numbers: list[int]) -> tuple[set[str], tuple[str, ...]]:
    needed: set[str] = set()
    for number in numbers:
        try:
            if not shelf.is_old(number):
                needed.update(one.name for one in shelf.manifest(number).objects)
        except CorruptStateError as error:
            # Its objects cannot be told from waste: somebody may yet mend the manifest from a copy.
            return needed, (f"no object was removed, as version {number} does not say which it needs ({error})",)
    return needed, ()

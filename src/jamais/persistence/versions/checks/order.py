"""What lies in a store that no version needs, who may touch it, and what would be trouble later?"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from jamais.persistence import files
from jamais.persistence.versions.checks.finding import ERROR, NOTE, WARNING, Finding
from jamais.persistence.versions.checks.names import is_name_file
from jamais.persistence.versions.manifest import Manifest
from jamais.persistence.versions.place import FOLDERS, STORE_FILE, Disk, Found, Place
from jamais.persistence.versions.shelf import Shelf

_OBJECT = re.compile(r"[0-9a-f]{64}\.(safetensors|json)")
_ROOT = re.compile(
    rf"{re.escape(STORE_FILE)}|README\.txt|lock|{'|'.join(FOLDERS)}|watch-[0-9a-f]{{16}}\.json|busy|create-once\.txt"
)
"""`watch-….json` is where `jamais watch` was in a log; the last two come with a store copied from a bucket."""
_NAMED = 5


def check_orphans(
    place: Place, listed: Mapping[str, Found], manifests: Mapping[int, Manifest], all_read: bool
) -> list[Finding]:
    """Say which of the `listed` objects no version needs; nothing can be said where a manifest could not be read."""
    needed = {one.name for read in manifests.values() for one in read.objects}
    loose = sorted(
        name
        for name, found in listed.items()
        if _OBJECT.fullmatch(name) and name not in needed and found.age_s >= place.grace_s
    )
    if not loose:
        return []
    size = sum(listed[name].size for name in loose)
    if not all_read:
        what = f"{len(loose)} that no sound version needs: {_some(loose)}"
        return [Finding(NOTE, "objects", what, "mend the damaged manifest first: it may need them")]
    what = f"{len(loose)} that no version needs, {size:,} bytes: {_some(loose)}"
    return [Finding(NOTE, "objects", what, f"jamais gc {place} removes them")]


def check_strangers(place: Place, numbers: Iterable[int]) -> Iterator[Finding]:
    """Say what died writers have left, and what does not belong here; what else is in a bucket is not ours to judge."""
    if not isinstance(place, Disk):
        return
    versions = {f"{number:04d}" for number in numbers}
    belongs: dict[str, Callable[[str], bool]] = {
        "": lambda name: _ROOT.fullmatch(name) is not None,
        "objects": lambda name: _OBJECT.fullmatch(name) is not None,
        "refs": lambda name: is_name_file(name) or name in ("log.jsonl", "log.jsonl.d"),
        "versions": lambda name: name.removesuffix(".json") in versions,
    }
    for folder, is_ours in belongs.items():
        names = place.names(folder)
        for name in sorted(names):
            where = f"{folder}/{name}".lstrip("/")
            if name.startswith(files.TEMPORARY):
                yield Finding(NOTE, where, "left by a save that did not finish", "nothing: the next save removes it")
            elif not is_ours(name):
                yield Finding(WARNING, where, "does not belong here", "move it elsewhere")
            elif folder == "versions" and not name.endswith(".json") and f"{name}.json" in names:
                what = f"a folder beside {name}.json, which is the one that counts"
                yield Finding(WARNING, where, what, "move it elsewhere")


def check_descent(shelf: Shelf, numbers: Collection[int], manifests: Mapping[int, Manifest]) -> Iterator[Finding]:
    """Say which versions come from one that is gone, and which are of the older format."""
    for number, read in manifests.items():
        parent = read.info.parent
        if parent is not None and parent not in numbers:
            what = f"comes from version {parent}, which is gone"
            yield Finding(NOTE, f"versions/{number:04d}.json", what, "nothing: each version is complete in itself")
    for number in numbers:
        if number not in manifests and shelf.is_old(number):
            what = "of format 0: a folder, which is read for ever"
            yield Finding(NOTE, f"versions/{number:04d}", what, "nothing: whatever is saved next has today's format")


def check_store_file(place: Place, manifests: Mapping[int, Manifest]) -> Iterator[Finding]:
    """Say whether the file is there that tells which jamais may read and write here."""
    if place.size(STORE_FILE) is None and manifests:
        yield Finding(WARNING, STORE_FILE, "is missing", "nothing: the next save writes it again")


def check_rights(place: Place) -> Iterator[Finding]:
    """Say what this user cannot read or write, and what everybody can change."""
    if not isinstance(place, Disk):
        return
    folders = ["", *(name for name in FOLDERS if (place.folder / name).is_dir())]
    for name in [STORE_FILE, *(f"{folder}/{name}" for folder in folders[1:] for name in sorted(place.names(folder)))]:
        path = place.folder / name
        if path.exists() and not os.access(path, os.R_OK):
            yield Finding(ERROR, name, "this user may not read it", f"chmod u+r {path}, as its owner")
    for name in folders:
        path = place.folder / name
        if not os.access(path, os.W_OK | os.X_OK):
            what, step = "this user may not write here, so cannot save", f"chmod u+wx {path}, as its owner, to save"
            yield Finding(NOTE, name or ".", what, step)
        if stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH:
            yield Finding(WARNING, name or ".", "everybody on this machine may change it", f"chmod o-w {path}")


def _some(names: list[str]) -> str:
    shown = ", ".join(f"{name[:12]}…{name[64:]}" for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown

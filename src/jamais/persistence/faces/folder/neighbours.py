"""What else lies in a folder that is replaced, and what of it stays?

What an older save wrote goes. What somebody put there (a README, a folder of runs) is carried over, as hard links:
nothing is copied, and a program that still writes to such a file goes on writing to it. Old weights under another
name than the new ones never stay, whoever wrote them: the Hugging Face library would load them.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jamais.errors import InputError, StateError
from jamais.persistence.faces.folder import manifest
from jamais.persistence.faces.folder.manifest import Manifest

_WEIGHTS = re.compile(r"(?:pytorch_)?model(-\d{5}-of-\d{5})?\.(?:safetensors|bin)(?:\.index\.json)?")


def checked_target(folder: Path) -> Path:
    """Give the real folder behind a name; raise InputError for one that must not be replaced."""
    target = Path(os.path.realpath(folder))
    if target == Path(target.anchor) or target == Path.home() or target in Path.home().parents:
        raise InputError(f"{target} is not a folder to save to: name a new one inside it")
    if not target.exists():
        return target
    if not target.is_dir():
        raise InputError(f"{target} is a file: give a folder to save to")
    if os.lstat(target).st_mode & stat.S_ISVTX:
        raise InputError(f"{target} is shared by all users: name a new folder inside it")
    if os.path.ismount(target):
        raise InputError(f"{target} is a file system of its own, which cannot be replaced: name a new folder inside it")
    if (target / "versions").is_dir():
        raise InputError(f"{target} keeps versions (history, rollback): save a folder somewhere else")
    return target


def old_manifest(target: Path) -> Manifest | None:
    """Read the manifest of the folder that is going to be replaced; None where there is none, or a broken one."""
    with suppress(StateError):
        return manifest.read(target)
    return None


def is_ours(old: Manifest | None) -> Callable[[str], bool]:
    """Give what tells whether a file was written by an older save, or must not outlive it."""
    listed = set() if old is None else {*old.files, *(old.tokenizer.written if old.tokenizer else ())}
    known = {manifest.NAME, *listed}
    return lambda name: name in known or _WEIGHTS.fullmatch(name) is not None


def carry_over(target: Path, work: Path, ours: Callable[[str], bool]) -> None:
    """Link into `work` all that lies in `target`, is not ours and has no new file in its place."""
    if target.is_dir():
        _carry(target, work, "", ours, os.lstat(target).st_dev)
        shutil.copymode(target, work)


def keep_modes(target: Path, work: Path, names: list[str]) -> None:
    """Give new files the mode of those they replace, or what the umask leaves of 0666: some writers say 0600."""
    usual = stat.S_IMODE(os.lstat(work / manifest.STATE).st_mode)
    for name in names:
        mode = usual
        with suppress(OSError):
            found = os.lstat(target / name)
            mode = stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else usual
        if stat.S_IMODE(os.lstat(work / name).st_mode) != mode:
            os.chmod(work / name, mode)


def _carry(old: Path, new: Path, above: str, ours: Callable[[str], bool], device: int) -> None:
    for name in sorted(os.listdir(old)):
        inside, place = old / name, new / name
        found = os.lstat(inside)
        if not stat.S_ISDIR(found.st_mode):
            if not ours(above + name):
                _not_both(inside, place, wanted_folder=False)
                if not os.path.lexists(place):
                    _link(inside, place)
            continue
        if found.st_dev != device:
            raise InputError(f"{inside} is a file system of its own: it would be lost, save to another folder")
        _not_both(inside, place, wanted_folder=True)
        made = not place.exists()
        if made:
            os.mkdir(place)
        _carry(inside, place, f"{above}{name}/", ours, device)
        if made and not os.listdir(place) and os.listdir(inside):
            os.rmdir(place)  # all that was in it was ours, and is gone
        else:
            shutil.copystat(inside, place)


def _not_both(inside: Path, place: Path, *, wanted_folder: bool) -> None:
    if os.path.lexists(place) and place.is_dir() != wanted_folder:
        what = "a folder" if wanted_folder else "a file"
        raise InputError(f"{inside} is {what}, in the way of what is saved there: move it, or save to another folder")


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # no hard links here, or somebody else's file
        if stat.S_ISLNK(os.lstat(source).st_mode) or stat.S_ISREG(os.lstat(source).st_mode):
            shutil.copy2(source, place, follow_symlinks=False)
        else:
            raise

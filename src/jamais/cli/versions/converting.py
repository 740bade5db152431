"""How does a state get from one face into another, and is it the same there?"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from jamais import registry
from jamais.cli.versions.where import Where, refusals, said_on_stderr
from jamais.errors import CorruptStateError, InputError, StateError
from jamais.persistence.faces.recognise import Face
from jamais.types import StateTree

FACES = {"bin": Face.BINARY, "json": Face.JSON, "folder": Face.FOLDER}
_SUFFIXES = {".bin": "bin", ".safetensors": "bin", ".json": "json"}
_BELONGS = {"digest": "bin", "arrays": "json", "weights": "folder"}


def converted(
    source: Where, target: str, *, to: str | None, force: bool, accept_edits: bool, options: dict[str, str | None]
) -> dict[str, Any]:
    """Read a state, write it as `to` (None: by the suffix of `target`), read that back and compare.

    `options` are those of one face each: `digest`, `arrays`, `weights`. Raises InputError for a target that is in
    use, or an option of another face; CorruptStateError if the target reads back as something else.
    """
    to = to or _SUFFIXES.get(Path(target).suffix.lower(), "folder")
    chosen = {name: value for name, value in options.items() if value is not None}
    foreign = [name for name in chosen if _BELONGS[name] != to]
    if foreign:
        raise InputError(f"{target} becomes a {to}, and {foreign[0]} is a matter of --to {_BELONGS[foreign[0]]}")
    with refusals(target):
        _check_target(target, to, force)
        tree, name = source.read(accept_edits=accept_edits)
        with said_on_stderr():
            _write(Path(target), tree, name, to, force, chosen)
        return _compared(source, target, tree, name, to)


def _check_target(target: str, to: str, force: bool) -> None:
    """Refuse what is not to be replaced."""
    if not target or "://" in target:
        raise InputError(f"{target!r}: name a file or a folder on this machine to write to")
    if not os.path.lexists(target):
        return
    mode = os.stat(target).st_mode if os.path.exists(target) else os.lstat(target).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{target} is neither a file nor a folder: name another target")
    if stat.S_ISDIR(mode) and to != "folder":
        raise InputError(f"{target} is a folder: name a file in it, or say --to folder")
    taken = os.listdir(target) if stat.S_ISDIR(mode) else os.path.getsize(target)
    if taken and not force:
        raise InputError(f"{target} is there already: --force replaces it, or name another target")


def _write(target: Path, tree: StateTree, name: str, to: str, force: bool, chosen: dict[str, Any]) -> None:
    from jamais.persistence.faces.arrangement import Arrangement
    from jamais.persistence.faces.binary import write_binary
    from jamais.persistence.faces.folder import write_folder
    from jamais.persistence.faces.json_face import write_json
    from jamais.persistence.faces.models import arrangement_of

    try:
        if to == "bin":
            write_binary(target, tree, name, **chosen)
            return
        # A state of training, or of another program's folder, is shown as it is.
        shown = arrangement_of(name, tree) if name in registry.names() else Arrangement()
        if to == "json":
            _check_length(tree, force, chosen)
            write_json(target, tree, name, arrangement=shown, force=force, **chosen)
        else:
            write_folder(target, tree, name, arrangement=shown, **chosen)
    except OSError as error:
        raise StateError(f"cannot save to {target} ({error.strerror or error}): nothing was changed") from error


def _check_length(tree: StateTree, force: bool, chosen: dict[str, Any]) -> None:
    from jamais.persistence.faces.json_face import MAX_NUMBERS
    from jamais.persistence.tree import flatten

    count = sum(array.size for array in flatten(tree)[0].values())
    if count > MAX_NUMBERS and not force and chosen.get("arrays") != "base64":
        size = count * 13 / 1e9
        raise InputError(
            f"{count:,} numbers are some {size:.1f} GB of text: --base64 is shorter, --force does it anyway"
        )


def _compared(source: Where, target: str, tree: StateTree, name: str, to: str) -> dict[str, Any]:
    from jamais.persistence.tree import state_sha256

    before = state_sha256(tree)
    written, written_name = Where(target).read()
    if state_sha256(written) != before or written_name != name:
        raise CorruptStateError(f"{target}: reads back as something else than {source}: do not use it")
    size = sum(path.stat().st_size for path in Path(target).rglob("*")) if to == "folder" else os.path.getsize(target)
    told = {"source": str(source), "target": target, "to": to, "type": name}
    return {**told, "size_bytes": size, "state_sha256": before}

"""How is a model, a detector, a memory or a watcher saved in one call, and found again in one?

The calls of seed 003. Whatever is registered can be saved in any face and comes back as what it was, bit for bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jamais import registry
from jamais.errors import CorruptStateError, DamagedVersionWarning, InputError, JamaisError, StateError
from jamais.persistence import digests
from jamais.persistence.faces.arrangement import Arrangement
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.faces.recognise import Face, face_of
from jamais.persistence.tree import state_sha256
from jamais.persistence.versions.store import VersionStore
from jamais.types import StateTree

UNSEALED = "folder"
"""The type of a folder without a manifest."""


@runtime_checkable
class Storable(Protocol):
    """What knows its whole state; its class has `from_state`."""

    def to_state(self) -> StateTree: ...


@runtime_checkable
class Stateful(Protocol):
    """What gives its whole state and takes it back after being made without arguments."""

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> object: ...


def save_model_binary(model: Any, path: str | Path, *, digest: str = digests.FAST, verify: bool = False) -> None:
    """Save to one file, a valid safetensors file with everything in it; folders are made.

    `digest="sha256"` instead of the fast one makes the arrays' digests checkable with a stranger's tools;
    `verify` loads the file back and compares. Raises InputError for what cannot be saved, StateError when the disk
    refuses; the old file then is as it was.
    """
    if digest not in digests.LENGTHS:
        raise InputError(f"digest is one of {', '.join(digests.LENGTHS)}, got {digest!r}")
    name, tree = state_of(model)
    _written(path, lambda target: write_binary(target, tree, name, digest=digest))
    _verify(path, tree, verify)


def load_model_binary(path: str | Path) -> Any:
    """Load what `save_model_binary` wrote; every byte is checked. Raises CorruptStateError naming what is damaged."""
    tree, name = _read(path, Face.BINARY)
    return thing_of(name, tree)


def save_model_json(
    model: Any, path: str | Path, *, arrays: str = "numbers", force: bool = False, verify: bool = False
) -> None:
    """Save as a JSON text that people, diff and any language can read, and that comes back bit for bit.

    `arrays="base64"` is a third of the size. More than 64 million numbers want `force=True`.
    """
    from jamais.persistence.faces.json_face import write_json

    name, tree = state_of(model)
    shown = arrangement_of(name, tree)
    _written(path, lambda target: write_json(target, tree, name, arrays=arrays, force=force, arrangement=shown))
    _verify(path, tree, verify)


def load_model_json(path: str | Path, *, accept_edits: bool = False) -> Any:
    """Load what `save_model_json` wrote; a file that was edited by hand wants `accept_edits=True`."""
    tree, name = _read(path, Face.JSON, accept_edits=accept_edits)
    return thing_of(name, tree)


def save_model_folder(model: Any, folder: str | Path, *, weights: str = "safetensors", verify: bool = False) -> None:
    """Save as a folder that other libraries read; `weights="bin"` writes pytorch_model.bin instead."""
    from jamais.persistence.faces.folder import write_folder

    name, tree = state_of(model)
    shown = arrangement_of(name, tree)
    _written(folder, lambda target: write_folder(target, tree, name, weights=weights, arrangement=shown))
    _verify(folder, tree, verify)


def load_model_folder(folder: str | Path, *, accept_edits: bool = False) -> Any:
    """Load what `save_model_folder` wrote."""
    tree, name = _read(folder, Face.FOLDER, accept_edits=accept_edits)
    return thing_of(name, tree)


def load_model_auto(path: str | Path, *, accept_edits: bool = False) -> Any:
    """Load a file, a text, a folder or the newest version of a store, told apart by content.

    A suffix that says something else is a warning.
    """
    tree, name = read_state(path, accept_edits=accept_edits)
    return thing_of(name, tree)


def read_state(path: str | Path, *, accept_edits: bool = False) -> tuple[StateTree, str]:
    """Read and verify a state in whatever face it lies at `path`: the tree and the name of its type."""
    face = face_of(path)
    suffix = Path(path).suffix.lower()
    if suffix in {Face.BINARY: (".json",), Face.JSON: (".bin", ".safetensors")}.get(face, ()):
        warnings.warn(f"{path}: is called {suffix} but holds {face.value}", stacklevel=3)
    return _read(path, face, accept_edits=accept_edits)


def write_state(path: str | Path, tree: StateTree, name: str, face: Face, **options: Any) -> None:
    """Write a state of a registered type in one of the three faces."""
    from jamais.persistence.faces.folder import write_folder
    from jamais.persistence.faces.json_face import write_json

    if face is Face.BINARY:
        _written(path, lambda target: write_binary(target, tree, name, **options))
        return
    shown = arrangement_of(name, tree)
    write: Callable[..., None] = write_json if face is Face.JSON else write_folder
    _written(path, lambda target: write(target, tree, name, arrangement=shown, **options))


def state_of(thing: Any) -> tuple[str, StateTree]:
    """Give the type name and the whole state of an object; raise InputError for one that cannot be saved."""
    name = registry.name_of(thing)
    if isinstance(thing, Storable):
        return name, thing.to_state()
    if isinstance(thing, Stateful):
        return name, thing.state_dict()
    raise InputError(f"cannot save {type(thing).__name__}: it has neither to_state nor state_dict")


def thing_of(name: str, tree: StateTree) -> Any:
    """Make the object of a state; raise StateError when this jamais cannot."""
    made_by = registry.find(name)
    try:
        from_state = getattr(made_by, "from_state", None)
        if from_state is not None:
            made = from_state(tree)
        else:
            made = made_by()
            made.load_state_dict(tree)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as wrong:
        if isinstance(wrong, JamaisError):
            raise
        said = f"{type(wrong).__name__}: {wrong}"
        raise StateError(f"this state of a {name} was written by another jamais ({said}): use that one") from wrong
    return registry.watcher()(made) if name in registry.kinds() else made


def arrangement_of(name: str, tree: StateTree) -> Arrangement:
    """Ask a type how it wants to be shown; most have no wish."""
    wish = getattr(registry.find(name), "arrangement", None) if name in registry.names() else None
    shown: Arrangement = Arrangement() if wish is None else wish(tree)
    return shown


def _read(path: str | Path, face: Face, *, accept_edits: bool = False) -> tuple[StateTree, str]:
    found = face_of(path)
    if found is not face:
        raise InputError(f"{path}: holds {found.value}, not {face.value}: load_model_auto takes any of them")
    # A link that somebody made (latest.bin) is followed; below, files are opened without following any.
    there = Path(path).resolve()
    if face is Face.BINARY:
        return read_binary(there)
    if face is Face.STORE:
        tree, info = VersionStore(path).load()
        for warning in info.warnings:
            warnings.warn(f"{path}: {warning}", DamagedVersionWarning, stacklevel=4)
        return tree, info.kind
    if face is Face.JSON:
        from jamais.persistence.faces.json_face import read_json

        return read_json(there, accept_edits=accept_edits)
    from jamais.persistence.faces.folder import read_folder

    tree, name = read_folder(there, accept_edits=accept_edits)
    if name == UNSEALED:  # made by another program: its config.json is all that says what it is
        config = tree.get("config")
        name = str(config.get("model_type")) if isinstance(config, dict) else name
    return tree, name


def _written(path: str | Path, write: Callable[[Path], None]) -> None:
    target = Path(path)
    try:
        write(target)
    except OSError as error:
        said = error.strerror or error
        raise StateError(
            f"cannot save to {target} ({said}): nothing was changed; free space or choose another path"
        ) from error


def _verify(path: str | Path, tree: StateTree, wanted: bool) -> None:
    if wanted and state_sha256(_read(path, face_of(path))[0]) != state_sha256(tree):
        raise CorruptStateError(f"{path}: reads back as something else than was saved: save it somewhere else")

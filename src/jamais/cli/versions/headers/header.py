"""What do the first bytes, the manifest or the text around the numbers say of a state?"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamais.cli.versions.where import Where, refusals
from jamais.errors import CorruptStateError
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces.recognise import Face
from jamais.persistence.json_text import MAX_DEPTH

if TYPE_CHECKING:
    from jamais.persistence import VersionStore

MAX_TEXT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class ArrayHeader:
    """What is known of an array without reading it."""

    path: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * BY_NAME[self.dtype].itemsize


@dataclass(frozen=True)
class Header:
    """A state without its numbers; `plain` is its JSON, with markers where the arrays are."""

    face: str
    type_name: str
    format_version: int | None
    jamais_version: str
    size_bytes: int
    arrays: list[ArrayHeader]
    plain: dict[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    """What only this face tells: the digest, the version, its names."""
    warnings: tuple[str, ...] = ()


def header_of(where: Where) -> Header:
    """Read the header of what lies somewhere; raise CorruptStateError where it is not what was written."""
    read: dict[Face, Callable[[Where], Header]] = {
        Face.BINARY: _of_binary,
        Face.JSON: _of_json,
        Face.FOLDER: _of_folder,
        Face.STORE: _of_store,
    }
    face = where.face()
    with refusals(where.path):
        header = read[face](where)
    if not isinstance(header.plain, dict):
        raise CorruptStateError(f"{where}: its JSON is no object, so this is no state")
    if _depth(header.plain) > MAX_DEPTH + 2:  # as deep as a state may be, and a marker at the bottom
        raise CorruptStateError(f"{where}: nested deeper than {MAX_DEPTH} levels")
    return header


def _depth(value: Any) -> int:
    """Give how deep a JSON value is nested, without going deep oneself."""
    depth, level = 0, [value]
    while level:
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for several in inside for one in several]
        depth += 1
    return depth


def _of_binary(where: Where) -> Header:
    from jamais.persistence.faces.binary import STATE, open_binary

    with open_binary(Path(where.path)) as opened:
        entries = {path: entry for path, entry in opened.file.entries.items() if path != STATE}
        return Header(
            face=Face.BINARY.value,
            type_name=opened.type_name,
            format_version=opened.about["format_version"],
            jamais_version=str(opened.about.get("jamais_version")),
            size_bytes=os.path.getsize(where.path),
            arrays=[ArrayHeader(path, entry.dtype, entry.shape) for path, entry in entries.items()],
            plain=opened.plain,
            more={"digest": opened.about.get("digest")},
        )


def _of_json(where: Where) -> Header:
    from jamais.cli.versions.headers.json_outline import JsonOutline

    outline = JsonOutline.read(Path(where.path))
    arrays = [ArrayHeader(path, dtype, shape) for path, (dtype, shape) in outline.tensors().items()]
    warnings = outline.warnings()
    return Header(
        face=Face.JSON.value,
        type_name=outline.root["type"],
        format_version=outline.root["format_version"],
        jamais_version=outline.root["jamais_version"],
        size_bytes=outline.size,
        arrays=arrays,
        plain=outline.plain(),
        warnings=warnings,
    )


def _of_folder(where: Where) -> Header:
    from jamais.persistence import digests, files, json_text
    from jamais.persistence.faces.folder import manifest, open_sealed, placing

    folder = Path(where.path)
    sealed = open_sealed(folder)
    if sealed is None:
        return _of_bare_folder(where)
    listed = sealed.manifest
    texts, edited = {}, []
    for name in [manifest.STATE, *listed.parts]:
        data = files.read(sealed.place(name), limit=MAX_TEXT_BYTES)
        texts[name] = json_text.parse(data, str(folder / name))
        edited += (
            [] if digests.sha256(data) == listed.files[name].sha256 else [f"{name} was edited since it was written"]
        )
    plain = texts.pop(manifest.STATE)
    placing.join_parts(plain, texts, listed.parts, str(folder / manifest.STATE))
    return Header(
        face=Face.FOLDER.value,
        type_name=listed.type_name,
        format_version=manifest.FORMAT_VERSION,
        jamais_version=listed.jamais_version,
        size_bytes=sum(entry.size for entry in listed.files.values()),
        arrays=[ArrayHeader(path, entry.dtype, entry.shape) for path, entry in listed.arrays.items()],
        plain=plain,
        more={"files": len(listed.files), "generation": listed.generation, "state_sha256": listed.state_sha256},
        warnings=tuple(edited),
    )


def _of_bare_folder(where: Where) -> Header:
    """Describe a folder that another program wrote: what its safetensors files and its config.json say."""
    from jamais.persistence import files, json_text
    from jamais.persistence.tensor_file import TensorFile

    folder = Path(where.path)
    arrays: list[ArrayHeader] = []
    plain: dict[str, Any] = {}
    odd = ["has no MANIFEST.json: another program wrote it, and nothing tells whether it is whole"]
    for path in sorted(folder.glob("*.safetensors")):
        with TensorFile.open(path, sealed=False) as opened:
            arrays += [ArrayHeader(f"{path.name}: {n}", e.dtype, e.shape) for n, e in opened.entries.items()]
    config = folder / "config.json"
    if config.exists():
        try:
            plain["config"] = json_text.parse(files.read(config, limit=MAX_TEXT_BYTES), str(config))
        except CorruptStateError as error:
            odd.append(str(error))
    return Header(
        face=Face.FOLDER.value,
        type_name="not told",
        format_version=None,
        jamais_version="",
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        arrays=arrays,
        plain=plain,
        warnings=tuple(odd),
    )


def _of_store(where: Where) -> Header:
    from jamais.persistence import VersionStore
    from jamais.persistence.versions import manifest

    store = VersionStore(where.path)
    info = store.info(where.version)
    older = store.shelf.is_old(info.number)
    arrays, plain = (_read_old if older else _read_manifest)(store, info.number)
    return Header(
        face=Face.STORE.value,
        type_name=info.kind,
        format_version=0 if older else manifest.FORMAT_VERSION,
        jamais_version=info.jamais_version,
        size_bytes=info.size_bytes,
        arrays=arrays,
        plain=plain,
        more={
            "version": info.number,
            "saved": info.time,
            "why": info.reason,
            "parent": info.parent,
            "names": list(info.refs),
            "metrics": dict(info.metrics),
        },
        warnings=info.warnings,
    )


def _read_manifest(store: VersionStore, number: int) -> tuple[list[ArrayHeader], dict[str, Any]]:
    from jamais.persistence.versions.checks import plain_of

    read = store.shelf.manifest(number)
    arrays = [ArrayHeader(path, entry.dtype, entry.shape) for path, entry in read.arrays.items()]
    return arrays, plain_of(store.place, read)


def _read_old(store: VersionStore, number: int) -> tuple[list[ArrayHeader], dict[str, Any]]:
    # Format 0 has no list of its arrays; such states are small.
    from jamais.persistence.dtypes import NAMES
    from jamais.persistence.tree import flatten

    arrays, plain = flatten(store.load(number)[0])
    return [ArrayHeader(path, NAMES[array.dtype], array.shape) for path, array in arrays.items()], plain

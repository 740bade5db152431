"""How does somebody with bad intentions make a state that is sealed correctly and lies?

The digests are no secret: whoever writes the lie can write the digest of the lie.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.persistence.savers import OURS, TYPE
from benchmarks.quality.persistence.states import Size, state
from jamais.persistence import digests, json_text

SIZE = Size(layers=2, rows=16, width=16)
MARKER = "code-has-run"


class Trap:
    """Makes a folder in the current one when it is unpickled."""

    def __reduce__(self) -> tuple[Any, Any]:
        return (os.mkdir, (MARKER,))


def header(entries: Mapping[str, Any] | bytes, data: bytes = b"", *, about: Any = None, n_digests: int = 0) -> bytes:
    """Make a safetensors file with any header, sealed as jamais seals; bytes are put into the header as they are."""
    listed = entries if isinstance(entries, Mapping) else {}
    known = {name: digests.fast(_part(data, entry)) for name, entry in listed.items()}
    known |= {f"x{i}": "0" * 32 for i in range(n_digests)}
    told = about or {"format": "jamais-state", "format_version": 1, "type": TYPE, "digest": "xxh3-128"}
    metadata = {"sha256": "0" * 64, "digests": json.dumps(known), "jamais": json.dumps(told)}
    text = json.dumps({"__metadata__": metadata, **listed}, separators=(",", ":")).encode()
    if not isinstance(entries, Mapping):
        text = text[:-1] + b"," + entries + b"}"
    raw = len(text).to_bytes(8, "little") + text
    return raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode(), 1) + data


def _part(data: bytes, entry: Any) -> bytes:
    try:
        start, stop = entry["data_offsets"]
        return data[start:stop]
    except (TypeError, ValueError):
        return b""


def entry(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, Any]:
    """Describe an array in a safetensors header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def with_json(text: bytes) -> bytes:
    """Make a single file of ours whose JSON is any text."""
    return header({"$state": entry([len(text)], 0, len(text), "U8")}, text)


def saved(name: str, folder: Path) -> Path:
    """Save a small state in a face of jamais, to be tampered with; give where it lies."""
    saver = next(one for one in OURS if one.name == f"jamais {name}")
    saver.save(state(1, SIZE), folder)
    (place,) = folder.iterdir()
    return place


def json_changed(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the document of a JSON state; read it with `accept_edits`, which compares no digests."""
    path = saved("JSON numbers", folder)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def json_with(folder: Path, text: bytes) -> None:
    """Put any text as one value into the state of a JSON state."""
    path = saved("JSON numbers", folder)
    path.write_bytes(_inserted(path.read_bytes(), text, after=b'"state": {'))


def _inserted(document: bytes, text: bytes, after: bytes = b"{") -> bytes:
    assert document.count(after)
    return document.replace(after, after + b'"x": ' + text + b", ", 1)


def folder_sealed(folder: Path, change: Callable[[Any], object]) -> None:
    """Change a folder's manifest and give it the right digest."""
    path = folder / "f" / "MANIFEST.json"
    body = json.loads(path.read_text())
    del body["sha256"]
    change(body)
    path.write_bytes(json_text.dump({**body, "sha256": digests.sha256(json_text.dump(body, canonical=True))}))


def folder_with_json(folder: Path, text: bytes) -> None:
    """Put any text as one value into the state.json of a folder; the manifest says that this is right."""
    path = saved("folder", folder) / "state.json"
    data = _inserted(path.read_bytes(), text)
    path.write_bytes(data)
    told = {"size": len(data), "sha256": digests.sha256(data)}
    folder_sealed(folder, lambda body: body["files"]["state.json"].update(told))


def bare_folder(folder: Path, name: str) -> Path:
    """Make a folder as other programs write it, without a manifest; give the place for a file in it."""
    (folder / "f" / "detectors").mkdir(parents=True)
    (folder / "f" / "config.json").write_text("{}")
    return folder / "f" / name


def store_sealed(folder: Path, change: Callable[[Any], object]) -> None:
    """Save a store, change the manifest of its version and give it the right digest."""
    saved("store", folder)
    store_resealed(folder, change)


def store_resealed(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest of a store's version and give it the right digest."""
    path = folder / "store" / "versions" / "0001.json"
    body = json.loads(path.read_text())["manifest"]
    change(body)
    digest = hashlib.sha256(json_text.dump(body, canonical=True)).hexdigest()
    path.write_bytes(json_text.dump({"manifest": body, "sha256": digest}))


def store_with_json(folder: Path, text: bytes) -> None:
    """Put any text as one value into the JSON of a store's version; the manifest says that this is right."""
    objects = saved("store", folder) / "objects"

    def change(body: Any) -> None:
        old, _ = body["objects"][body["parts"][0]]
        data = _inserted((objects / old).read_bytes(), text)
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        (objects / name).write_bytes(data)
        body["objects"][body["parts"][0]] = [name, len(data)]
        body["keys"].insert(0, "x")

    store_resealed(folder, change)


def in_place_of(name: str, folder: Path, inside: str, make: Callable[[Path], object]) -> None:
    """Put something else (a pipe, a link) in the place of one file of a saved state."""
    saved(name, folder)
    path = next(folder.glob(inside))
    path.unlink()
    make(path)


def zeros_link(path: Path) -> None:
    """Make a link to an endless file."""
    path.symlink_to("/dev/zero")


def npy(text: str, data: bytes = b"") -> bytes:
    """Make a .npy file with any header."""
    line = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + data


def npy_objects() -> bytes:
    """Make a .npy file that is a pickle."""
    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def npz_bomb(path: Path, megabytes: int) -> None:
    """Make an archive of a few kilobytes that unpacks to so much."""
    head = npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({megabytes << 20},), }}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made, made.open("a.npy", "w") as file:
        file.write(head)
        for _ in range(megabytes):
            file.write(bytes(1 << 20))


def compressed(path: Path) -> bytes:
    """Pack the members of a zip anew, compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(64 << 20) if name.endswith("/data/0") else old.read(name))
    return stream.getvalue()


def holes(path: Path, head: bytes, size: int) -> None:
    """Make a file that claims a size and occupies nothing."""
    path.write_bytes(head)
    os.truncate(path, size)


def empty_folder(folder: Path) -> Path:
    """Give an empty folder at a path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

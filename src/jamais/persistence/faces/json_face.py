"""How does a state become a text that people, `git diff` and every language read, and come back bit for bit?

    {"format": "jamais-state", "format_version": 1, "type": …, "jamais_version": …,
     sections: dicts of the state that are known by a name of their own ("vocab": {"words": […]}),
     "layers": [{"type": …, "tensors": {name: {"path": …, tensor}}}],          where the type has layers
     "state": the plain JSON of the tree: {"$array": "<f4 3 2"} stands for an array, {"$part": "vocab"} for a section,
     "tensors": {path: {"dtype": "F32", "shape": [3, 2], "xxh3": …, "data": nested lists, or "b64": base64}},
     "sha256": …}

`xxh3` is the xxh3-128 of a tensor's little-endian bytes; `sha256` covers all else: the document as canonical JSON
(sorted keys, no spaces, ASCII) without itself and without `data` and `b64`. Both are over values: a file that was
only indented anew still is what was written; a changed value is noticed wherever it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, SettingsError, StateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import BY_NAME, NAMES, AnyArray, as_bytes
from jamais.persistence.faces.arrangement import Arrangement, Layer
from jamais.persistence.faces.json_numbers import base64_blocks, number_blocks, read_base64, read_numbers, text_bytes
from jamais.persistence.faces.json_reader import JsonDocument
from jamais.persistence.tensor_file import MAX_TENSORS
from jamais.persistence.tree import flatten, unflatten
from jamais.types import StateTree
from jamais.version import __version__

FORMAT = "jamais-state"
FORMAT_VERSION = 1
MAX_NUMBERS = 64_000_000
"""More are written as decimals only when forced: the text is some 13 bytes a number, a gigabyte from here on."""

OWN_KEYS = ("format", "format_version", "type", "jamais_version", "layers", "state", "tensors", "sha256")
_NO_ARRANGEMENT = Arrangement()
_WRITE_BYTES = 1 << 20
_NAMED = 5
_MAX_AXES = 64


def write_json(
    path: Path,
    tree: StateTree,
    type_name: str,
    *,
    arrays: str = "numbers",
    force: bool = False,
    arrangement: Arrangement = _NO_ARRANGEMENT,
) -> None:
    """Write a state to `path`, replacing what is there as a whole; `arrays` is "numbers" or "base64".

    Raises StateError for what cannot be saved, and, unless forced, for more than MAX_NUMBERS decimals.
    """
    blocks = to_json_blocks(tree, type_name, arrays=arrays, force=force, arrangement=arrangement)
    with files.replacing(path) as handle:
        held = bytearray()
        for block in blocks:
            held += block
            if len(held) >= _WRITE_BYTES:
                files.write_all(handle, held)
                held = bytearray()
        files.write_all(handle, held)


def read_json(path: Path, *, accept_edits: bool = False) -> tuple[StateTree, str]:
    """Read and verify a whole file: the state and the name of its type.

    With `accept_edits` the digests are not compared, so that values changed by hand count; all else is as strict.
    Raises CorruptStateError naming what is wrong or was changed, StateError for a newer format.
    """
    return _read(JsonDocument.read(path), accept_edits)


def to_json_blocks(
    tree: StateTree,
    type_name: str,
    *,
    arrays: str = "numbers",
    force: bool = False,
    arrangement: Arrangement = _NO_ARRANGEMENT,
) -> Iterator[bytes]:
    """Give the text piece by piece, so that no more than some megabytes of it are ever in memory.

    The same state gives the same text. All errors are raised here, before the first piece.
    """
    if arrays not in ("numbers", "base64"):
        raise SettingsError(f'arrays is {arrays!r}, wanted "numbers" or "base64"')
    found, plain = flatten(tree)
    if arrays == "numbers" and not force:
        _not_too_many(found)
    document = _document(found, plain, type_name, arrangement)
    return _text(document, _digest(document), found, arrays)


def _not_too_many(arrays: Mapping[str, AnyArray]) -> None:
    count = sum(array.size for array in arrays.values())
    if count > MAX_NUMBERS:
        size = sum(map(text_bytes, arrays.values())) / 2**20
        short = sum(array.nbytes for array in arrays.values()) * 4 / 3 / 2**20
        raise StateError(
            f"{count:,} numbers would be about {size:,.0f} MiB of text: "
            f'pass arrays="base64" ({short:,.0f} MiB), save a binary file, or pass force=True'
        )


def _document(
    arrays: Mapping[str, AnyArray], plain: dict[str, Any], type_name: str, arrangement: Arrangement
) -> dict[str, Any]:
    """Build everything but the numbers, in the order in which it is written."""
    if len(arrays) > MAX_TENSORS:
        raise StateError(f"a state of {len(arrays)} arrays, at most {MAX_TENSORS} are saved: join the small ones")
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "type": type_name,
        "jamais_version": __version__,
        **_sections(plain, arrangement.sections),
    }
    heads = {
        path: {"dtype": NAMES[array.dtype], "shape": list(array.shape), "xxh3": digests.fast(as_bytes(array))}
        for path, array in arrays.items()
    }
    if arrangement.layers:
        document["layers"] = [_layer(layer, heads) for layer in arrangement.layers]
    return {**document, "state": plain, "tensors": heads}


def _sections(plain: dict[str, Any], sections: Mapping[str, str]) -> dict[str, Any]:
    """Take the sections out of the state, leaving a marker in the place of each."""
    taken = {}
    for name, path in sections.items():
        if name in OWN_KEYS:
            raise StateError(f"a section cannot be called {name!r}: the document has a key of its own of that name")
        if any(other != name and f"{path}/".startswith(f"{sections[other]}/") for other in sections):
            raise StateError(f"section {name!r} ({path}) lies inside another one: take the outer one only")
        *above, last = [_plain_key(key) for key in path.split("/")[1:]] or [path]
        place: Any = plain if path.startswith("/") else None
        for key in above:
            place = place.get(key) if type(place) is dict else None
        value = place.get(last) if type(place) is dict else None
        if type(value) is not dict or _is_marker(value):
            raise StateError(f"section {name!r}: there is no dict at {path!r} of the state")
        taken[name], place[last] = value, {"$part": name}
    return taken


def _plain_key(key: str) -> str:
    key = key.replace("~1", "/").replace("~0", "~")
    return f"${key}" if key.startswith("$") else key


def _is_marker(node: dict[str, Any]) -> bool:
    return any(key.startswith("$") and not key.startswith("$$") for key in node)


def _layer(layer: Layer, heads: dict[str, Any]) -> dict[str, Any]:
    tensors = {}
    for name, path in layer.tensors.items():
        if path not in heads:
            raise StateError(f"layer {layer.type}: {path!r} is no array of the state, or in two places")
        tensors[name] = {"path": path, **heads.pop(path)}
    return {"type": layer.type, "tensors": tensors}


def _digest(document: dict[str, Any]) -> str:
    return digests.sha256(json_text.dump(document, canonical=True))


def _text(document: dict[str, Any], sha256: str, arrays: Mapping[str, AnyArray], mode: str) -> Iterator[bytes]:
    yield b"{\n"
    for key, value in document.items():
        yield b" " + _line(key) + b": "
        if key == "tensors":
            yield from _tensors(value, arrays, mode)
        elif key == "layers":
            for i, layer in enumerate(value):
                yield b"[\n" if i == 0 else b",\n"
                yield b'  {"type": ' + _line(layer["type"]) + b', "tensors": '
                yield from _tensors(layer["tensors"], arrays, mode)
                yield b"}"
            yield b"\n ]"
        else:
            # No text in JSON holds a line break of its own: each begins a line.
            yield json_text.dump(value).rstrip(b"\n").replace(b"\n", b"\n ")
        yield b",\n"
    # No line break at the end: a file that lost its last byte is then no JSON.
    yield b' "sha256": ' + _line(sha256) + b"\n}"


def _tensors(heads: Mapping[str, Any], arrays: Mapping[str, AnyArray], mode: str) -> Iterator[bytes]:
    between = b"{"
    for name, head in heads.items():
        array = arrays[head.get("path", name)]
        yield between + b"\n  " + _line(name) + b": " + _line(head)[:-1]
        if mode == "base64":
            yield b', "b64": '
            yield from base64_blocks(array)
        else:
            yield b', "data":' + (b"\n" if array.ndim > 1 and array.size else b" ")
            yield from number_blocks(array)
        yield b"}"
        between = b","
    yield b"\n }" if heads else b"{}"


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _read(document: JsonDocument, accept_edits: bool) -> tuple[StateTree, str]:
    root, where = document.root, document.where
    check_format(root, where)
    apart = ("layers", "tensors", "sha256")
    sealed = {key: document.whole(value) for key, value in root.items() if key not in apart}
    tensors = _Tensors(document)
    if "layers" in root:
        sealed["layers"] = [tensors.layer(layer) for layer in _typed(root["layers"], list, where, "layers")]
    sealed["tensors"] = {
        path: tensors.take(node, path) for path, node in _typed(root["tensors"], dict, where, "tensors").items()
    }
    changed = [f"tensor {path}" for path in tensors.changed]
    if _digest(sealed) != root["sha256"]:
        changed.append("what is not a tensor")
    if changed and not accept_edits:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        raise CorruptStateError(
            f"{where}: not what was written: {', '.join(name[:200] for name in changed[:_NAMED])}{more}. "
            "If you changed it by hand, read it with accept_edits=True"
        )
    sections = {key: sealed[key] for key in sealed if key not in OWN_KEYS}
    _put_back(sealed["state"], sections)
    if sections:
        raise CorruptStateError(f"{where}: unknown key {min(sections)[:200]!r}, the state has no such part")
    return unflatten(tensors.arrays, sealed["state"], where), root["type"]


def check_format(root: Any, where: str) -> None:
    if type(root) is not dict or root.get("format") != FORMAT:
        raise CorruptStateError(f"{where}: JSON, but not a state saved by jamais (it has no format {FORMAT!r})")
    version = root.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise StateError(
            f"{where}: format version {version}, this jamais ({__version__}) reads {FORMAT_VERSION}: update jamais"
        )
    if type(version) is not int or version < FORMAT_VERSION:
        raise CorruptStateError(f"{where}: format version {str(version)[:20]!r}, there never was such a one")
    for key, kind in (("type", str), ("jamais_version", str), ("state", dict), ("tensors", dict), ("sha256", str)):
        _typed(root.get(key), kind, where, key)


def _typed(value: Any, kind: type, where: str, what: str) -> Any:
    if type(value) is not kind:
        raise CorruptStateError(f"{where}: {what} is {type(value).__name__}, wanted {kind.__name__}")
    return value


class _Tensors:
    """Take the arrays out of a document, noting which are not what was written."""

    def __init__(self, document: JsonDocument) -> None:
        self.arrays: dict[str, AnyArray] = {}
        self.changed: list[str] = []
        self._document = document

    def layer(self, node: Any) -> dict[str, Any]:
        """Take the arrays of one layer; give what its seal covers."""
        where = self._document.where
        if type(node) is not dict or set(node) != {"type", "tensors"}:
            raise CorruptStateError(f"{where}: a layer is an object with type and tensors, got {str(node)[:80]}")
        tensors = {}
        for name, inner in _typed(node["tensors"], dict, where, "tensors of a layer").items():
            path = _typed(inner.get("path") if type(inner) is dict else None, str, where, f"path of {name[:200]!r}")
            tensors[name] = self.take(inner, path, ("path",))
        return {"type": _typed(node["type"], str, where, "type of a layer"), "tensors": tensors}

    def take(self, node: Any, path: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
        """Take one array, after checking that it is described in full; give what its seal covers."""
        where = f"{self._document.where}: tensor {path[:200]}"
        if path in self.arrays:
            raise CorruptStateError(f"{where}: stands twice")
        head = {key: value for key, value in _typed(node, dict, where, "it").items() if key not in ("data", "b64")}
        if set(head) != {"dtype", "shape", "xxh3", *more} or len(node) != len(head) + 1:
            raise CorruptStateError(f"{where}: keys {', '.join(node)[:200]}: wanted dtype, shape, xxh3, data or b64")
        shape, dtype = _typed(head["shape"], list, where, "shape"), _typed(head["dtype"], str, where, "dtype")
        if dtype not in BY_NAME:
            raise CorruptStateError(f"{where}: unknown dtype {dtype[:20]!r}")
        if len(shape) > _MAX_AXES or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
            raise CorruptStateError(f"{where}: shape {str(shape)[:80]} cannot be")
        _typed(head["xxh3"], str, where, "xxh3")
        read = read_numbers if "data" in node else read_base64
        span = self._document.span(node.get("data", node.get("b64")))
        self.arrays[path] = read(span, BY_NAME[dtype], tuple(shape), where)
        if digests.fast(as_bytes(self.arrays[path])) != head["xxh3"]:
            self.changed.append(path)
        return head


def _put_back(node: dict[str, Any], sections: dict[str, Any]) -> None:
    """Put each section into the place that its marker keeps, and forget it."""
    for key, value in node.items():
        if type(value) is not dict:
            continue
        if list(value) == ["$part"] and type(value["$part"]) is str and value["$part"] in sections:
            node[key] = sections.pop(value["$part"])
        else:
            _put_back(value, sections)

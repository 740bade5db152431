"""What does a JSON state of any size say besides its numbers? They are passed over, not parsed, and never kept.

Our writer puts dtype, shape and digest of a tensor before its `data` (nested lists) or `b64` (one text). Neither
can hold a `}`: so the next one ends the tensor, and finding it costs what reading costs. The length of base64 follows
from dtype and shape: it is not even read. A file that another program laid out anew is parsed as a whole, if small.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError, InputError
from jamais.persistence import digests, files, json_text
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces import json_face

MAX_KEPT_BYTES = 128 * 1024 * 1024
"""So much may be left when the numbers are gone; vocabularies and settings take some megabytes."""

_FIRST_BLOCK, _BLOCK = 64 * 1024, 8 * 1024 * 1024
_LONGEST_HEAD = 1024
_HEAD = re.compile(
    rb'"dtype": ?"([A-Z0-9_]{1,12})", ?"shape": ?\[([0-9, ]{0,600})\], ?"xxh3": ?"[0-9a-f]{32}", ?"(data|b64)":\s{0,4}'
)


class JsonOutline:
    """A JSON state without the values of its tensors."""

    def __init__(self, root: dict[str, Any], size: int, where: str) -> None:
        self.root = root
        self.size = size
        self._where = where
        _check(root, where)

    @classmethod
    def read(cls, path: Path) -> JsonOutline:
        """Read a file, passing over the numbers; raise CorruptStateError for anything but a JSON state."""
        handle, size = files.open_plain(Path(os.path.realpath(path)))
        try:
            kept = bytearray()
            for piece in _without_numbers(handle, size, str(path)):
                kept += piece
                if len(kept) > MAX_KEPT_BYTES:
                    raise InputError(
                        f"{path}: more than {MAX_KEPT_BYTES:,} bytes that are not numbers as jamais writes them: "
                        "jamais verify reads the whole of it"
                    )
        finally:
            os.close(handle)
        return cls(json_text.parse(bytes(kept), str(path)), size, str(path))

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Give dtype and shape of each array, by its path in the state."""
        found = {}
        for path, head in [*self._of_layers(), *self.root["tensors"].items()]:
            try:
                dtype, shape = head["dtype"], tuple(head["shape"])
                if dtype not in BY_NAME or not all(type(n) is int and n >= 0 for n in shape):
                    raise ValueError(f"{dtype!r}, {shape!r}"[:80])
            except (TypeError, KeyError, ValueError) as error:
                raise CorruptStateError(f"{self._where}: tensor {path[:200]}: not described ({error!r})") from None
            found[path] = dtype, shape
        return found

    def plain(self) -> dict[str, Any]:
        """Give the JSON of the state, its sections put back into their places. Call it last: it takes them away."""
        state: dict[str, Any] = self.root["state"]
        sections = {key: value for key, value in self.root.items() if key not in json_face.OWN_KEYS}
        left = [state]  # a list and no recursion: who knows how deep a stranger's file is
        while left:
            node = left.pop()
            for key, value in node.items():
                if type(value) is dict and list(value) == ["$part"] and str(value["$part"]) in sections:
                    node[key] = sections.pop(str(value["$part"]))
                elif type(value) is dict:
                    left.append(value)
        return state

    def warnings(self) -> tuple[str, ...]:
        """Say whether what is shown was changed after it was written."""
        sealed = {key: value for key, value in self.root.items() if key != "sha256"}
        sealed["tensors"] = {path: _sealed(head) for path, head in self.root["tensors"].items()}
        if "layers" in self.root:
            sealed["layers"] = [
                {**layer, "tensors": {name: _sealed(head) for name, head in layer["tensors"].items()}}
                for layer in self.root["layers"]
            ]
        with contextlib.suppress(ValueError, RecursionError):  # 1e999, which no state holds
            if digests.sha256(json_text.dump(sealed, canonical=True)) == self.root["sha256"]:
                return ()
        return ("was edited since it was written: jamais verify tells more, --accept-edits takes it",)

    def _of_layers(self) -> Iterator[tuple[str, Any]]:
        for layer in self.root.get("layers", ()):
            for head in layer["tensors"].values():
                yield str(head.get("path")), head


def _without_numbers(handle: int, size: int, where: str) -> Iterator[bytes]:
    """Give the text of a document, `null` in the place of each tensor's values."""
    base, text, at = 0, b"", 0  # `text` lies at `base` in the file; all before `at` in it is done
    while True:
        stop = base + len(text)
        found = _HEAD.search(text, at)
        if found is not None:
            yield text[at : found.end()] + b"null"
            base, text, at = _end(handle, base, text, found.end() + _least(found), size, where)
            continue
        keep = min(len(text) - at, _LONGEST_HEAD) if stop < size else 0  # a head may have been cut in two
        yield text[at : len(text) - keep]
        if stop >= size:
            return
        base, text, at = stop - keep, text[len(text) - keep :] + _read(handle, stop, size, where, 2 * len(text)), 0


def _end(handle: int, base: int, text: bytes, at: int, size: int, where: str) -> tuple[int, bytes, int]:
    """Go on to the next `}`: where the text begins that holds it, that text, and where in it."""
    wanted = _FIRST_BLOCK  # most often it comes at once: the length of base64 is known
    while True:
        if (found := text.find(b"}", at)) >= 0:
            return base, text, found
        base = max(base + at, base + len(text))
        if base >= size:
            raise CorruptStateError(f"{where}: not JSON, a tensor does not end")
        text, at, wanted = _read(handle, base, size, where, wanted), 0, 2 * wanted


def _least(head: re.Match[bytes]) -> int:
    """Give how many bytes the values of a tensor take at least."""
    shape = [int(n) for n in head[2].split(b",") if n.strip()]
    dtype = BY_NAME.get(head[1].decode())
    if dtype is None or head[3] != b"b64":
        return 0
    return 4 * math.ceil(math.prod(shape) * dtype.itemsize / 3)


def _read(handle: int, at: int, size: int, where: str, wanted: int) -> bytes:
    block = bytearray(min(max(wanted, _FIRST_BLOCK), _BLOCK, size - at))
    files.read_into(handle, memoryview(block), at, where)
    if b"\0" in block:  # what a hole in a file reads as: it may claim terabytes that are not there
        raise CorruptStateError(f"{where}: not JSON, it has zero bytes")
    return bytes(block)


def _check(root: Any, where: str) -> None:
    json_face.check_format(root, where)
    layers = root.get("layers", [])
    whole = type(layers) is list and all(type(one) is dict and type(one.get("tensors")) is dict for one in layers)
    tensors = [root["tensors"], *(layer["tensors"] for layer in layers)] if whole else []
    if not whole or not all(type(head) is dict for part in tensors for head in part.values()):
        raise CorruptStateError(f"{where}: its tensors are not described as jamais does")


def _sealed(head: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in head.items() if key not in ("data", "b64")}

"""How does a state tree become arrays and JSON, and come back bit for bit?

JSON has no arrays, no NaN and no lone surrogates; each becomes an object with one key that starts with `$`:
`{"$array": "<f4 3 2"}`, `{"$float": "7ff8000000000000"}`, `{"$text": "6162eda080"}`. The same array in a second
place (tied weights) is `{"$same": "/path/of/the/first"}`. A key of the state itself that starts with `$` gets a
second one.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import json_text
from jamais.persistence.digests import sha256
from jamais.persistence.dtypes import NAMES, AnyArray, as_bytes
from jamais.persistence.json_text import MAX_DEPTH
from jamais.types import StateTree

MAX_INT_BITS = 1024
"""Random generators keep integers of 128 bits; Python refuses to read decimals of more than 4,300 digits."""

MAX_AXES = 32
"""Readers of numbers in other languages stop there, too."""

_BY_MARK = {d.str if d.isbuiltin == 1 else NAMES[d]: d for d in NAMES}
"""How a marker names a dtype: numpy's own way, or safetensors' for those that numpy has no word for."""
_MARKS = {dtype: mark for mark, dtype in _BY_MARK.items()}
_AS_BYTES = re.compile(r"[<>|](?:[iufc]\d{1,2}|[SU]\d{1,9}|[mM]8(?:\[\d{0,9}[A-Za-z]{1,2}\])?)")


def flatten(tree: StateTree) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Split a tree into arrays by path (`/memory/rows`) and a JSON object with a marker for each.

    Raises StateError naming the path of the first leaf that cannot be saved.
    """
    if type(tree) is not dict:
        raise StateError(f"a state is a dict, got {type(tree).__name__}")
    encoder = _Encoder()
    return encoder.tensors, encoder.dictionary(tree, "", 1)


def unflatten(tensors: Mapping[str, AnyArray], plain: Any, where: str = "state.json") -> StateTree:
    """Undo `flatten`; raise CorruptStateError when arrays and markers do not fit each other exactly."""
    if type(plain) is not dict:
        raise CorruptStateError(f"{where}: holds {type(plain).__name__}, wanted an object")
    decoder = _Decoder(where, dict(tensors))
    tree = decoder.dictionary(plain, "", 1)
    if decoder.left:
        raise CorruptStateError(f"{where}: does not mention the stored array {min(decoder.left)}")
    decoder.join_twins()
    return tree


def state_sha256(tree: StateTree) -> str:
    """Name a whole state: sha256 over its JSON and the dtype, shape and sha256 of every array, 64 hex digits.

    The same state has the same name whichever face it came through, and in whatever order its keys stand.
    """
    tensors, plain = flatten(_in_order(tree))  # of a shared array, which place is the first hangs on the order
    listed = {path: sha256(as_bytes(array)) for path, array in tensors.items()}
    return sha256(json_text.dump({"state": plain, "arrays": listed}, canonical=True))


def _in_order(node: Any) -> Any:
    return {key: _in_order(node[key]) for key in sorted(node, key=str)} if type(node) is dict else node


class _Encoder:
    """Walk a tree, putting its arrays aside under their paths."""

    def __init__(self) -> None:
        self.tensors: dict[str, AnyArray] = {}
        self._seen: dict[tuple[Any, ...], str] = {}

    def dictionary(self, node: dict[Any, Any], path: str, depth: int, in_list: bool = False) -> dict[str, Any]:
        _not_too_deep(path, depth)
        encoded: dict[str, Any] = {}
        for key, value in node.items():
            if type(key) is not str or not _is_utf8(key):
                raise StateError(f"state {path or '/'}: keys must be UTF-8 str, got {key!r}")
            encoded["$" + key if key.startswith("$") else key] = self._value(value, below(path, key), depth, in_list)
        return encoded

    def _value(self, value: Any, path: str, depth: int, in_list: bool) -> Any:
        if isinstance(value, str):
            return str(value) if _is_utf8(value) else {"$text": value.encode("utf-8", "surrogatepass").hex()}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if value.bit_length() > MAX_INT_BITS:
                raise StateError(f"state {path}: an int of {value.bit_length()} bits, at most {MAX_INT_BITS}")
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
        if type(value) is dict:
            return self.dictionary(value, path, depth + 1, in_list)
        if type(value) is list:
            _not_too_deep(path, depth + 1)
            return [self._value(item, f"{path}/{i}", depth + 1, in_list=True) for i, item in enumerate(value)]
        # Inside a list only JSON values: an array there would have a name that changes when the list grows.
        if type(value) in (np.ndarray, np.memmap) and not in_list:
            return self._array(value, path)
        raise StateError(f"state {path}: {_what_instead(value)}")

    def _array(self, array: AnyArray, path: str) -> dict[str, str]:
        place = (array.__array_interface__["data"][0], array.dtype, array.shape, array.strides)
        if array.nbytes and place in self._seen:
            return {"$same": self._seen[place]}
        if array.ndim > MAX_AXES or max(array.shape, default=0) >= 1 << 48:
            raise StateError(f"state {path}: cannot save an array of {array.ndim} axes, shape {array.shape[:4]}…")
        if array.dtype in _MARKS:
            self.tensors[path] = np.asarray(array, order="C")
        elif _AS_BYTES.fullmatch(array.dtype.str):
            self.tensors[path] = np.frombuffer(array.tobytes(), dtype=np.uint8)
        else:
            raise StateError(f"state {path}: cannot save dtype {array.dtype}: use numbers, bool or a list")
        self._seen[place] = path
        return {"$array": " ".join([_MARKS.get(array.dtype, array.dtype.str), *map(str, array.shape)])}


def below(path: str, key: str) -> str:
    """Give the path of a key in the dict at `path`, with JSON pointer's escapes."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def _what_instead(value: Any) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, np.generic):
        return f"cannot save a numpy scalar ({name}): use .item()"
    if isinstance(value, np.ndarray):
        return f"cannot save {name} here: only plain arrays that are values of dicts, none inside lists"
    if isinstance(value, tuple | set | frozenset):
        return f"cannot save a {type(value).__name__}: make it a list"
    return f"cannot save {name}: a state holds dicts, arrays, str, int, float, bool, None and lists"


def _not_too_deep(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise StateError(f"state {path[:80]}…: nested deeper than {MAX_DEPTH} levels")


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Decoder:
    """Turn parsed JSON back into a tree, taking each array out of `left` as its marker is met."""

    def __init__(self, where: str, left: dict[str, AnyArray]) -> None:
        self.where = where
        self.left = left
        self._met: dict[str, AnyArray] = {}
        self._twins: list[tuple[dict[str, Any], str, str, str]] = []

    def dictionary(self, node: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise self._bad(path, f"nested deeper than {MAX_DEPTH} levels")
        decoded: dict[str, Any] = {}
        for key, value in node.items():
            if key.startswith("$") and not key.startswith("$$"):
                raise self._bad(path, f"unknown marker {key[:40]!r}")
            name = key[1:] if key.startswith("$") else key
            here = below(path, name)
            decoded[name] = self.value(value, here, depth)
            if type(value) is dict and list(value) == ["$same"]:
                self._twins.append((decoded, name, here, value["$same"]))
        return decoded

    def value(self, node: Any, path: str, depth: int) -> Any:
        if type(node) is list:
            if depth >= MAX_DEPTH:
                raise self._bad(path, f"nested deeper than {MAX_DEPTH} levels")
            return [self.value(item, f"{path}/{i}", depth + 1) for i, item in enumerate(node)]
        if type(node) is not dict:
            return node
        if len(node) == 1:
            ((key, inner),) = node.items()
            if key in ("$array", "$same", "$float", "$text"):
                return self._marker(key, inner, path)
        return self.dictionary(node, path, depth + 1)

    def join_twins(self) -> None:
        """Put arrays that stand in several places there; at the end, as the first may come after the second."""
        for place, name, here, first in self._twins:
            if type(first) is not str or first not in self._met:
                raise self._bad(here, f"is the same as {str(first)[:80]!r}, which is not there")
            place[name] = self._met[first]

    def _marker(self, key: str, inner: Any, path: str) -> Any:
        try:
            if key == "$array":
                self._met[path] = self._array(inner, path)
                return self._met[path]
            if key == "$same":
                return None
            if key == "$float":
                return float(struct.unpack(">d", bytes.fromhex(inner))[0])
            return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
        except (AttributeError, TypeError, ValueError, OverflowError, struct.error) as error:
            raise self._bad(path, f"marker {key} does not fit its content ({error})") from None

    def _array(self, inner: Any, path: str) -> AnyArray:
        kind, *digits = inner.split(" ")
        shape = [int(d) for d in digits]
        if path not in self.left:
            raise ValueError("no file holds this array")
        stored = self.left.pop(path)
        if kind in _BY_MARK:
            if stored.dtype != _BY_MARK[kind] or list(stored.shape) != shape:
                raise ValueError(f"wanted {kind} {shape}, got {stored.dtype} {list(stored.shape)}")
            return stored
        if not _AS_BYTES.fullmatch(kind):
            raise ValueError(f"unknown dtype {kind[:40]!r}")
        dtype = np.dtype(kind)
        if stored.dtype != np.uint8 or math.prod(shape) * dtype.itemsize != stored.nbytes:
            raise ValueError(f"{stored.nbytes} bytes stored for {kind} {shape}")
        return np.ndarray(tuple(shape), dtype, buffer=bytearray(stored.tobytes()))

    def _bad(self, path: str, what: str) -> CorruptStateError:
        return CorruptStateError(f"{self.where}: {path[:200] or '/'}: {what}")

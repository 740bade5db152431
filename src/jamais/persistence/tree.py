"""How does a state tree become arrays and JSON, and come back bit for bit?

JSON has no arrays, no NaN and no lone surrogates; each becomes an object with one key that starts with `$`:
`{"$array": "<f4 3 2"}`, `{"$float": "7ff8000000000000"}`, `{"$text": "6162eda080"}`. A key of the state
itself that starts with `$` gets a second one.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, StateError
from jamais.persistence.json_text import MAX_DEPTH
from jamais.types import StateTree

AnyArray = NDArray[Any]

MAX_INT_BITS = 1024
"""Random generators keep integers of 128 bits; Python refuses to read decimals of more than 4,300 digits."""

_NATIVE = frozenset(["<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"])
_AS_BYTES = re.compile(r"[<>|](?:[iufc]\d{1,2}|[SU]\d{1,9}|[mM]8(?:\[\d{0,9}[A-Za-z]{1,2}\])?)")


def flatten(tree: StateTree) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Split a tree into arrays by path (`/memory/rows`) and a JSON object with a marker for each.

    Raises StateError naming the path of the first leaf that cannot be saved.
    """
    if type(tree) is not dict:
        raise StateError(f"a state is a dict, got {type(tree).__name__}")
    tensors: dict[str, AnyArray] = {}
    return tensors, _encode_dict(tree, "", tensors, 1)


def unflatten(tensors: Mapping[str, AnyArray], plain: Any, where: str = "state.json") -> StateTree:
    """Undo `flatten`; raise CorruptStateError when arrays and markers do not fit each other exactly."""
    if type(plain) is not dict:
        raise CorruptStateError(f"{where}: holds {type(plain).__name__}, wanted an object")
    left = dict(tensors)
    tree = _Decoder(where, left).dictionary(plain, "", 1)
    if left:
        raise CorruptStateError(f"{where}: does not mention the stored array {min(left)}")
    return tree


def _encode_dict(node: dict[Any, Any], path: str, tensors: dict[str, AnyArray] | None, depth: int) -> dict[str, Any]:
    _not_too_deep(path, depth)
    encoded: dict[str, Any] = {}
    for key, value in node.items():
        if type(key) is not str or not _is_utf8(key):
            raise StateError(f"state {path or '/'}: keys must be UTF-8 str, got {key!r}")
        here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        encoded["$" + key if key.startswith("$") else key] = _encode(value, here, tensors, depth)
    return encoded


def _encode(value: Any, path: str, tensors: dict[str, AnyArray] | None, depth: int) -> Any:
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
        return _encode_dict(value, path, tensors, depth + 1)
    if type(value) is list:
        _not_too_deep(path, depth + 1)
        # Inside a list only JSON values: an array there would have a name that changes when the list grows.
        return [_encode(item, f"{path}/{i}", None, depth + 1) for i, item in enumerate(value)]
    if type(value) in (np.ndarray, np.memmap) and tensors is not None:
        return {"$array": _keep_array(value, path, tensors)}
    raise StateError(f"state {path}: {_what_instead(value)}")


def _what_instead(value: Any) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, np.generic):
        return f"cannot save a numpy scalar ({name}): use .item()"
    if isinstance(value, np.ndarray):
        return f"cannot save {name} here: only plain arrays that are values of dicts, none inside lists"
    if isinstance(value, tuple | set | frozenset):
        return f"cannot save a {type(value).__name__}: make it a list"
    return f"cannot save {name}: a state holds dicts, arrays, str, int, float, bool, None and lists"


def _keep_array(array: AnyArray, path: str, tensors: dict[str, AnyArray]) -> str:
    kind = array.dtype.str
    if kind in _NATIVE:
        tensors[path] = np.asarray(array, order="C")
    elif _AS_BYTES.fullmatch(kind) and array.dtype.names is None:
        tensors[path] = np.frombuffer(array.tobytes(), dtype=np.uint8)
    else:
        raise StateError(f"state {path}: cannot save dtype {array.dtype}: use numbers, bool or a list")
    return " ".join([kind, *map(str, array.shape)])


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

    def dictionary(self, node: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise self._bad(path, f"nested deeper than {MAX_DEPTH} levels")
        decoded: dict[str, Any] = {}
        for key, value in node.items():
            if key.startswith("$") and not key.startswith("$$"):
                raise self._bad(path, f"unknown marker {key[:40]!r}")
            name = key[1:] if key.startswith("$") else key
            decoded[name] = self.value(value, f"{path}/{name.replace('~', '~0').replace('/', '~1')}", depth)
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
            if key in ("$array", "$float", "$text"):
                return self._marker(key, inner, path)
        return self.dictionary(node, path, depth + 1)

    def _marker(self, key: str, inner: Any, path: str) -> Any:
        try:
            if key == "$array":
                return self._array(inner, path)
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
        if kind in _NATIVE:
            if stored.dtype.str != kind or list(stored.shape) != shape:
                raise ValueError(f"wanted {kind} {shape}, got {stored.dtype.str} {list(stored.shape)}")
            return stored
        if not _AS_BYTES.fullmatch(kind):
            raise ValueError(f"unknown dtype {kind[:40]!r}")
        dtype = np.dtype(kind)
        if stored.dtype != np.uint8 or math.prod(shape) * dtype.itemsize != stored.nbytes:
            raise ValueError(f"{stored.nbytes} bytes stored for {kind} {shape}")
        return np.ndarray(tuple(shape), dtype, buffer=bytearray(stored.tobytes()))

    def _bad(self, path: str, what: str) -> CorruptStateError:
        return CorruptStateError(f"{self.where}: {path[:200] or '/'}: {what}")

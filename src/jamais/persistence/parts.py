"""Which files does a state tree become, and which tree do these files hold?

`state.json` holds the structure and all that is not an array. Arrays of one dict share a safetensors file of
their own when together they are large, so that an encoder that did not change is one unchanged file; small
ones live together in `tensors.safetensors`. Only bytes in memory are handled here; nothing read can run code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.tree import flatten, unflatten
from jamais.types import StateTree

STATE = "state.json"
SMALL = "tensors.safetensors"
OWN_FILE_BYTES = 64 * 1024
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_TENSORS = 65_536
"""A header of 89 MB with 1.5 million empty tensors took 21 s and 2.2 GiB to open (measured)."""


def pack(tree: StateTree) -> Iterator[tuple[str, bytes]]:
    """Give (file name, content) one by one; raise StateError before the first if a leaf cannot be saved."""
    tensors, plain = flatten(tree)
    if len(tensors) > MAX_TENSORS:
        raise StateError(f"a state of {len(tensors)} arrays, at most {MAX_TENSORS} are saved: join the small ones")
    state = json_text.dump(plain)
    return _contents(tensors, state)


def unpack(contents: Mapping[str, bytes], where: str) -> StateTree:
    """Join what `pack` gave; raise CorruptStateError naming the file that does not fit."""
    tensors: dict[str, AnyArray] = {}
    for name, data in contents.items():
        if name != STATE:
            found = _read_tensors(data, f"{where}/{name}")
            twice = tensors.keys() & found.keys()
            if twice:
                raise CorruptStateError(f"{where}/{name}: array {min(twice)} is in another file too")
            tensors.update(found)
    if STATE not in contents:
        raise CorruptStateError(f"{where}: no {STATE}")
    plain = json_text.parse(contents[STATE], f"{where}/{STATE}")
    return unflatten(tensors, plain, f"{where}/{STATE}")


def _contents(tensors: dict[str, AnyArray], state: bytes) -> Iterator[tuple[str, bytes]]:
    from safetensors.numpy import save  # here, so that history and inspect never load it

    yield STATE, state
    for name, group in _groups(tensors).items():
        yield name, save(group)


def _groups(tensors: dict[str, AnyArray]) -> dict[str, dict[str, AnyArray]]:
    by_dict: dict[str, dict[str, AnyArray]] = {}
    for path, array in tensors.items():
        by_dict.setdefault(path.rpartition("/")[0], {})[path] = array
    groups: dict[str, dict[str, AnyArray]] = {}
    for parent, group in by_dict.items():
        if sum(array.nbytes for array in group.values()) >= OWN_FILE_BYTES:
            groups[_file_name(parent, groups)] = group
        else:
            groups.setdefault(SMALL, {}).update(group)
    return groups


def _file_name(path: str, taken: Mapping[str, object]) -> str:
    # For people only: which arrays are inside is written in the file itself.
    stem = re.sub(r"[^A-Za-z0-9_-]+", ".", path).strip(".-")[:80] or "root"
    name, n = f"{stem}.safetensors", 1
    while name in taken or name == SMALL:
        n += 1
        name = f"{stem}-{n}.safetensors"
    return name


def _read_tensors(data: bytes, where: str) -> dict[str, AnyArray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(MAX_HEADER_BYTES, len(data) - 8):
        raise CorruptStateError(f"{where}: a header of {header} bytes does not fit a file of {len(data)}")
    if data.count(b'"data_offsets"', 8, 8 + header) > MAX_TENSORS:
        raise CorruptStateError(f"{where}: more than {MAX_TENSORS} arrays")
    try:
        found = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise CorruptStateError(f"{where}: not a safetensors file ({error})") from None
    # Older safetensors hand out read-only views; a live state must be writable.
    return {name: array if array.flags.writeable else np.array(array) for name, array in found.items()}

"""How do the arrays of a state get into files that other libraries read, and come back checked one by one?"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from jamais.errors import CorruptStateError
from jamais.persistence import digests, files
from jamais.persistence.dtypes import NAMES, AnyArray, as_bytes, empty
from jamais.persistence.faces.folder.manifest import ArrayEntry, FileEntry
from jamais.persistence.faces.folder.torch_file import read_torch, write_torch
from jamais.persistence.tensor_file import MAX_HEADER_BYTES, MAX_TENSORS, TensorFile, write_tensors

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK_BYTES = 4 * 1024 * 1024
_MAGIC = b"\x93NUMPY"
_MAX_NPY_HEADER = 10_000
_SHAPE = r"\(((?:\d{1,15},? ?){0,32})\)"
_NPY_HEADER = re.compile(
    r"\{'descr': '([<>|=])([a-zA-Z]\d{0,9})', 'fortran_order': (True|False), 'shape': " + _SHAPE + r", \} *\n"
)


def write_arrays(path: Path, arrays: Mapping[str, AnyArray], listed: Mapping[str, ArrayEntry]) -> FileEntry:
    """Write arrays by name to a new file in the format of its suffix (.safetensors, .bin, .npy: one, named "").

    `listed` describes each, by the same names. Gives what the bytes of the file are.
    """
    handle = os.open(path, _NEW, 0o666)
    n_array_bytes = sum(entry.n_bytes for entry in listed.values())
    try:
        if path.suffix == ".npy":
            write_npy(handle, arrays[""])
        elif path.suffix == ".bin":
            write_torch(handle, arrays)
        else:
            known = {name: entry.xxh3 for name, entry in listed.items()}
            whole = digests.hasher(digests.STRONG)
            # transformers asks for the format; it is what tells it that the names are torch's.
            write_tensors(handle, arrays, {"format": "pt"}, known=known, whole=whole)
            size = os.fstat(handle).st_size
            return FileEntry(size, whole.hexdigest(), digests.fast(_header(handle, size - n_array_bytes, path)))
    finally:
        os.close(handle)
    return described(path, n_array_bytes)


def described(path: Path, n_array_bytes: int | None = None) -> FileEntry:
    """Read a file once and say what its bytes are; so many at its end are of listed arrays, None: it has none."""
    whole = digests.hasher(digests.STRONG)
    handle, size = files.open_plain(path)
    try:
        block = bytearray(_BLOCK_BYTES)
        for start in range(0, size, _BLOCK_BYTES):
            part = memoryview(block)[: min(_BLOCK_BYTES, size - start)]
            files.read_into(handle, part, start, str(path))
            whole.update(part)
        with_header = n_array_bytes is not None and _has_header(path)
        header = _header(handle, size - (n_array_bytes or 0), path) if with_header else b""
    finally:
        os.close(handle)
    return FileEntry(size, whole.hexdigest(), digests.fast(header) if header else "")


def entry_of(array: AnyArray, file: str, name: str) -> ArrayEntry:
    """Describe an array that lies in `file` under `name`."""
    return ArrayEntry(file, name, NAMES[array.dtype], array.shape, digests.fast(as_bytes(array)))


def unsealed_arrays(path: Path) -> dict[str, AnyArray]:
    """Read all arrays of a file that nobody vouches for."""
    if path.suffix == ".bin":
        return read_torch(path)
    if path.suffix == ".npy":
        return {"": read_npy(path)}
    with _tensors_file(path) as opened:
        return {name: opened.read(name) for name in opened.entries}


def sealed_arrays(
    path: Path, sealed: FileEntry, listed: Mapping[str, ArrayEntry], problems: list[str]
) -> Iterator[tuple[str, AnyArray]]:
    """Give (path in the state, array) of those listed in one file; put what is damaged into `problems`, by name."""
    try:
        _check_frame(path, sealed, listed)
        for place, array in _opened(path, listed):
            if _is(array, listed[place]):
                yield place, array
            else:
                problems.append(_not_written(path, listed[place]))
    except CorruptStateError as error:
        problems.append(str(error))


def is_whole(path: Path, sealed: FileEntry) -> bool:
    """Compare all bytes of a file with its sha256, whatever is in it."""
    return _size(path) == sealed.size and described(path).sha256 == sealed.sha256


def _check_frame(path: Path, sealed: FileEntry, listed: Mapping[str, ArrayEntry]) -> None:
    """Compare all that is not array data: a file of another save shows here, before it is understood."""
    handle, size = files.open_plain(path)
    try:
        if size != sealed.size:
            raise CorruptStateError(f"{path}: {size} bytes, the manifest says {sealed.size}")
        if not _has_header(path):
            if described(path).sha256 != sealed.sha256:
                raise CorruptStateError(f"{path}: not what was written (sha256)")
            return
        header = _header(handle, size - sum(entry.n_bytes for entry in listed.values()), path)
        if digests.fast(header) != sealed.header:
            raise CorruptStateError(f"{path}: its header is not what was written")
    finally:
        os.close(handle)


def _has_header(path: Path) -> bool:
    return path.suffix in (".safetensors", ".npy")


def _header(handle: int, length: int, path: Path) -> bytes:
    if length > MAX_HEADER_BYTES + 8:
        raise CorruptStateError(f"{path}: {length} bytes in no array, at most {MAX_HEADER_BYTES + 8}")
    header = bytearray(length)
    files.read_into(handle, memoryview(header), 0, str(path))
    return bytes(header)


def _opened(path: Path, listed: Mapping[str, ArrayEntry]) -> Iterator[tuple[str, AnyArray]]:
    if path.suffix == ".safetensors":
        yield from _tensors(path, listed)
        return
    found = unsealed_arrays(path)
    _same_names(path, found, listed)
    for place, entry in listed.items():
        yield place, found[entry.name]


def _tensors(path: Path, listed: Mapping[str, ArrayEntry]) -> Iterator[tuple[str, AnyArray]]:
    with _tensors_file(path) as opened:
        _same_names(path, opened.entries, listed)
        damaged = []
        for place, entry in listed.items():
            try:
                yield place, opened.read(entry.name)
            except CorruptStateError:
                damaged.append(_not_written(path, entry))
    if damaged:
        raise CorruptStateError("; ".join(damaged[:5]))


def _tensors_file(path: Path) -> TensorFile:
    """Open a safetensors file of anybody, unless its header tells of more arrays than are worth the time to parse."""
    handle, size = files.open_plain(path)
    try:
        length = int.from_bytes(_header(handle, min(8, size), path), "little")
        header = _header(handle, 8 + length, path) if length <= min(MAX_HEADER_BYTES, size - 8) else b""
    finally:
        os.close(handle)
    if header.count(b'"data_offsets"') > MAX_TENSORS:
        raise CorruptStateError(f"{path}: more than {MAX_TENSORS} arrays")
    return TensorFile.open(path, sealed=False)


def _same_names(path: Path, found: Collection[str], listed: Mapping[str, ArrayEntry]) -> None:
    if set(found) != {entry.name for entry in listed.values()}:
        raise CorruptStateError(f"{path}: holds other arrays than the manifest lists")


def _is(array: AnyArray, entry: ArrayEntry) -> bool:
    same_kind = NAMES.get(array.dtype) == entry.dtype and array.shape == entry.shape
    return same_kind and digests.fast(as_bytes(array)) == entry.xxh3


def _not_written(path: Path, entry: ArrayEntry) -> str:
    return f"{path}: tensor {entry.name} is not what was written" if entry.name else f"{path}: not what was written"


def _size(path: Path) -> int:
    handle, size = files.open_plain(path)
    os.close(handle)
    return size


def fits_npy(array: AnyArray) -> bool:
    """Tell whether numpy has a word for the dtype: it has none for bfloat16 and float8."""
    return array.dtype in NAMES and array.dtype.isbuiltin == 1


def write_npy(handle: int, array: AnyArray) -> None:
    """Write an array to an open, empty file as `numpy.save` does."""
    files.write_all(handle, _npy_header(array))
    files.write_all(handle, as_bytes(array))


def read_npy(path: Path) -> AnyArray:
    """Read an array of plain numbers; raise CorruptStateError for anything else, before memory is taken for it.

    The header is matched, never evaluated; a pickled array is refused by its dtype.
    """
    handle, size = files.open_plain(path)
    try:
        start = _header_size(handle, size, path)
        text = bytearray(start)
        files.read_into(handle, memoryview(text), 0, str(path))
        dtype, fortran, shape = _parsed(bytes(text[10 if text[6] == 1 else 12 :]), path)
        if math.prod(shape) * dtype.itemsize != size - start:
            raise CorruptStateError(
                f"{path}: says {dtype} {list(shape)}, which is not the {size - start} bytes that are there"
            )
        array = empty(dtype, shape[::-1] if fortran else shape, str(path))
        files.read_into(handle, as_bytes(array), start, str(path))
    finally:
        os.close(handle)
    native = array.astype(dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(native.T) if fortran else native


def _npy_header(array: AnyArray) -> bytes:
    shape = "(" + ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "") + ")"
    text = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return _MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _header_size(handle: int, size: int, path: Path) -> int:
    start = bytearray(min(size, 12))
    files.read_into(handle, memoryview(start), 0, str(path))
    if len(start) < 12 or start[:6] != _MAGIC or tuple(start[6:8]) not in ((1, 0), (2, 0)):
        raise CorruptStateError(f"{path}: not a .npy file of plain numbers")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > min(_MAX_NPY_HEADER, size - 8 - width):
        raise CorruptStateError(f"{path}: a header of {length} bytes does not fit a file of {size}")
    return 8 + width + length


def _parsed(header: bytes, path: Path) -> tuple[np.dtype[np.generic], bool, tuple[int, ...]]:
    match = _NPY_HEADER.fullmatch(header.decode("latin-1"))
    if match is None:
        raise CorruptStateError(f"{path}: its header describes no plain array")
    order, kind, fortran, shape = match.groups()
    try:
        dtype = np.dtype("|b1" if kind in ("?", "b1") else order + kind)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.newbyteorder("<") not in NAMES:
        what = "pickled objects" if kind.startswith("O") else f"dtype {order}{kind}"
        raise CorruptStateError(f"{path}: holds {what}, only plain numbers are read")
    return dtype, fortran == "True", tuple(int(n) for n in re.findall(r"\d+", shape))

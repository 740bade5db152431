"""How are arrays that NumPy has saved read without pickles, with one sentence for what is damaged?"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from jamais.errors import InputError

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class Head(NamedTuple):
    """What the first bytes of an .npy say, and where its numbers begin."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]
    at: int

    @property
    def n_bytes(self) -> int:
        n = 1
        for size in self.shape:
            n *= size
        return n * self.dtype.itemsize


def array_head(file: IO[bytes], name: str) -> Head:
    """Read the head of an .npy; raises InputError, also for pickled objects."""
    try:
        version = npy.read_magic(file)
        if version == (1, 0):
            shape, by_columns, dtype = npy.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, by_columns, dtype = npy.read_array_header_2_0(file)
        else:
            raise ValueError(f"version {version} of the format")
    except ValueError as wrong:
        said = str(wrong).splitlines()[0][:120]
        raise InputError(f"{name} is no array of numbers that NumPy has saved ({said})") from wrong
    if dtype.hasobject:
        raise InputError(
            f"{name} holds pickled Python objects, which could run code when read: save numbers, "
            "numpy.save(path, rows.astype('float32'))"
        )
    return Head(tuple(shape), bool(by_columns), dtype, file.tell())


def entry_head(packed: zipfile.ZipFile, key: str, name: str) -> Head:
    """Read the head of the array `key` of an .npz."""
    with packed.open(f"{key}.npy") as file:
        return array_head(file, f"{name}, array {key}")


def whole_array(packed: zipfile.ZipFile, key: str, name: str) -> NDArray[Any]:
    """Read the whole array `key` of an .npz."""
    with packed.open(f"{key}.npy") as file:
        try:
            return np.asarray(npy.read_array(file, allow_pickle=False))
        except ValueError as wrong:
            raise InputError(f"{name}, array {key}: {str(wrong).splitlines()[0][:120]}") from wrong


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Turn what damage raises into InputError."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as wrong:
        raise InputError(f"{name} is damaged, cut short or no .npz ({wrong}): copy or save it again") from wrong

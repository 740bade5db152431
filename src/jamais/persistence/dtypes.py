"""Which numbers can be kept, under which name, and what are their bytes?

The names are those of safetensors. numpy has no bfloat16 and no float8: `ml_dtypes` gives it both.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from jamais.errors import StateError

AnyArray = NDArray[Any]

BY_NAME: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("|i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("|u1"),
    "BOOL": np.dtype("|b1"),
}
NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in BY_NAME.items()}


def as_bytes(array: AnyArray) -> memoryview:
    """Give the bytes of an array in row order; a copy is made only when they do not lie so already."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8).data if flat.size else memoryview(b"")


def empty(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> AnyArray:
    """Make an array to read into; the caller has compared its size with that of the file.

    Raises StateError when this machine has not so much memory: a file with holes can be larger than its disk.
    """
    try:
        made: AnyArray = np.empty(shape, dtype)
    except MemoryError:
        raise StateError(f"{where}: {list(shape)[:8]} of {dtype} is more than fits into memory here") from None
    return made

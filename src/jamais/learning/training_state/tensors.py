"""How does a torch tensor become a numpy array with the same bits, and come back?"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jamais.errors import StateError

AnyArray = NDArray[Any]

# numpy knows these through ml_dtypes only, and torch hands them over only as integers of the same width.
_AS_INTEGERS: dict[torch.dtype, tuple[torch.dtype, np.dtype[Any]]] = {
    torch.bfloat16: (torch.int16, np.dtype(ml_dtypes.bfloat16)),
    torch.float8_e4m3fn: (torch.uint8, np.dtype(ml_dtypes.float8_e4m3fn)),
    torch.float8_e5m2: (torch.uint8, np.dtype(ml_dtypes.float8_e5m2)),
}
_FROM_INTEGERS = {
    array: (np.dtype(f"i{array.itemsize}") if integer is torch.int16 else np.dtype("u1"), dtype)
    for dtype, (integer, array) in _AS_INTEGERS.items()
}


def to_array(tensor: Tensor, where: str) -> AnyArray:
    """Return the tensor's numbers, [...] like it; a CPU tensor shares its memory with the array.

    Raises StateError naming `where` for a tensor that is sparse, quantized or of a dtype that numpy has not.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise StateError(f"{where}: cannot save a sparse, quantized or meta tensor: make it a plain one")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.dtype in _AS_INTEGERS:
        integer, dtype = _AS_INTEGERS[plain.dtype]
        made: AnyArray = plain.view(integer).numpy().view(dtype)
        return made
    try:
        return plain.numpy()
    except TypeError:
        raise StateError(f"{where}: cannot save dtype {plain.dtype}: convert it first") from None


def to_tensor(array: AnyArray, where: str) -> Tensor:
    """Return a new CPU tensor with the array's numbers, [...] like it; raise StateError if torch has no such dtype."""
    own = np.array(array, order="C")
    try:
        if own.dtype in _FROM_INTEGERS:
            integer, dtype = _FROM_INTEGERS[own.dtype]
            return torch.from_numpy(own.view(integer)).view(dtype)
        return torch.from_numpy(own)
    except TypeError:
        raise StateError(f"{where}: torch has no dtype {own.dtype}: load another version") from None


def check_like(saved: AnyArray, dtype: torch.dtype, shape: tuple[int, ...], where: str) -> None:
    """Raise StateError when a saved array has not the dtype and shape wanted here."""
    saved_dtype = to_tensor(np.empty(0, saved.dtype), where).dtype
    if saved_dtype == dtype and saved.shape == shape:
        return
    words = [f"{str(one).removeprefix('torch.')} " if saved_dtype != dtype else "" for one in (saved_dtype, dtype)]
    raise StateError(
        f"{where}: saved {words[0]}{list(saved.shape)}, here {words[1]}{list(shape)}: build it as it was when saved"
    )

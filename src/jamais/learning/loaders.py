"""Which part of what a loader gives are the numbers to learn from?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from jamais.errors import InputError


def part_with(axes: int, batch: Any, number: int, wanted: str) -> Tensor:
    """Give the part of x, (x, y) or (index, x) that has so many `axes`: an index and a label have fewer.

    Raise InputError, naming batch `number` and what was `wanted`, where there is none.
    """
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    for part in parts:
        tensor = torch.from_numpy(part) if isinstance(part, np.ndarray) else part
        if isinstance(tensor, Tensor) and tensor.ndim == axes:
            return tensor
    got = ", ".join(str(list(part.shape)) if hasattr(part, "shape") else type(part).__name__ for part in parts)
    raise InputError(f"batch {number} of the loader has no {wanted}; it has {got}: give x, (x, y) or (index, x)")

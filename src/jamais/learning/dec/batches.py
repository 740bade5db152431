"""Which part of what a loader gives are the rows, and are they fit to learn from?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jamais.errors import InputError, ShapeMismatchError
from jamais.learning.loaders import part_with
from jamais.learning.training_state import EpochOrder
from jamais.types import Vectors


def row_batches(loader: Iterable[Any], device: torch.device | str) -> Iterator[Tensor]:
    """Give the rows [n, width] float32 of each batch: x, (x, y) and (index, x) are told apart by their axes.

    Raise `InputError` for a batch without rows or with a number that is not finite.
    """
    for number, batch in enumerate(loader):
        rows = part_with(2, batch, number, "rows [n, width]").to(device=device, dtype=torch.float32)
        if not bool(torch.isfinite(rows).all()):
            raise InputError(f"batch {number} of the loader holds NaN or infinite numbers: clean the rows first")
        yield rows


class Shuffled:
    """Batches of rows [n, width], each row once per walk; every walk in an order of its own, the same for one seed."""

    def __init__(self, rows: Vectors, batch_size: int, seed: int) -> None:
        self._rows = torch.from_numpy(rows)
        self._order = EpochOrder(len(rows), batch=batch_size, seed=seed)

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(self._order.batches):
            yield self._rows[torch.from_numpy(self._order.draw())]


def checked_rows(given: Any, width: int, what: str = "rows") -> Vectors:
    """Copy rows [n, width] to float32; raise `InputError` or `ShapeMismatchError` saying what is wrong with them."""
    rows = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ShapeMismatchError(f"{what}: wanted [n, {width}], got {list(rows.shape)}: dims[0] is the width of a row")
    if not len(rows):
        raise InputError(f"{what}: there are none; give at least one")
    if rows.dtype.kind not in "fiub":
        raise InputError(f"{what}: wanted numbers, got {rows.dtype}")
    with np.errstate(over="ignore"):  # what is too large for float32 is told below
        copied: Vectors = np.array(rows, dtype=np.float32, order="C")
    bad = ~np.isfinite(copied).all(axis=1)
    if bad.any():
        raise InputError(
            f"{what}: {np.count_nonzero(bad):,} of {len(rows):,} hold NaN or infinite numbers, the first is row "
            f"{int(bad.argmax())}: clean or drop them"
        )
    return copied

"""Which part of what a loader gives are the windows, and are they fit to learn from?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import StateTree


class WindowModel(Protocol):
    """What training needs of a MEMTO."""

    optimizer_state: StateTree
    """What the optimizer of the last phase remembers, empty for nothing; see `phases`."""

    @property
    def n_features(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def threads(self) -> int: ...

    @property
    def seed(self) -> int: ...

    @property
    def memory(self) -> Any: ...

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def training_pass(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def parameters(self) -> Iterable[nn.Parameter]: ...

    def named_parameters(self) -> Any: ...

    def modules(self) -> Iterable[nn.Module]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...

    def count(self, phase: int, epochs: int) -> None: ...

    def train(self, mode: bool = True) -> object: ...


def window_batches(loader: Iterable[Any], model: WindowModel) -> Iterator[Tensor]:
    """Give the windows [n, L, channels] float32 of each batch: x, (x, y) and (index, x) are told apart by their axes.

    Raise `InputError` for a batch without windows or with a number that is not finite, `ShapeMismatchError` for
    another number of channels.
    """
    for number, batch in enumerate(loader):
        windows = _windows_of(batch, number).to(device=model.device, dtype=torch.float32)
        if windows.shape[2] != model.n_features:
            raise ShapeMismatchError(
                f"batch {number} of the loader: wanted windows [n, L, {model.n_features}], got {list(windows.shape)}"
            )
        if not len(windows):
            continue
        if not bool(torch.isfinite(windows).all()):
            raise InputError(f"batch {number} of the loader holds NaN or infinite numbers: fill or drop them first")
        yield windows


def _windows_of(batch: Any, number: int) -> Tensor:
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    for part in parts:
        tensor = torch.from_numpy(part) if isinstance(part, np.ndarray) else part
        # An index has one axis, labels have one or two; windows have three.
        if isinstance(tensor, Tensor) and tensor.ndim == 3:
            return tensor
    got = ", ".join(str(list(part.shape)) if hasattr(part, "shape") else type(part).__name__ for part in parts)
    raise InputError(
        f"batch {number} of the loader has no windows [n, L, channels]; it has {got}: give x, (x, y) or (index, x)"
    )

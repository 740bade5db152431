"""Which part of what a loader gives are the windows, and are they fit to learn from?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from jamais.errors import InputError, ShapeMismatchError
from jamais.learning.loaders import part_with
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
        windows = part_with(3, batch, number, "windows [n, L, channels]").to(device=model.device, dtype=torch.float32)
        if windows.shape[2] != model.n_features:
            raise ShapeMismatchError(
                f"batch {number} of the loader: wanted windows [n, L, {model.n_features}], got {list(windows.shape)}"
            )
        if not len(windows):
            continue
        if not bool(torch.isfinite(windows).all()):
            raise InputError(f"batch {number} of the loader holds NaN or infinite numbers: fill or drop them first")
        yield windows

"""What does a model made elsewhere have to offer, and how is it asked so that a row's answer is its own?

Rows are given one by one, always [1, width]: a matrix product may round a row otherwise in another batch or at
another place in it, so no other shape gives the same bits alone and among others.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from jamais.errors import InputError
from jamais.types import Floats, Vectors


@runtime_checkable
class Reconstructs(Protocol):
    """Gives rows back as it knows them."""

    def reconstruct(self, rows: Any) -> Any:
        """Return `rows` (numpy float32 [n, width]) as reconstructed, [n, width]: an array or a tensor."""
        ...


@runtime_checkable
class HasLoss(Protocol):
    """Says how badly it knows rows, where it cannot give them back."""

    def reconstruction_loss(self, rows: Any) -> Any:
        """Return a loss [n] for each of `rows` (numpy float32 [n, width]): an array or a tensor."""
        ...


def errors(model: Reconstructs, rows: Vectors) -> Floats:
    """Return by how much each column of `rows` [n, width] is missed, [n, width]."""
    made = [_answer(model.reconstruct(row), row.shape, model) for row in _singly(rows)]
    return rows.astype(np.float64) - np.concatenate(made) if made else np.empty(rows.shape)


def losses(model: HasLoss, rows: Vectors) -> Floats:
    """Return the loss [n] of each of `rows` [n, width]."""
    made = [_answer(model.reconstruction_loss(row), (1,), model) for row in _singly(rows)]
    return np.concatenate(made) if made else np.empty(0)


def _singly(rows: Vectors) -> list[Vectors]:
    return [rows[i : i + 1].copy() for i in range(len(rows))]  # copies: what a model does to them stays its own affair


def _answer(given: Any, shape: tuple[int, ...], model: object) -> Floats:
    if hasattr(given, "detach"):
        given = given.detach().cpu().double().numpy()
    answer = np.array(given, dtype=np.float64)
    who = type(model).__name__
    if answer.shape != shape:
        raise InputError(
            f"{who} answered {list(answer.shape)} to a row [1, width], wanted {list(shape)}: see Reconstructs"
        )
    if not np.isfinite(answer).all():
        raise InputError(f"{who} answered NaN or infinity to a finite row: train it again, or scale the rows")
    return answer

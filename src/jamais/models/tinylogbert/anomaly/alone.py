"""How is a line read so that its bits depend on nothing but the line, however it was padded or batched?

Every distinct line runs through the network alone, in the shape its own pieces give it: a matrix product may round
differently in another shape, so padding and neighbours would leak into the bits. Dropout and autocast are off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jamais.models.tinylogbert.encoder import Encoder
from jamais.models.tinylogbert.vocabulary import MASK, N_SPECIAL, VAR
from jamais.types import Floats

Found = TypeVar("Found")

_TURNS = 5  # every fifth piece is hidden at a time: the share that training hides


def hidden_alone(encoder: Encoder, ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Map `ids` [n, length] to hidden vectors [n, length, width] (0 at padding) and features [n, width]."""

    def read(line: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        if not len(line):
            return nothing, nothing.new_zeros(encoder.shape.width)
        hidden = encoder(line[None], None if bool(there.all()) else there[None])
        return hidden[0], pooled(hidden, line[None], there[None])[0]

    nothing = encoder.words.weight.new_zeros((0, encoder.shape.width))
    lines = _each(encoder, ids, real, read)
    hidden = encoder.words.weight.new_zeros((*ids.shape, encoder.shape.width))
    for row, (vectors, _) in enumerate(lines):
        hidden[row, : len(vectors)] = vectors
    return hidden, torch.stack([feature for _, feature in lines]) if lines else nothing


def masked_losses(encoder: Encoder, ids: Tensor, real: Tensor) -> Floats:
    """Say how badly each line [n] is guessed: the mean cross-entropy of its pieces, each hidden once.

    Every fifth piece is hidden at a time, in turn, as training hides a fifth. Lines of variables alone lose nothing.
    """
    return np.array(_each(encoder, ids, real, lambda line, there: _loss(encoder, line, there)), dtype=np.float64)


def pooled(hidden: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """Average [n, length, width] over pieces that carry text, or over all real ones where none does."""
    carries = real & (ids >= VAR)
    carries = torch.where(carries.any(1, keepdim=True), carries, real)
    weights = carries.to(hidden.dtype)
    return torch.einsum("nlw,nl->nw", hidden, weights) / weights.sum(1, keepdim=True).clamp(min=1)


@contextmanager
def dropout_off(encoder: Encoder) -> Iterator[None]:
    """Hold a network in evaluation mode; afterwards each of its modules is in the mode it was in."""
    training = [module for module in encoder.modules() if module.training]
    encoder.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _each(encoder: Encoder, ids: Tensor, real: Tensor, read: Callable[[Tensor, Tensor], Found]) -> list[Found]:
    """Call `read(line, there)` with each distinct line [length] up to its last real piece; give one answer per row."""
    found: dict[bytes, Found] = {}
    answers: list[Found] = []
    there_cpu, ids_cpu = real.cpu().numpy(), ids.cpu().numpy()
    with torch.no_grad(), dropout_off(encoder), torch.autocast(ids.device.type, enabled=False):
        for row in range(len(ids)):
            places = np.flatnonzero(there_cpu[row])
            n = int(places[-1]) + 1 if len(places) else 0
            key = ids_cpu[row, :n].tobytes() + there_cpu[row, :n].tobytes()
            if key not in found:
                # A copy: where a line began in its batch must not decide how it is aligned in memory.
                found[key] = read(ids[row, :n].clone(), real[row, :n].clone())
            answers.append(found[key])
    return answers


def _loss(encoder: Encoder, line: Tensor, there: Tensor) -> float:
    asked = torch.nonzero(there & (line >= N_SPECIAL))[:, 0]
    n_turns = min(_TURNS, len(asked))
    if not n_turns:
        return 0.0
    turn = torch.arange(len(asked), device=line.device) % n_turns
    masked = line.repeat(n_turns, 1)
    masked[turn, asked] = MASK
    hidden = encoder(masked, None if bool(there.all()) else there.expand(n_turns, -1))
    guesses = encoder.guess(hidden[turn, asked]).float()
    return float(functional.cross_entropy(guesses, line[asked], reduction="none").double().mean())

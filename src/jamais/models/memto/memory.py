"""What are the normal patterns, how are they read, and who may write them?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.errors import NotReadyError, ShapeMismatchError
from jamais.models.memto.config import MEMTOConfig
from jamais.models.memto.encoder import draw_weights


class MemoryHealth(NamedTuple):
    """Whether a memory is used: items that are all alike, or one that serves everybody, are no memory."""

    usage: tuple[float, ...]
    """[M] share of the queries that each item is nearest to."""
    usage_entropy: float
    """Entropy of `usage` over log M: 1 = all alike, 0 = one item serves all."""
    attention_entropy: float
    """The same of the mean read attention."""
    cosine: float
    """Mean cosine between two items: 1 = they are one."""
    cosine_about_mean: float
    """The same after their mean is taken off: what a direction common to all latents does not hide."""


class GatedMemory(nn.Module):
    """M items [M, C] in a buffer: read by attention, written by `updated` and `store` only (paper, 3.2)."""

    items: Tensor

    def __init__(self, config: MEMTOConfig) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.cosine = config.similarity == "cosine"
        self.competing = config.writing == "competing"
        self.register_buffer("items", torch.empty(config.num_memory_items, config.latent_dim))
        self.old_gate = nn.Linear(config.latent_dim, config.latent_dim, bias=False)
        """U of equation 2."""
        self.new_gate = nn.Linear(config.latent_dim, config.latent_dim, bias=False)
        """W of equation 2."""

    def attend(self, queries: Tensor, items: Tensor | None = None) -> Tensor:
        """Read: w [n, L, M] = softmax over items of <m_i, q_t> / tau (equation 4), of queries [n, L, C]."""
        known = self.items if items is None else items
        attention = torch.softmax(self._likeness(queries.flatten(0, 1), known), dim=0)
        return attention.view(len(known), *queries.shape[:2]).permute(1, 2, 0)

    def updated(self, queries: Tensor) -> Tensor:
        """Return what the items would be after queries [n, L, C]: the gate's gradient flows, nothing is stored.

        Equations 1 to 3. The queries are taken as they are: their gradient is that of reading. With competing
        writing v_{i,t} is the read attention, made to sum to 1 over t: an item takes up what it wins from the others.
        """
        given = queries.detach().flatten(0, 1)
        with torch.no_grad():
            likeness = self._likeness(given, self.items)
            if self.competing:
                won = torch.softmax(likeness, dim=0)
                shares = won / won.sum(dim=1, keepdim=True).clamp_min(torch.finfo(won.dtype).tiny)
            else:
                shares = torch.softmax(likeness, dim=1)
            new = shares @ given
        old = self.items.clone()  # the graph of this step holds it after the buffer has been written
        gate = torch.sigmoid(self.old_gate(old) + self.new_gate(new))
        moved: Tensor = old + gate * (new - old)
        return moved

    def store(self, items: Tensor) -> None:
        """Write items [M, C], cut from their graph; raise as `check_open` does."""
        self.check_open()
        self.place(items)

    def check_open(self) -> None:
        """Raise `NotReadyError` in evaluation mode or without gradients: the memory must not be written there."""
        if not self.training or not torch.is_grad_enabled():
            raise NotReadyError("the memory is written in training only: model.train(), and not under torch.no_grad()")

    def place(self, items: Tensor) -> None:
        """Put items [M, C] in the place of all, as K-means found them; raise `ShapeMismatchError` for others."""
        if items.shape != self.items.shape:
            raise ShapeMismatchError(f"the memory holds items {list(self.items.shape)}, got {list(items.shape)}")
        with torch.no_grad():
            self.items.copy_(items)

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return squared distances [n, L] to the nearest items, and which ones they are [n, L] (equation 9).

        A product only picks the item; the distance itself is computed from the difference.
        """
        flat = queries.flatten(0, -2)
        lengths = self.items.square().sum(dim=1, keepdim=True)
        which = torch.addmm(lengths, self.items, flat.T, alpha=-2.0).T.contiguous().argmin(dim=1)
        distances = (flat - self.items.index_select(0, which)).square().sum(dim=1)
        return distances.view(queries.shape[:-1]), which.view(queries.shape[:-1])

    def health(self, queries: Tensor) -> MemoryHealth:
        """Measure how the items serve queries [n, L, C] of normal windows."""
        with torch.no_grad():
            m = len(self.items)
            usage = torch.bincount(self.nearest(queries)[1].flatten(), minlength=m).double()
            usage = usage / usage.sum()
            attention = self.attend(queries).double().flatten(0, -2).mean(dim=0)
            items = self.items.double()
            return MemoryHealth(
                tuple(usage.tolist()),
                _evenness(usage),
                _evenness(attention),
                _mean_cosine(items),
                _mean_cosine(items - items.mean(dim=0)),
            )

    def initialise(self, generator: torch.Generator) -> None:
        """Draw items and gates from `generator`."""
        draw_weights(self, generator)
        self.items.normal_(generator=generator)

    def _likeness(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return <m_i, q_t> / tau [M, k] of queries [k, C].

        A row per item, not per query: a softmax over ten neighbouring numbers took torch twenty times as long.
        """
        if not self.cosine:
            return (items / self.temperature) @ queries.T
        directions = functional.normalize(items, dim=1) / self.temperature
        lengths: Tensor = queries.norm(dim=1).clamp_min(1e-6)
        likeness: Tensor = (directions @ queries.T) / lengths
        return likeness


def _evenness(shares: Tensor) -> float:
    return float(torch.special.entr(shares).sum()) / math.log(len(shares))


def _mean_cosine(items: Tensor) -> float:
    directions = functional.normalize(items, dim=1)
    m = len(items)
    return float((directions @ directions.T).sum() - directions.square().sum()) / (m * (m - 1))

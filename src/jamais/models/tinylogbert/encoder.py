"""What is the network: a post-LN BERT in plain torch, with a tied masked-language head.

Equal to transformers' `BertForMaskedLM` with the same weights (a test holds it to 1e-5); the one token type
of BERT is folded into the positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_INITIAL_SPREAD = 0.02  # BERT's standard deviation for all weight matrices


@dataclass(frozen=True)
class EncoderShape:
    """The sizes that fix every tensor of the network."""

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    inner: int = 1024
    positions: int = 128
    dropout: float = 0.0
    norm_epsilon: float = 1e-12


class Encoder(nn.Module):
    """Turn piece ids into one vector per piece; guess masked pieces.

    Build it on the meta device and call `initialise`, or load weights: torch's own initialisation would
    draw from the global random numbers.
    """

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.drop = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.head = MaskedHead(shape)

    def forward(self, ids: Tensor, real: Tensor | None = None) -> Tensor:
        """Map `ids` [n, length] to hidden vectors [n, length, width]; `real` [n, length] is False at padding.

        Without `real` every piece counts and attention runs unmasked.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        hidden: Tensor = self.drop(self.norm(self.words(ids) + self.positions(places)))
        seen = None if real is None else real[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, seen)
        return hidden

    def guess(self, hidden: Tensor) -> Tensor:
        """Map hidden vectors [..., width] to piece logits [..., vocabulary]."""
        logits: Tensor = self.head(hidden, self.words.weight)
        return logits

    def masked_loss(self, ids: Tensor, real: Tensor, hidden_pieces: Tensor, answers: Tensor) -> Tensor:
        """Return the mean cross-entropy at `hidden_pieces` [n, length] (bool) against the true ids [m]."""
        hidden = self(ids, real)[hidden_pieces]
        return functional.cross_entropy(self.guess(hidden), answers)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights as BERT does, from `generator` and nothing else."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 2:
                    weight.normal_(0.0, _INITIAL_SPREAD, generator=generator)
                else:
                    weight.fill_(1.0 if name.endswith("norm.weight") else 0.0)


class Block(nn.Module):
    """One layer: attention, then two linear maps, each added to its input and normalised after."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_dropout = shape.dropout
        self.mixed = nn.Linear(shape.width, 3 * shape.width)
        self.output = nn.Linear(shape.width, shape.width)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.widen = nn.Linear(shape.width, shape.inner)
        self.narrow = nn.Linear(shape.inner, shape.width)
        self.final_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.drop = nn.Dropout(shape.dropout)

    def forward(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        hidden = self.attention_norm(hidden + self.drop(self.output(self._attend(hidden, seen))))
        inner = functional.gelu(self.widen(hidden))
        result: Tensor = self.final_norm(hidden + self.drop(self.narrow(inner)))
        return result

    def _attend(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        n, length, width = hidden.shape
        parts = self.mixed(hidden).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.attention_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=seen, dropout_p=dropout)
        return mixed.transpose(1, 2).reshape(n, length, width)


class MaskedHead(nn.Module):
    """Guess a piece from its hidden vector; the output matrix is the word embedding itself."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.width, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        return functional.linear(self.norm(functional.gelu(self.dense(hidden))), words, self.bias)

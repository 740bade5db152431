"""How do the points of a window become queries that know their context?

A post-LN Transformer encoder over a linear embedding with sinusoidal positions (paper, 3.1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.models.memto.config import MEMTOConfig

_SLOWEST = 0.01  # share of the newest batch in the centre, when many have been seen


class Encoder(nn.Module):
    """Windows [n, L, channels] -> queries [n, L, latent_dim].

    Build it on the meta device and call `initialise`, or load weights: torch's own draws from the global numbers.
    """

    positions: Tensor
    centre: Tensor
    """[C] that is taken off all queries: their mean in training, slowly renewed; 0 without `config.centring`."""
    steps: Tensor
    """How often it was renewed."""

    def __init__(self, config: MEMTOConfig) -> None:
        super().__init__()
        self.centring = config.centring
        self.embedding = nn.Linear(config.n_features, config.latent_dim)
        self.register_buffer("positions", torch.empty(config.max_length, config.latent_dim))
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.latent_dim)
        self.register_buffer("centre", torch.empty(config.latent_dim))
        self.register_buffer("steps", torch.empty(()))

    def forward(self, x: Tensor) -> Tensor:
        """Encode windows no longer than `positions`; no point of one window is seen by another."""
        hidden = self.drop(self.embedding(x) + self.positions[: x.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden)
        # What all queries have in common says nothing, and would make all memory items look alike.
        shift = self.norm.bias - self.centre
        return functional.layer_norm(hidden, self.norm.normalized_shape, self.norm.weight, shift, self.norm.eps)

    def recentre(self, queries: Tensor) -> Tensor:
        """Move the centre towards the mean of queries [n, L, C] of a training batch; return by how much, [C]."""
        with torch.no_grad():
            rate = torch.clamp(1.0 / (self.steps + 1.0), min=_SLOWEST) if self.centring else 0.0
            shift = queries.detach().mean(dim=(0, 1)) * rate
            self.centre.add_(shift)
            self.steps.add_(1.0)
        return shift

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights from `generator` and nothing else; fill the table of positions."""
        draw_weights(self, generator)
        length, width = self.positions.shape
        place = torch.arange(length, dtype=torch.float64)[:, None]
        rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
        waves = torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2)
        self.positions.copy_(waves.flatten(1))
        self.centre.zero_()
        self.steps.zero_()


class EncoderLayer(nn.Module):
    """Attention, then two linear maps with GELU, each added to its input and normalised after."""

    def __init__(self, config: MEMTOConfig) -> None:
        super().__init__()
        self.heads = config.n_heads
        self.dropout = config.dropout
        self.mixed = nn.Linear(config.latent_dim, 3 * config.latent_dim)
        self.output = nn.Linear(config.latent_dim, config.latent_dim)
        self.attention_norm = nn.LayerNorm(config.latent_dim)
        self.widen = nn.Linear(config.latent_dim, config.d_ff)
        self.narrow = nn.Linear(config.d_ff, config.latent_dim)
        self.final_norm = nn.LayerNorm(config.latent_dim)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = self.attention_norm(hidden + self.drop(self.output(self._attend(hidden))))
        inner = self.drop(functional.gelu(self.widen(hidden)))
        result: Tensor = self.final_norm(hidden + self.drop(self.narrow(inner)))
        return result

    def _attend(self, hidden: Tensor) -> Tensor:
        n, length, width = hidden.shape
        parts = self.mixed(hidden).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], dropout_p=dropout)
        return seen.transpose(1, 2).reshape(n, length, width)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Fill the parameters of a module: matrices as Glorot does, norms 1, all else 0."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim == 2:
                bound = math.sqrt(6.0 / sum(weight.shape))
                weight.uniform_(-bound, bound, generator=generator)
            else:
                weight.fill_(1.0 if name.endswith("norm.weight") else 0.0)

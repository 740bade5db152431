"""What is the network: the decoder of RustGPT-Chinese, with its names and matrix layouts, in plain torch.

Token vectors + fixed sinusoids → blocks of (LayerNorm → causal attention → +) (LayerNorm → ReLU network → +) →
output matrix with bias. No norm after the last block, no biases in the attention, input and output untied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.errors import SettingsError

LONGEST = 8192
"""Largest `max_length`: the table of positions is made from the settings alone, so their word must be bounded."""
MOST_LAYERS = 1024


@dataclass(frozen=True)
class LLMConfig:
    """The sizes that fix every tensor; raise SettingsError on nonsense."""

    n_tokens: int
    """Words of the vocabulary, special tokens and bytes included."""
    width: int = 256
    """Numbers per token."""
    n_layers: int = 2
    """Blocks."""
    n_heads: int = 8
    """Attention heads; must divide the width."""
    hidden: int = 512
    """Width inside the feed-forward network; RustGPT takes twice the width."""
    max_length: int = 128
    """Tokens that are seen at once."""
    dropout: float = 0.1
    """Share of numbers dropped after attention and feed-forward network while training."""
    norm_epsilon: float = 1e-5
    """Added to the variance in each LayerNorm; RustGPT has 1e-8, which a constant row turns into a factor 10,000."""

    def __post_init__(self) -> None:
        for name in ("n_tokens", "width", "n_layers", "n_heads", "hidden"):
            if not _whole(getattr(self, name)) or getattr(self, name) < 1:
                raise SettingsError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        if self.width % self.n_heads:
            raise SettingsError(f"width={self.width} must be a multiple of n_heads={self.n_heads}")
        if self.n_layers > MOST_LAYERS:
            raise SettingsError(f"n_layers must be at most {MOST_LAYERS}, got {self.n_layers}")
        if not _whole(self.max_length) or not 2 <= self.max_length <= LONGEST:
            raise SettingsError(f"max_length must be a whole number from 2 to {LONGEST}, got {self.max_length!r}")
        if not isinstance(self.dropout, int | float) or not 0.0 <= self.dropout < 1.0:
            raise SettingsError(f"dropout must be from 0 to below 1, got {self.dropout!r}")
        if not isinstance(self.norm_epsilon, int | float) or not 0.0 < self.norm_epsilon < 1.0:
            raise SettingsError(f"norm_epsilon must lie between 0 and 1, got {self.norm_epsilon!r}")


def shapes(config: LLMConfig) -> dict[str, tuple[int, ...]]:
    """Tell name and shape of every parameter, without making one."""
    width, hidden = config.width, config.hidden
    found: dict[str, tuple[int, ...]] = {"token_embeddings": (config.n_tokens, width)}
    for number in range(config.n_layers):
        block = f"blocks.{number}"
        found |= {f"{block}.attention.{name}": (width, width) for name in ("w_q", "w_k", "w_v", "w_o")}
        found |= {f"{block}.feed_forward.w1": (width, hidden), f"{block}.feed_forward.b1": (hidden,)}
        found |= {f"{block}.feed_forward.w2": (hidden, width), f"{block}.feed_forward.b2": (width,)}
        found |= {f"{block}.{norm}.{name}": (width,) for norm in ("norm1", "norm2") for name in ("gamma", "beta")}
    return found | {"w_out": (width, config.n_tokens), "b_out": (config.n_tokens,)}


class Network(nn.Module):
    """Map token ids to logits of the next token. Its weights hold anything until `initialise` or a copy fills them.

    There is no train and eval mode: dropout runs when `forward` is given a generator, and draws from that alone.
    """

    positions: Tensor

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embeddings = nn.Parameter(torch.empty(config.n_tokens, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.w_out = nn.Parameter(torch.empty(config.width, config.n_tokens))
        self.b_out = nn.Parameter(torch.empty(config.n_tokens))
        self.register_buffer("positions", position_table(config.max_length, config.width), persistent=False)

    def forward(self, ids: Tensor, dropping: torch.Generator | None = None) -> Tensor:
        """Map `ids` [n, length] to logits [n, length, n_tokens]; dropout only with a generator."""
        hidden: Tensor = functional.embedding(ids, self.token_embeddings) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            hidden = block(hidden, dropping)
        return hidden @ self.w_out + self.b_out

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights as RustGPT does: N(0, .02) for token vectors, N(0, 2/inputs) for matrices."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 2:
                    spread = 0.02 if name == "token_embeddings" else (2.0 / weight.shape[0]) ** 0.5
                    weight.normal_(0.0, spread, generator=generator)
                else:
                    weight.fill_(1.0 if name.endswith("gamma") else 0.0)


class Block(nn.Module):
    """One layer: attention, then the feed-forward network, each on the normalised input and added to it."""

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm1 = Norm(config)
        self.attention = Attention(config)
        self.norm2 = Norm(config)
        self.feed_forward = FeedForward(config)

    def forward(self, hidden: Tensor, dropping: torch.Generator | None) -> Tensor:
        hidden = hidden + drop(self.attention(self.norm1(hidden)), self.dropout, dropping)
        return hidden + drop(self.feed_forward(self.norm2(hidden)), self.dropout, dropping)


class Norm(nn.Module):
    """LayerNorm with the source's names for gain and offset."""

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.gamma = nn.Parameter(torch.empty(config.width))
        self.beta = nn.Parameter(torch.empty(config.width))

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.layer_norm(hidden, self.gamma.shape, self.gamma, self.beta, self.epsilon)


class Attention(nn.Module):
    """Causal attention; all matrices are [inputs, outputs] and act from the right, without biases."""

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.w_q = nn.Parameter(torch.empty(config.width, config.width))
        self.w_k = nn.Parameter(torch.empty(config.width, config.width))
        self.w_v = nn.Parameter(torch.empty(config.width, config.width))
        self.w_o = nn.Parameter(torch.empty(config.width, config.width))

    def forward(self, hidden: Tensor) -> Tensor:
        n, length, width = hidden.shape
        query, key, value = (
            (hidden @ matrix).view(n, length, self.n_heads, width // self.n_heads).transpose(1, 2)
            for matrix in (self.w_q, self.w_k, self.w_v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mixed.transpose(1, 2).reshape(n, length, width) @ self.w_o


class FeedForward(nn.Module):
    """Two maps with a ReLU between."""

    def __init__(self, config: LLMConfig) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.empty(config.width, config.hidden))
        self.b1 = nn.Parameter(torch.empty(config.hidden))
        self.w2 = nn.Parameter(torch.empty(config.hidden, config.width))
        self.b2 = nn.Parameter(torch.empty(config.width))

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.relu(hidden @ self.w1 + self.b1) @ self.w2 + self.b2


def drop(hidden: Tensor, rate: float, dropping: torch.Generator | None) -> Tensor:
    """Set a share `rate` of the numbers to 0 and scale the rest up; with None or rate 0 leave them."""
    # Not nn.Dropout: that draws from the global generator, which anybody else may move.
    if dropping is None or rate == 0.0:
        return hidden
    kept = torch.rand(hidden.shape, generator=dropping) >= rate
    return hidden * (kept / (1.0 - rate))


def position_table(length: int, width: int) -> Tensor:
    """Return the fixed vectors of positions, [length, width].

    Angle of position p in column i: p / 10000^(floor(i/2) / width), RustGPT's formula; "Attention is all you
    need" has twice that exponent. Rounded to float32 where the source rounds, computed wider, so that no
    machine's sine moves a bit.
    """
    exponents = (np.arange(width) // 2).astype(np.float32) / np.float32(width)
    scales = np.power(10000.0, exponents.astype(np.float64)).astype(np.float32)
    angles = (np.arange(length, dtype=np.float32)[:, None] / scales[None, :]).astype(np.float64)
    table = np.where(np.arange(width) % 2 == 0, np.sin(angles), np.cos(angles))
    return torch.from_numpy(table.astype(np.float32)).clone()


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

"""Which sizes and settings make a MEMTO, and what does a wrong one hear?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jamais.errors import SettingsError
from jamais.settings import override

_LEAST = {"n_features": 1, "latent_dim": 2, "n_heads": 1, "n_layers": 1, "num_memory_items": 2, "window": 2, "d_ff": 1}
_LEAST |= {"max_length": 2, "phase1_epochs": 0, "phase2_epochs": 0, "seed": 0, "threads": 1}
_WORDS = {"similarity": ("cosine", "dot"), "writing": ("competing", "paper"), "weighting": ("even", "paper")}


@dataclass(frozen=True)
class MEMTOConfig:
    """The names of seed 004 with its defaults, then what it leaves open; raise `SettingsError` on nonsense."""

    n_features: int
    """Channels of the series. Scale each by its training rows: one loss weighs them all."""
    latent_dim: int = 64
    """Width of queries and memory items; the paper's 512 costs eight times as much."""
    n_heads: int = 4
    """Heads of attention; they share `latent_dim`."""
    n_layers: int = 3
    """Encoder layers; the paper's."""
    num_memory_items: int = 10
    """Patterns kept; the paper's. It found no difference from 5 to 100."""
    d_ff: int = 256
    """Width inside an encoder layer; the paper's is 512, as its latents."""
    decoder_dim: int | None = None
    """Width between the decoder's two layers; none: `latent_dim`. A strong decoder would need no memory."""
    dropout: float = 0.0
    """In the encoder; the paper's code has none."""
    temperature: float = 0.1
    """Tau of both attentions and of the score; the paper's."""
    similarity: str = "cosine"
    """What attention measures: cosine, or dot as in the paper, which at tau .1 is all or nothing."""
    centring: bool = True
    """Whether the mean of all queries is taken off each; not in the paper. What they have in common, some .93 of them
    as a cosine, would hide all differences between items."""
    writing: str = "competing"
    """Which queries an item takes up: competing, those it wins from the other items; paper, those most like it, which
    pulls all items to one place (equation 1)."""
    weighting: str = "even"
    """How `anomaly_score` weighs the points of a window by LSD: even, by the mean over latent dimensions; paper, by
    the sum, which puts nearly all weight on one point of each window."""
    lambda_entropy: float = 0.01
    """Weight of the entropy of each query's attention in the loss; the paper's."""
    lambda_usage: float = 0.1
    """Weight of uneven use of the items by a batch; against collapse, not in the paper."""
    lr: float = 1e-4
    """Adam's rate in both phases; the seed's."""
    phase1_epochs: int = 3
    """Of `fit`; the seed's."""
    phase2_epochs: int = 5
    """Of `fit`; the seed's."""
    window: int = 100
    """Points that `score_series` gives the encoder at once; the paper's."""
    max_length: int = 512
    """Longest window that positions are told apart in."""
    seed: int = 0
    """Of first weights, first items, dropout and the K-means sample."""
    threads: int = 1
    """CPU threads of torch while training and scoring; another number moves the last bits."""

    def __post_init__(self) -> None:
        for name, lowest in _LEAST.items():
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value < 2**31:
                raise SettingsError(f"{name} must be a whole number of at least {lowest}, got {value!r}")
        if self.decoder_dim is not None and (type(self.decoder_dim) is not int or self.decoder_dim < 1):
            raise SettingsError(f"decoder_dim must be a whole number of at least 1 or none, got {self.decoder_dim!r}")
        for name in ("temperature", "lr"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name} must be a number above 0, got {getattr(self, name)!r}")
        for name, most in (("dropout", 1.0), ("lambda_entropy", math.inf), ("lambda_usage", math.inf)):
            if not 0.0 <= getattr(self, name) < most:
                raise SettingsError(f"{name} must be at least 0 and below {most:g}, got {getattr(self, name)!r}")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise SettingsError(f"{name} is {' or '.join(words)}, got {getattr(self, name)!r}")
        if self.latent_dim % self.n_heads or self.latent_dim % 2:
            raise SettingsError(f"latent_dim must be even and n_heads times a width, got {self.latent_dim}")
        if self.window > self.max_length:
            raise SettingsError(f"window must be at most max_length = {self.max_length}, got {self.window}")

    @classmethod
    def paper(cls, n_features: int) -> MEMTOConfig:
        """Give that of arXiv 2312.02530: sizes, attention, writing, score and loss as its equations say."""
        return cls(
            n_features,
            latent_dim=512,
            n_heads=8,
            d_ff=512,
            similarity="dot",
            centring=False,
            writing="paper",
            weighting="paper",
            lambda_usage=0.0,
        )


def read_config(config: MEMTOConfig | Mapping[str, Any]) -> MEMTOConfig:
    """Read a dict of settings; raise `SettingsError` for an unknown key, a wrong value, or no `n_features`."""
    if isinstance(config, MEMTOConfig):
        return config
    if not isinstance(config, Mapping) or "n_features" not in config:
        raise SettingsError("a config is a dict of settings with n_features, the number of channels")
    return override(MEMTOConfig(1), config)

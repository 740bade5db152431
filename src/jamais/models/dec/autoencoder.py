"""How does a row become a latent, and a latent a row again?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from jamais.errors import SettingsError, ShapeMismatchError


class Autoencoder(nn.Module):
    """Encoder and mirrored decoder: ReLU on hidden layers, linear latents and output, nothing normalised (DEC, 3.2).

    `encoder.scale` multiplies every input, so latents of rows of any unit are alike in size; what comes out is in the
    unit of the rows. All first weights come from `seed`. Raise `SettingsError` for widths that make no sense.
    """

    def __init__(self, dims: Sequence[int], *, seed: int = 0) -> None:
        super().__init__()
        widths = [int(width) for width in dims]
        if len(widths) < 2 or min(widths) < 1:
            raise SettingsError(f"an autoencoder wants at least two widths of 1 or more, got {widths}")
        generator = torch.Generator().manual_seed(seed)
        self.encoder: Encoder = Encoder(*_layers(widths, generator))
        self.decoder: nn.Sequential = nn.Sequential(*_layers(widths[::-1], generator))

    def forward(self, x: Tensor) -> Tensor:
        """Rebuild rows [n, width] -> [n, width]."""
        rebuilt: Tensor = self.decoder(self.encoder(x))
        return rebuilt / self.encoder.scale


class Encoder(nn.Sequential):
    """Layers after one factor: [n, width] -> [n, latent width]."""

    scale: Tensor

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Turn rows into latents; raise `ShapeMismatchError` for rows of another width."""
        width = self[0].in_features
        if x.ndim != 2 or x.shape[1] != width:
            raise ShapeMismatchError(f"the encoder wants rows [n, {width}], got {list(x.shape)}")
        latents: Tensor = super().forward(x * self.scale)  # type: ignore[no-untyped-call]
        return latents


def autoencoder_shapes(dims: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array in the state of an autoencoder, without making one."""
    shapes: dict[str, tuple[int, ...]] = {"encoder.scale": ()}
    for part, widths in (("encoder", dims), ("decoder", dims[::-1])):
        for place, (before, after) in enumerate(pairwise(widths)):
            shapes |= {f"{part}.{2 * place}.weight": (after, before), f"{part}.{2 * place}.bias": (after,)}
    return shapes


def _layers(widths: list[int], generator: torch.Generator) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(widths)):
        linear = nn.Linear(before, after, device="meta").to_empty(device="cpu")
        last = place == len(widths) - 2
        with torch.no_grad():
            # He's bound keeps the size of signals through ReLUs; a linear layer needs half the variance.
            bound = math.sqrt((3.0 if last else 6.0) / before)
            linear.weight.uniform_(-bound, bound, generator=generator)
            linear.bias.zero_()
        layers += [linear] if last else [linear, nn.ReLU()]
    return layers

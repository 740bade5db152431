"""How does a query, with what the memory says to it, become a point again?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.models.memto.config import MEMTOConfig
from jamais.models.memto.encoder import draw_weights


class WeakDecoder(nn.Module):
    """Two linear layers with GELU over concat(query, read items) (paper, equation 5 and figure 5).

    Weak on purpose: what is not near a remembered pattern shall come back badly.
    """

    def __init__(self, config: MEMTOConfig) -> None:
        super().__init__()
        inner = config.latent_dim if config.decoder_dim is None else config.decoder_dim
        self.hidden = nn.Linear(2 * config.latent_dim, inner)
        self.output = nn.Linear(inner, config.n_features)

    def forward(self, queries: Tensor, attention: Tensor, items: Tensor) -> Tensor:
        """Rebuild points [n, L, channels] of queries [n, L, C], attention [n, L, M] and items [M, C].

        Equal to a layer over concat(q, attention @ items). That product is never made: items go through their half
        of the layer first, M rows in place of n * L.
        """
        width = queries.shape[-1]
        weight = self.hidden.weight
        said = items @ weight[:, width:].T
        hidden = functional.linear(queries, weight[:, :width], self.hidden.bias)
        hidden = torch.addmm(hidden.flatten(0, 1), attention.flatten(0, 1), said).view_as(hidden)
        points: Tensor = self.output(functional.gelu(hidden))
        return points

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights from `generator`."""
        draw_weights(self, generator)

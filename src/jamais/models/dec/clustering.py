"""How near is a latent to each centre, as a probability?"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from jamais.errors import SettingsError, ShapeMismatchError


class ClusteringLayer(nn.Module):
    """Student's t between latents and centres (DEC, equation 1): q_ij ~ (1 + |z_i - mu_j|^2 / alpha)^(-(alpha+1)/2).

    Raise `SettingsError` for sizes that make no sense. A saved state with another number of centres resizes the layer.
    """

    def __init__(self, n_clusters: int, alpha: float = 1.0, width: int = 10) -> None:
        super().__init__()
        if n_clusters < 1 or width < 1 or not 0.0 < alpha < math.inf:
            raise SettingsError(
                f"a clustering layer wants n_clusters and width >= 1 and alpha > 0, got {n_clusters}, {width}, {alpha}"
            )
        self.alpha: float = float(alpha)
        # Zeros would leave all centres in one place, where no gradient tells them apart.
        spread = math.sqrt(2.0 / (n_clusters + width))
        centres = torch.randn(n_clusters, width, generator=torch.Generator().manual_seed(0)) * spread
        self.clusters: nn.Parameter = nn.Parameter(centres)

    @property
    def n_clusters(self) -> int:
        """How many centres there are."""
        return len(self.clusters)

    @property
    def width(self) -> int:
        """Width of latents and centres."""
        return int(self.clusters.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return q [n, n_clusters] of latents [n, width]; each row sums to 1."""
        return self.log_assignments(x).exp()

    def log_assignments(self, x: Tensor) -> Tensor:
        """Return log q [n, n_clusters], finite however far a latent lies from a centre.

        Raise `ShapeMismatchError` for latents of another width.
        """
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ShapeMismatchError(f"the clustering layer wants latents [n, {self.width}], got {list(x.shape)}")
        # Without the product form of distances: it loses the small ones, and with them the gradient near a centre.
        distances = torch.cdist(x, self.clusters, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.log_softmax(torch.log1p(distances.square() / self.alpha) * (-(self.alpha + 1.0) / 2.0), dim=1)

    def place(self, centres: Tensor) -> None:
        """Put the centres at `centres` [k, width], k as it likes; raise `ShapeMismatchError` for another width."""
        if centres.ndim != 2 or centres.shape[1] != self.width or not len(centres):
            raise ShapeMismatchError(f"the clustering layer wants centres [k, {self.width}], got {list(centres.shape)}")
        self._resize(len(centres))
        with torch.no_grad():
            self.clusters.copy_(centres)

    def _resize(self, n_clusters: int) -> None:
        if n_clusters != self.n_clusters:
            self.clusters = nn.Parameter(self.clusters.detach().new_zeros(n_clusters, self.width))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        saved = state_dict.get(f"{prefix}clusters")
        if isinstance(saved, Tensor) and saved.ndim == 2 and len(saved) and saved.shape[1] == self.width:
            self._resize(len(saved))
        super()._load_from_state_dict(state_dict, prefix, *rest)

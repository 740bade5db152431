"""How does a clustering layer grow, and what protects the centres that it had before?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import InputError, SettingsError, ShapeMismatchError
from jamais.models.dec.clustering import ClusteringLayer
from jamais.models.dec.grouping import Expected, dense_groups, own_radius
from jamais.types import Bools, Floats, Ints, Vectors

_PER_CENTRE = ("history_centers_mask", "anchors", "fisher", "reach", "handicaps")
_WITHIN = 0.95  # share of a cluster's own rows within its reach


class DynamicClusteringLayer(ClusteringLayer):
    """A clustering layer with append-only centres: a new one for each group of far latents, none for a lone one.

    `expansion_threshold` is the distance from which a latent is far from its nearest centre, until `calibrate` has
    measured how far the rows of each cluster really lie. All that belongs to a centre is a buffer and is saved.
    """

    history_centers_mask: Tensor
    """[k] bool: the centres that were there before the last `dynamic_update`; all False before the first."""
    anchors: Tensor
    """[k, width]: where the last accepted update left the centres."""
    fisher: Tensor
    """[k, width]: how much the assignments of what was seen hang on each number of a centre."""
    reach: Tensor
    """[k] float64: how far from its centre a cluster's own rows lie; `expansion_threshold` where not measured."""
    handicaps: Tensor
    """[k] float64: by how much log q a centre must win over the others to take a row; 0 for the first centres."""

    def __init__(
        self,
        n_clusters: int,
        alpha: float = 1.0,
        expansion_threshold: float = 0.3,
        *,
        width: int = 10,
        smallest: int = 10,
    ) -> None:
        super().__init__(n_clusters, alpha, width)
        if not 0.0 < expansion_threshold < math.inf or smallest < 1:
            raise SettingsError(
                f"wanted expansion_threshold > 0 and smallest >= 1, got {expansion_threshold}, {smallest}"
            )
        self.expansion_threshold: float = float(expansion_threshold)
        self.smallest: int = int(smallest)
        self._begin(n_clusters)

    def dynamic_update(self, new_embeddings: Tensor | Vectors, *, known: Tensor | Vectors | None = None) -> Tensor:
        """Add a centre for each group of far latents; return the numbers [m] of the new centres, often none.

        `new_embeddings` [n, width] are latents: encode first. `known` [m, width] are latents of remembered rows: a
        group as dense as those of its cluster make it expect is no news. The numbers of the centres before never
        change. Raise `InputError` for NaN, `ShapeMismatchError` for another width; nothing is changed then.
        """
        latents = self._checked(new_embeddings)
        remembered = None if known is None else self._checked(known)
        before = self.n_clusters
        self.history_centers_mask.fill_(True)
        distances = self.distances(latents)
        reach = self._reach()
        far: Bools = distances.min(axis=1, initial=np.inf) > reach[distances.argmin(axis=1)]
        old = None if remembered is None else self._expected(remembered, latents[~far])
        radius = float(np.median(reach))
        if bool(torch.isnan(self.reach).all()):
            radius = own_radius(latents[far], distances.min(axis=1)[far], least=radius, smallest=self.smallest)
        groups = dense_groups(latents, far, old, radius=radius, smallest=self.smallest)
        if groups:
            self._grow(before + len(groups))
            with torch.no_grad():
                for number, members in enumerate(groups, before):
                    centre = latents[members].mean(axis=0, dtype=np.float64)
                    self.clusters[number] = torch.from_numpy(centre).to(self.clusters)
                    self.anchors[number] = self.clusters[number]
        return torch.arange(before, self.n_clusters, device=self.clusters.device)

    def nearest(self, latents: Vectors) -> Ints:
        """Return the cluster [n] that leads for each latent [n, width]."""
        return np.asarray(self.leads(latents).argmax(axis=1), dtype=np.int64)

    def recognise(self, latents: Vectors) -> Ints:
        """Return the cluster [n] of each latent [n, width], or -1 where it lies beyond the reach of that cluster."""
        labels = self.nearest(latents)
        own = self.distances(latents)[np.arange(len(latents)), labels]
        return np.where(own <= self._reach()[labels], labels, -1)

    def calibrate(self, latents: Vectors, labels: Ints, *, share: float = _WITHIN, only: Ints | None = None) -> None:
        """Measure how far `share` of the latents [n, width] of each cluster, or of those in `only`, reach."""
        own = self.distances(latents)[np.arange(len(labels)), labels]
        for number in range(self.n_clusters) if only is None else only.tolist():
            if np.count_nonzero(labels == number) >= 2:
                self.reach[number] = float(np.quantile(own[labels == number], share, method="higher"))

    def distances(self, latents: Vectors) -> Floats:
        """Return the exact distances [n, k] in float64; those of a row do not depend on the rows beside it."""
        centres = self.clusters.detach().cpu().numpy().astype(np.float64)
        table = np.empty((len(latents), len(centres)))
        for number, centre in enumerate(centres):
            table[:, number] = np.add.reduce((latents - centre) ** 2, axis=1)
        return np.sqrt(table)

    def leads(self, latents: Vectors) -> Floats:
        """Return log-odds [n, k] of each centre, less its handicap; the highest takes the row."""
        odds = np.log1p(self.distances(latents) ** 2 / self.alpha) * (-(self.alpha + 1.0) / 2.0)
        return np.asarray(odds - self.handicaps.cpu().numpy())

    def place(self, centres: Tensor) -> None:
        """Begin anew with `centres` [k, width]: no history, nothing protected."""
        super().place(centres)
        self._begin(self.n_clusters)
        self.anchors.copy_(self.clusters.detach())

    def _begin(self, n_clusters: int) -> None:
        where = self.clusters.device
        self.register_buffer("history_centers_mask", torch.zeros(n_clusters, dtype=torch.bool, device=where))
        self.register_buffer("anchors", self.clusters.detach().clone())
        self.register_buffer("fisher", torch.zeros_like(self.clusters.detach()))
        self.register_buffer("reach", torch.full((n_clusters,), torch.nan, dtype=torch.float64, device=where))
        self.register_buffer("handicaps", torch.zeros(n_clusters, dtype=torch.float64, device=where))

    def _grow(self, n_clusters: int) -> None:
        """Make room for more centres; what belongs to the old ones stays, new ones begin with zeros."""
        fresh = n_clusters - self.n_clusters
        self.clusters = nn.Parameter(_longer(self.clusters.detach(), fresh))
        for name in _PER_CENTRE:
            setattr(self, name, _longer(getattr(self, name), fresh))
        self.reach[-fresh:] = torch.nan

    def _resize(self, n_clusters: int) -> None:
        if n_clusters != self.n_clusters:
            super()._resize(n_clusters)
            self._begin(n_clusters)

    def _expected(self, known: Vectors, usual: Vectors) -> Expected:
        """Let each old latent [m, width] stand for its share of the new ones within reach [n, width] of its cluster."""
        owners = self.nearest(known)
        kept = np.bincount(owners, minlength=self.n_clusters)
        came = np.bincount(self.nearest(usual), minlength=self.n_clusters) / _WITHIN
        return Expected(known, (came / np.maximum(kept, 1))[owners])

    def _reach(self) -> Floats:
        """Return the reach [k]; of a cluster too young to have one, what is usual here."""
        measured = self.reach.cpu().numpy()
        known = measured[~np.isnan(measured)]
        return np.where(np.isnan(measured), np.median(known) if len(known) else self.expansion_threshold, measured)

    def _checked(self, given: Any) -> Vectors:
        latents = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
        if latents.ndim != 2 or latents.shape[1] != self.width:
            raise ShapeMismatchError(
                f"dynamic_update wants latents [n, {self.width}], got {list(latents.shape)}: encode rows first"
            )
        if latents.dtype.kind not in "fiu" or not np.isfinite(latents).all():
            raise InputError("dynamic_update got latents that are not finite numbers: clean the rows first")
        return np.ascontiguousarray(latents, dtype=np.float32)


def layer_shapes(n_clusters: int, width: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and dtype of each array in the state of a layer, without making one."""
    square, line = (n_clusters, width), (n_clusters,)
    return {
        "clusters": (square, "<f4"),
        "history_centers_mask": (line, "|b1"),
        "anchors": (square, "<f4"),
        "fisher": (square, "<f4"),
        "reach": (line, "<f8"),
        "handicaps": (line, "<f8"),
    }


def _longer(tensor: Tensor, fresh: int) -> Tensor:
    return torch.cat([tensor, tensor.new_zeros(fresh, *tensor.shape[1:])])

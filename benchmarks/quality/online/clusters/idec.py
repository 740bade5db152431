"""What is a good IDEC that two cores train in a minute or two, and how is one fine-tuned on news?

Guo et al. 2017, "Improved Deep Embedded Clustering with Local Structure Preservation": reconstruction + gamma KL(P, Q).
One thing is added, because k-means on the latents of so small an autoencoder finds digits with ACC .63: the first
target distribution comes from spectral clusters of the nearest neighbours' graph (Shi & Malik 2000), for seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """Sizes and lengths of one training."""

    dims: tuple[int, ...]
    pretrain: int
    """Epochs of reconstruction."""
    guided: int
    """Epochs towards the spectral clusters; 0 starts from k-means on the latents."""
    epochs: int
    """Epochs of IDEC itself; fewer where less than .1 % of labels still change."""
    gamma: float = 0.1
    noise: float = 0.1


class Idec(nn.Module):
    """An autoencoder with cluster centres in its latents."""

    def __init__(self, dims: tuple[int, ...], n_clusters: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _layers(dims), _layers(dims[::-1])
        self.centres = nn.Parameter(torch.zeros(n_clusters, dims[-1]))

    @torch.no_grad()
    def latents(self, rows: Rows) -> Rows:
        blocks = [self.encoder(torch.as_tensor(rows[at : at + 4096])) for at in range(0, max(1, len(rows)), 4096)]
        return np.asarray(torch.cat(blocks).numpy())

    def labels(self, rows: Rows) -> Labels:
        return nearest(self.latents(rows), self.centres.detach().numpy())


def train(rows: Rows, n_clusters: int, recipe: Recipe, seed: int) -> Idec:
    """Pretrain, start the clusters, and train until labels rest."""
    torch.manual_seed(seed)
    model, generator = Idec(recipe.dims, n_clusters), torch.Generator().manual_seed(seed)
    data = torch.as_tensor(rows)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(recipe.pretrain):
        for at in batches(len(data), generator):
            noisy = data[at] + recipe.noise * torch.randn(data[at].shape, generator=generator)
            _step(optimizer, functional.mse_loss(model.decoder(model.encoder(noisy)), data[at]))
    guide = spectral(rows, n_clusters, seed) if recipe.guided else None
    _start(model, rows, guide, seed)
    if guide is not None:
        target = functional.one_hot(torch.as_tensor(guide), n_clusters).float()
        for _ in range(recipe.guided):
            _epoch(model, optimizer, data, target, 10 * recipe.gamma, generator)
        _start(model, rows, guide, seed)
    last: Labels | None = None
    for _ in range(recipe.epochs):
        soft = soft_labels(model, rows)
        labels = soft.argmax(1).numpy()
        if last is not None and (labels != last).mean() < 1e-3:
            break
        last = labels
        _epoch(model, optimizer, data, sharpen(soft), recipe.gamma, generator)
    return model.eval()


@dataclass(frozen=True)
class Replay:
    """Rows that are shown again, with what the model said of them before."""

    rows: Rows
    soft: Tensor
    latents: Rows
    shares: Tensor
    """Sizes of the old clusters: the running f_j of the target distribution."""


def fine_tune(
    model: Idec,
    rows: Rows,
    new_centres: Rows,
    seed: int,
    *,
    fisher: list[Tensor] | None = None,
    strength: float = 100.0,
    replay: Replay | None = None,
    taught: Labels | None = None,
    watch: Callable[[Idec], object] = lambda model: None,
    epochs: int = 10,
) -> Idec:
    """Train a copy on `rows` [n, width] with more centres; `fisher` pulls back (EWC), `replay` shows old rows again.

    `taught` [n] are clusters that somebody else found for the rows; without them the model teaches itself.
    """
    tuned = copy.deepcopy(model)
    n_old = len(model.centres)
    tuned.centres = nn.Parameter(torch.cat([model.centres.detach(), torch.as_tensor(new_centres)]))
    before = [one.detach().clone() for one in _protected(model)]
    data, generator = torch.as_tensor(rows), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(tuned.parameters(), 1e-3)
    for _ in range(epochs):
        soft = soft_labels(tuned, rows)
        shares = soft.sum(0)
        if replay is not None:
            shares[:n_old] += replay.shares
        target = sharpen(soft, shares)
        if taught is not None:
            target = functional.one_hot(torch.as_tensor(taught), len(tuned.centres)).float()
        for at in batches(len(data), generator):
            loss = _loss(tuned, data[at], target[at], 0.1)
            if fisher is not None:
                loss = loss + strength * _pull(tuned, before, fisher, n_old)
            if replay is not None:
                loss = loss + _again(tuned, replay, generator)
            _step(optimizer, loss)
        watch(tuned)
    return tuned.eval()


def exact_fisher(model: Idec, rows: Rows, seed: int, samples: int = 500) -> list[Tensor]:
    """Return E_x E_(y ~ q) (d log q_y)^2 for encoder and centres: one sample of y per row, squared row by row."""
    generator = torch.Generator().manual_seed(seed)
    parameters = _protected(model)
    fisher = [torch.zeros_like(one) for one in parameters]
    chosen = torch.randperm(len(rows), generator=generator)[:samples].numpy()
    for row in torch.as_tensor(rows[chosen]):
        soft = student_t(model.encoder(row[None]), model.centres)
        drawn = int(torch.multinomial(soft[0].detach(), 1, generator=generator))
        for total, one in zip(fisher, torch.autograd.grad(soft[0, drawn].log(), parameters), strict=True):
            total += one**2
    return [one / len(chosen) for one in fisher]


def soft_labels(model: Idec, rows: Rows) -> Tensor:
    """Return Student's t assignments q [n, k] (van der Maaten & Hinton; DEC eq. 1)."""
    with torch.no_grad():
        return student_t(torch.as_tensor(model.latents(rows)), model.centres)


def sharpen(soft: Tensor, shares: Tensor | None = None) -> Tensor:
    """Return the target distribution p (DEC eq. 3): rows sum to one."""
    weight = soft**2 / (soft.sum(0) if shares is None else shares)
    return (weight / weight.sum(1, keepdim=True)).detach()


def spectral(rows: Rows, n_clusters: int, seed: int, n_neighbors: int = 10) -> Labels:
    """Cluster the graph of shared nearest neighbours by its first eigenvectors, half as many again as clusters."""
    from scipy import sparse
    from scipy.sparse.linalg import eigsh
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.neighbors import kneighbors_graph

    width = min(50, rows.shape[1])
    graph = kneighbors_graph(PCA(width, random_state=seed).fit_transform(rows), n_neighbors)
    shared = graph.multiply(graph @ graph.T).tocsr()  # how many neighbours two neighbours have in common
    shared = shared.maximum(shared.T)
    scale = sparse.diags(1 / np.sqrt(np.asarray(shared.sum(axis=1)).ravel() + 1e-9))
    start = np.random.default_rng(seed).normal(size=len(rows))
    _, vectors = eigsh(scale @ shared @ scale, n_clusters * 3 // 2, which="LA", tol=1e-3, v0=start)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    return np.asarray(KMeans(n_clusters, n_init=20, random_state=seed).fit(vectors).labels_, dtype=np.int64)


def nearest(rows: NDArray[Any], centres: NDArray[Any]) -> Labels:
    """Return the nearest centre of each row."""
    distance = -2 * rows @ centres.T + (centres**2).sum(1)
    return np.asarray(distance.argmin(1), dtype=np.int64)


def batches(n: int, generator: torch.Generator, size: int = 256) -> Iterator[Tensor]:
    order = torch.randperm(n, generator=generator)
    return iter(order.split(size))


def _layers(dims: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for one, two in pairwise(dims):
        layers += [nn.Linear(one, two), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _start(model: Idec, rows: Rows, guide: Labels | None, seed: int) -> None:
    from sklearn.cluster import KMeans

    latents, k = model.latents(rows), len(model.centres)
    if guide is None:
        centres = KMeans(k, n_init=20, random_state=seed).fit(latents).cluster_centers_
    else:
        centres = np.stack([latents[guide == cluster].mean(0) for cluster in range(k)])
    model.centres.data = torch.as_tensor(centres, dtype=torch.float32)


def _epoch(model: Idec, optimizer: Any, data: Tensor, target: Tensor, gamma: float, generator: torch.Generator) -> None:
    for at in batches(len(data), generator):
        _step(optimizer, _loss(model, data[at], target[at], gamma))


def _loss(model: Idec, rows: Tensor, target: Tensor, gamma: float) -> Tensor:
    latents = model.encoder(rows)
    apart = functional.kl_div(student_t(latents, model.centres).log(), target, reduction="batchmean")
    return gamma * apart + functional.mse_loss(model.decoder(latents), rows)


def _again(model: Idec, replay: Replay, generator: torch.Generator) -> Tensor:
    """Reconstruct old rows, and give them their old latents and soft labels (distillation of z and q)."""
    at = torch.randint(len(replay.rows), (256,), generator=generator)
    rows = torch.as_tensor(replay.rows)[at]
    latents = model.encoder(rows)
    soft = student_t(latents, model.centres)
    wanted = functional.pad(replay.soft[at], (0, soft.shape[1] - replay.soft.shape[1]))
    moved = ((latents - torch.as_tensor(replay.latents)[at]) ** 2).sum(1).mean()
    kept = functional.kl_div(soft.log(), wanted, reduction="batchmean")
    return kept + moved + functional.mse_loss(model.decoder(latents), rows)


def _pull(model: Idec, before: list[Tensor], fisher: list[Tensor], n_old: int) -> Tensor:
    now = [*model.encoder.parameters(), model.centres[:n_old]]
    parts = [(f * (one - old) ** 2).sum() for f, one, old in zip(fisher, now, before, strict=True)]
    return torch.stack(parts).sum()


def _protected(model: Idec) -> list[nn.Parameter]:
    return [*model.encoder.parameters(), model.centres]


def student_t(latents: Tensor, centres: Tensor) -> Tensor:
    inverse = 1 / (1 + torch.cdist(latents, centres) ** 2)
    return inverse / inverse.sum(1, keepdim=True)


def _step(optimizer: Any, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

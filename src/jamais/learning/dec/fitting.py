"""How do an autoencoder and centres that are there already become clusters?

IDEC (Guo et al. 2017): the KL divergence towards sharpened assignments, and the reconstruction that keeps the latents
honest. The targets come from all rows, every so many updates.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import Cancelled
from jamais.evaluation import ari, clustering_accuracy, nmi
from jamais.learning.dec.neighbours import smoothed
from jamais.learning.dec.reconstructing import reconstruction_loss, step
from jamais.learning.dec.targets import clustering_loss, target_distribution
from jamais.learning.training_state import EpochOrder
from jamais.types import CancelToken, Event, Ints, Listener

PHASE = "clustering"
_AT_ONCE = 1024  # rows read together when all are looked at
_COLLAPSED = 0.95  # share of all rows in one cluster


class Clusterer(Protocol):
    """What the loop needs of a model."""

    @property
    def autoencoder(self) -> Any: ...

    @property
    def clustering(self) -> Any: ...

    def parameters(self) -> Iterable[nn.Parameter]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...

    def train(self, mode: bool = True) -> object: ...


@dataclass(frozen=True)
class ClusteringSettings:
    """How long and how hard the loop trains; `DECConfig` explains each."""

    maxiter: int
    batch_size: int
    update_interval: int
    tol: float
    quiet_rounds: int
    optimizer: str
    lr: float
    momentum: float
    lr_step: int
    lr_decay: float
    gamma: float
    reconstruction: float
    seed: int


@dataclass(frozen=True)
class Graph:
    """Neighbours of all rows, and the clusters found in them."""

    labels: Ints
    """[n]: what the first targets are made of."""
    neighbours: Tensor
    """[n, m]"""
    smoothing: int
    """Rounds in which assignments are averaged with those of the neighbours before they become targets."""


@dataclass(frozen=True)
class Look:
    """What all rows say at one moment."""

    p: Tensor
    labels: Ints
    divergence: float
    sizes: Ints

    @property
    def largest(self) -> float:
        """Share of the rows in the largest cluster."""
        return float(self.sizes.max() / self.sizes.sum())


def train_clusters(
    model: Clusterer,
    rows: Tensor,
    settings: ClusteringSettings,
    *,
    graph: Graph | None = None,
    classes: Ints | None,
    on_event: Listener,
    cancel: CancelToken | None,
) -> Ints:
    """Train in place on rows [n, width]; leave the best model seen in it and return its labels [n].

    Best is the lowest loss over all rows, gamma KL(p || q) plus reconstruction, of a look where no cluster has taken
    nearly everything: classes are for showing only. Raise `Cancelled` between two updates, `SettingsError` when the
    loss is no longer finite.
    """
    optimizer = _optimizer(model, settings)
    order = EpochOrder(len(rows), batch=settings.batch_size, seed=settings.seed)
    best, last, quiet = _Best(), None, 0
    rebuilt: list[float] = []
    for iteration in range(settings.maxiter + 1):
        if cancel is not None and cancel.cancelled:
            raise Cancelled(f"clustering was cancelled after {iteration} of {settings.maxiter} updates")
        if iteration % settings.update_interval == 0 or iteration == settings.maxiter:
            now = look(model, rows, graph, first=iteration == 0)
            # The first labels come from the start itself: that nothing has changed yet is no convergence.
            changed = float((now.labels != last.labels).mean()) if last is not None else math.nan
            loss = settings.gamma * now.divergence + settings.reconstruction * _mean(rebuilt)
            best.offer(model, now, loss)
            on_event(Event(PHASE, iteration, settings.maxiter, _values(now, loss, changed, classes)))
            quiet = quiet + 1 if changed < settings.tol else 0
            if quiet >= settings.quiet_rounds or best.collapsed(now, iteration):
                break
            last = now
            rebuilt.clear()
        if iteration < settings.maxiter and last is not None:
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * settings.lr_decay ** (iteration // settings.lr_step)
            batch = torch.from_numpy(order.draw())
            rebuilt.append(_update(model, optimizer, rows[batch], last.p[batch], settings))
    return best.restore(model)


def look(model: Clusterer, rows: Tensor, graph: Graph | None = None, *, first: bool = False) -> Look:
    """Assign all rows, a piece at a time, and sharpen the whole; the first time what the graph says."""
    model.train(False)
    with torch.no_grad():
        log_q = torch.cat(
            [model.clustering.log_assignments(_latents(model, piece)) for piece in torch.split(rows, _AT_ONCE)]
        )
        q = log_q.exp()
        if graph is not None:
            said = torch.nn.functional.one_hot(torch.from_numpy(graph.labels), q.shape[1]).to(q) if first else q
            q = smoothed(said, graph.neighbours.to(q.device), graph.smoothing)
        p = target_distribution(q)
        labels = log_q.argmax(dim=1).cpu().numpy()
        divergence = float(clustering_loss(log_q, p))
    return Look(p, labels, divergence, np.bincount(labels, minlength=p.shape[1]))


class _Best:
    """Keep the model of the best look; the first one, before any update, is what everything else must beat."""

    def __init__(self) -> None:
        self._loss = math.inf
        self._state: dict[str, Any] = {}
        self._first: Look | None = None
        self._labels: Ints = np.empty(0, dtype=np.int64)

    def offer(self, model: Clusterer, now: Look, loss: float) -> None:
        if self._first is None:
            self._first = now
        elif not loss < self._loss or self._is_collapse(now):
            return
        else:
            self._loss = loss
        self._state, self._labels = copy.deepcopy(model.state_dict()), now.labels

    def collapsed(self, now: Look, iteration: int) -> bool:
        if not self._is_collapse(now):
            return False
        warnings.warn(
            f"one cluster took {now.largest:.0%} of all rows after {iteration} updates: training stopped, the best "
            "model before is kept; take a lower lr or gamma, or pretrain for longer",
            stacklevel=4,
        )
        return True

    def restore(self, model: Clusterer) -> Ints:
        model.load_state_dict(self._state)
        model.train(False)
        return self._labels

    def _is_collapse(self, now: Look) -> bool:
        # Data may be like that from the start; and a single cluster holds everything by right.
        return self._first is not None and len(now.sizes) > 1 and now.largest > max(_COLLAPSED, self._first.largest)


def _optimizer(model: Clusterer, settings: ClusteringSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=settings.lr)
    return torch.optim.SGD(model.parameters(), lr=settings.lr, momentum=settings.momentum)


def _update(
    model: Clusterer, optimizer: torch.optim.Optimizer, rows: Tensor, p: Tensor, settings: ClusteringSettings
) -> float:
    model.train(True)
    latents = _latents(model, rows)
    rebuilt = (
        reconstruction_loss(model.autoencoder, latents, rows) if settings.reconstruction else latents.new_zeros(())
    )
    loss = settings.gamma * clustering_loss(model.clustering.log_assignments(latents), p)
    step(optimizer, loss + settings.reconstruction * rebuilt)
    return float(rebuilt.detach())


def _latents(model: Clusterer, rows: Tensor) -> Tensor:
    latents: Tensor = model.autoencoder.encoder(rows)
    return latents


def _values(now: Look, loss: float, changed: float, classes: Ints | None) -> dict[str, float]:
    values = {
        "loss": loss,
        "changed": changed,
        "largest": now.largest,
        "empty": float(np.count_nonzero(now.sizes == 0)),
    }
    if classes is not None:
        figures: dict[str, Callable[[Any, Any], float]] = {"acc": clustering_accuracy, "nmi": nmi, "ari": ari}
        values |= {name: measure(classes, now.labels) for name, measure in figures.items()}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _mean(losses: list[float]) -> float:
    return sum(losses) / len(losses) if losses else math.nan

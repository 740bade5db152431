"""How much does what a model says hang on each of its numbers?

Three measures of importance, each a mean over rows of something per row, so that neither batches nor their order
matter. `exact`: the Fisher information, E over clusters j ~ q of (d log q_j)^2 (Kirkpatrick et al. 2017, with the
expectation taken in full; van de Ven 2025 shows that the choice changes results). `empirical`: (d log q_j)^2 of the
likeliest j. `mas`: |d sum_j q_j^2|, memory aware synapses (Aljundi et al. 2018), which needs no likelihood.
Exact is the default: k clusters make it cheap, and the empirical one vanishes where the model is sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from jamais.errors import InputError, SettingsError, ShapeMismatchError
from jamais.learning.dec.batches import row_batches

Kind = Literal["exact", "empirical", "mas"]
_AT_ONCE = 16  # rows whose gradients of a whole encoder are held


class Layer(Protocol):
    """What is asked of a clustering layer."""

    alpha: float

    @property
    def clusters(self) -> Any: ...

    def __call__(self, latents: Tensor, /) -> Tensor: ...

    def log_assignments(self, latents: Tensor, /) -> Tensor: ...


class Clusterer(Protocol):
    """What is asked of a model."""

    training: bool

    @property
    def encoder(self) -> Any: ...

    @property
    def clustering(self) -> Any: ...

    def train(self, mode: bool = True) -> object: ...


def elastic_loss(current: Tensor, original: Tensor, fisher: Tensor, lambda_: float = 0.5) -> Tensor:
    """Return lambda * sum F (current - original)^2: elastic weight consolidation (Kirkpatrick et al., equation 3).

    Raise `ShapeMismatchError` unless all three have one shape: of grown centres give those that were there before.
    """
    if not current.shape == original.shape == fisher.shape:
        raise ShapeMismatchError(
            f"elastic_loss wants three tensors of one shape, got {list(current.shape)}, {list(original.shape)} and "
            f"{list(fisher.shape)}: give current[:len(original)], or pad with zeros what is new"
        )
    return lambda_ * torch.sum(fisher * (current - original).square())


def compute_fisher(model: Clusterer, loader: Iterable[Any], samples: int = 1000, *, kind: Kind = "exact") -> Tensor:
    """Return the importance of each number of the centres, [k, width], as the mean over the first `samples` rows.

    The model is asked in evaluation mode and keeps no gradient. Raise `InputError` when the loader gives no rows,
    `SettingsError` for another kind or fewer than one sample.
    """
    _check(samples, kind)
    with _evaluated(model) as asked, torch.no_grad():
        layer = asked.clustering
        total, n = torch.zeros_like(layer.clusters, dtype=torch.float64), 0
        for rows in _first(loader, samples, layer.clusters.device):
            total += centre_importance(layer, asked.encoder(rows), kind).sum(dim=0)
            n += len(rows)
    return (total / _some(n)).to(layer.clusters.dtype)


def compute_encoder_fisher(
    model: Clusterer, loader: Iterable[Any], samples: int = 1000, *, kind: Kind = "exact"
) -> dict[str, Tensor]:
    """Return the same for each parameter of the encoder, by name; for `exact`, k gradients a row.

    Raise what `compute_fisher` raises.
    """
    _check(samples, kind)
    encoder = model.encoder
    weights = {name: parameter.detach() for name, parameter in encoder.named_parameters()}
    totals, n = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}, 0
    with _evaluated(model) as asked:
        per_row = torch.func.vmap(torch.func.grad(_said_of_a_row(asked, kind)), in_dims=(None, 0, 0))
        for rows in _first(loader, samples, next(iter(weights.values())).device):
            n += len(rows)
            for some in torch.split(rows, _AT_ONCE):
                with torch.no_grad():
                    q = asked.clustering(asked.encoder(some))
                for share, which in _answers(q, kind):
                    for name, gradient in per_row(weights, some, which).items():
                        size = gradient.double().abs() if kind == "mas" else gradient.double().square()
                        totals[name] += torch.einsum("n,n...->...", share.double(), size)
    return {name: (total / _some(n)).to(weights[name].dtype) for name, total in totals.items()}


def centre_importance(layer: Layer, latents: Tensor, kind: Kind = "exact") -> Tensor:
    """Return the importance of the centres for each latent, [n, k, width] float64, in closed form.

    d log q_j / d mu_m = (1[j = m] - q_m) s_m with s_m = (alpha + 1) / alpha * (z - mu_m) / (1 + |z - mu_m|^2 / alpha).
    """
    z, centres = latents.double()[:, None, :], layer.clusters.detach().double()[None]
    apart = z - centres
    near = 1.0 + apart.square().sum(dim=2, keepdim=True) / layer.alpha
    pull = apart / near * ((layer.alpha + 1.0) / layer.alpha)
    q = torch.softmax(near[..., 0].log() * (-(layer.alpha + 1.0) / 2.0), dim=1)
    sizes: Tensor = pull.square()
    if kind == "mas":
        weight, sizes = (2.0 * q * (q - q.square().sum(dim=1, keepdim=True))).abs(), pull.abs()
    elif kind == "exact":
        weight = q * (1.0 - q)  # the mean of (1[j = m] - q_m)^2 over j ~ q
    else:
        weight = (torch.nn.functional.one_hot(q.argmax(dim=1), q.shape[1]) - q).square()
    return weight[..., None] * sizes


def _said_of_a_row(model: Clusterer, kind: Kind) -> Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]:
    """Give the number whose gradient counts: log q_j of one row, or for MAS the squared length of q."""

    def said(weights: dict[str, Tensor], row: Tensor, which: Tensor) -> Tensor:
        latent = torch.func.functional_call(model.encoder, weights, (row[None],))
        # Distances as plain sums: this runs under vmap, which has no derivative of cdist.
        near = (latent[:, None, :] - model.clustering.clusters.detach()).square().sum(dim=2) / model.clustering.alpha
        log_q = torch.log_softmax(near.log1p() * (-(model.clustering.alpha + 1.0) / 2.0), dim=1)[0]
        told: Tensor = log_q.exp().square().sum() if kind == "mas" else log_q @ which
        return told

    return said


def _answers(q: Tensor, kind: Kind) -> Iterator[tuple[Tensor, Tensor]]:
    """Give how much an answer weighs [n], and which cluster it is about for each row, as ones and zeros [n, k]."""
    every = torch.eye(q.shape[1]).to(q)
    if kind != "exact":
        yield torch.ones_like(q[:, 0]), every[q.argmax(dim=1)]
        return
    for number in range(q.shape[1]):
        yield q[:, number], every[number].expand_as(q)


def _first(loader: Iterable[Any], samples: int, device: torch.device) -> Iterator[Tensor]:
    left = samples
    for rows in row_batches(loader, device):
        yield rows[:left]
        left -= len(rows)
        if left <= 0:
            return


class _evaluated:
    """Put a model into evaluation mode for a while."""

    def __init__(self, model: Clusterer) -> None:
        self._model, self._before = model, model.training

    def __enter__(self) -> Clusterer:
        self._model.train(False)
        return self._model

    def __exit__(self, *_: object) -> None:
        self._model.train(self._before)


def _check(samples: int, kind: str) -> None:
    if samples < 1 or kind not in get_args(Kind):
        raise SettingsError(f"wanted samples >= 1 and kind exact, empirical or mas, got {samples!r} and {kind!r:.40}")


def _some(n: int) -> int:
    if not n:
        raise InputError("the loader gave no rows to measure importance on: give at least one")
    return n

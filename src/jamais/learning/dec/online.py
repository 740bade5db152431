"""How does a clustering take in new rows with a little training, so that the rows it knows keep their labels?

A transaction. The encoder stays, so latents are computed once; only a copy of the clustering layer learns, and it is
put in place after its effect on the remembered rows has been measured. What protects old labels, strongest first:
new centres take a row only when they lead by a margin measured on remembered rows; remembered rows are replayed;
targets know how frequent clusters are in all data, not in a batch; old centres are held by elastic weights, their
gradient is damped, and they step back when a label limit is broken.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from jamais.errors import Cancelled, NotReadyError, RefusedUpdateError, SettingsError, ShapeMismatchError
from jamais.learning.dec.batches import checked_rows
from jamais.learning.dec.handicaps import set_handicaps
from jamais.learning.dec.importance import centre_importance, elastic_loss
from jamais.learning.dec.targets import clustering_loss, target_distribution
from jamais.learning.threads import cpu_threads
from jamais.types import CancelToken, Check, Event, Floats, Ints, LearnReport, Listener, Vectors, silent

PHASE = "online update"
_KEEP = 0.9
"""Share of the old importance that an update leaves: online EWC's decay (Schwarz et al. 2018); one sum, one anchor."""


class Memory(Protocol):
    """Remembered rows with the labels they were given."""

    rows: Any
    labels: Any
    counts: Any

    def __len__(self) -> int: ...


class Online(Protocol):
    """What an update needs of a model: `jamais.models.DEC` has it."""

    clustering: Any

    @property
    def exemplars(self) -> Any: ...

    @property
    def pending(self) -> Vectors: ...

    @property
    def width(self) -> int: ...

    @property
    def n_updates(self) -> int: ...

    def encode(self, rows: Any) -> Vectors: ...

    def adopt(self, layer: Any, rows: Vectors, labels: Ints, report: LearnReport) -> None: ...


Model = TypeVar("Model", bound=Online)


@dataclass(frozen=True)
class OnlineSettings:
    """How an update learns and what it must keep; raise `SettingsError` on nonsense."""

    lr: float = 0.01
    """Rate of SGD on the centres; the seed's."""
    max_iters: int = 50
    """Most passes over the new rows; the seed's. It ends earlier when labels are quiet."""
    batch_size: int = 256
    """New rows per step; as many remembered ones are replayed beside them."""
    lambda_: float = 0.5
    """Weight of the elastic loss; the seed's."""
    damping: float = 0.3
    """Factor on the gradient of the centres that were there before; the seed's."""
    budget: float = 0.003
    """Share of remembered rows that new centres may take from old ones."""
    max_shift: float = 0.005
    """Share of remembered rows whose label may differ from the one they were remembered with."""
    step_backs: int = 4
    """Times that the movement of the old centres is halved when that is exceeded; then it is none."""

    def __post_init__(self) -> None:
        if self.max_iters < 0 or self.batch_size < 1 or self.step_backs < 0:
            raise SettingsError(
                f"online_update wants max_iters >= 0, batch_size >= 1 and step_backs >= 0, got {self.max_iters}, "
                f"{self.batch_size}, {self.step_backs}"
            )
        for name in ("lr", "lambda_", "damping", "budget", "max_shift"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"online_update wants {name} of at least 0, got {getattr(self, name)!r}")


def online_update(
    model: Model,
    new_embeddings: Any,
    original_centers: Tensor | None = None,
    fisher_matrix: Tensor | None = None,
    lr: float = 0.01,
    max_iters: int = 50,
    batch_size: int = 256,
    *,
    settings: OnlineSettings | None = None,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
) -> Model:
    """Let `model` take in rows [n, width] (raw, as for `fit`; not latents) and return it.

    Without `original_centers` and `fisher_matrix` [k, latent width] the model's own are used; those given count for
    their own k clusters, which may be fewer than there are by now. `settings` replaces the three numbers before it.
    Rows far from every cluster wait in `model.pending` until they are a group. `model.last_report` has the figures.

    All or nothing: after any error the model is bit for bit what it was. Raise `NotReadyError` for a model without
    memory, `InputError` and `ShapeMismatchError` for rows that are not fit, `RefusedUpdateError` with the figures
    when remembered rows would change labels beyond the limit or the centres are not finite, and `Cancelled`.
    """
    plan = OnlineSettings(lr, max_iters, batch_size) if settings is None else settings
    rows = checked_rows(new_embeddings, model.width, "new_embeddings")
    memory = model.exemplars
    if not len(memory):
        raise NotReadyError("online_update needs remembered rows and the model has none: fit it first")
    layer = copy.deepcopy(model.clustering)
    _protect(layer, original_centers, fisher_matrix)
    # What waits has come before: whether it is a group is asked of all together.
    waiting = np.concatenate([model.pending, rows])
    with cpu_threads(1):
        draft = _Draft(layer, model.encode(waiting), model.encode(memory.rows), memory, plan)
        draft.grow()
        draft.train(model.n_updates, on_event, cancel)
        shift = draft.settle()
        labels = layer.recognise(draft.fresh)
        report = _report(draft, len(rows), labels, shift, before=model.clustering.n_clusters)
        if not report.accepted:
            raise RefusedUpdateError(
                f"the update was refused and nothing was changed: {shift:.2%} of {len(memory):,} remembered rows would "
                f"change their label, at most {plan.max_shift:.2%} may: take a lower lr, or raise max_shift",
                report,
            )
        draft.secure(labels)
    model.adopt(layer, waiting, labels, report)
    return model


class _Draft:
    """A clustering layer that learns beside the model, and the latents that it learns from."""

    def __init__(self, layer: Any, fresh: Vectors, known: Vectors, memory: Memory, plan: OnlineSettings) -> None:
        self.layer, self.plan = layer, plan
        self.fresh, self.known = fresh, known
        self.known_labels: Ints = memory.labels
        self.counts: Floats = memory.counts.astype(np.float64)
        # Each cluster keeps as many rows, frequent or not: a kept row stands for so many that were seen.
        kept = np.maximum(np.bincount(self.known_labels, minlength=len(self.counts)), 1)
        self.weights: Floats = (self.counts / kept)[self.known_labels]
        self.begun: Tensor = layer.clusters.detach().clone()

    def grow(self) -> None:
        """Add centres for groups of far rows."""
        self.layer.dynamic_update(self.fresh, known=self.known)
        self.begun = self.layer.clusters.detach().clone()

    def train(self, number: int, on_event: Listener, cancel: CancelToken | None) -> None:
        """Move the centres: towards sharper assignments of new and replayed rows, held where the old ones were."""
        layer, plan = self.layer, self.plan
        own = torch.from_numpy(self.fresh[layer.recognise(self.fresh) >= 0]).to(layer.clusters)
        known = torch.from_numpy(self.known).to(layer.clusters)
        optimizer = torch.optim.SGD([layer.clusters], lr=plan.lr, momentum=0.9)
        chance = np.random.default_rng([number, len(self.known), len(self.fresh)])
        replayed = self.weights / self.weights.sum()
        before: Tensor | None = None
        for epoch in range(plan.max_iters if len(own) else 0):
            order = torch.from_numpy(chance.permutation(len(own)))
            total = 0.0
            for batch in torch.split(order, plan.batch_size):
                if cancel is not None and cancel.cancelled:
                    raise Cancelled(f"the online update was cancelled in pass {epoch + 1}: nothing was changed")
                again = torch.from_numpy(chance.choice(len(known), size=len(batch), p=replayed))
                total += self._step(optimizer, torch.cat([own[batch], known[again]])) * len(batch)
            with torch.no_grad():
                labels = layer(own).argmax(dim=1)
            on_event(Event(PHASE, epoch + 1, plan.max_iters, {"loss": total / len(own)}))
            if before is not None and bool((labels == before).all()):
                break
            before = labels

    def settle(self) -> float:
        """Set the handicaps of new centres, step back until labels hold; return the label shift of remembered rows."""
        layer, trained = self.layer, self.layer.clusters.detach().clone()
        if not bool(torch.isfinite(trained).all()):
            raise RefusedUpdateError(
                "the update was refused and nothing was changed: the centres are no longer finite: take a lower lr"
            )
        shares = [0.5**halving for halving in range(self.plan.step_backs + 1)]
        shift = math.inf
        for share in [*shares, 0.0] if self.plan.step_backs else shares:
            with torch.no_grad():
                layer.clusters.copy_(self.begun + share * (trained - self.begun))
            set_handicaps(layer, self.known, self.known_labels, self.plan.budget)
            shift = float((layer.nearest(self.known) != self.known_labels).mean())
            if shift <= self.plan.max_shift:
                break
        return shift

    def secure(self, labels: Ints) -> None:
        """Anchor the centres where they are now and add what these rows say of their importance (online EWC)."""
        layer = self.layer
        own = torch.from_numpy(self.fresh[labels >= 0]).to(layer.clusters)
        if len(own):
            with torch.no_grad():
                seen = torch.cat(
                    [centre_importance(layer, part).sum(dim=0)[None] for part in torch.split(own, 1024)]
                ).sum(0)
                layer.fisher.mul_(_KEEP).add_((seen / len(own)).to(layer.fisher))
        layer.anchors.copy_(layer.clusters.detach())
        layer.calibrate(
            np.concatenate([self.known, self.fresh[labels >= 0]]),
            np.concatenate([self.known_labels, labels[labels >= 0]]),
            only=np.flatnonzero(~layer.history_centers_mask.cpu().numpy()),
        )

    def _step(self, optimizer: torch.optim.Optimizer, latents: Tensor) -> float:
        layer, plan = self.layer, self.plan
        log_q = layer.log_assignments(latents)
        q = log_q.detach().exp()
        often = torch.zeros(layer.n_clusters).to(q)
        often[: len(self.counts)] = torch.from_numpy(self.counts).to(q)
        # What is here counts, too, or a cluster born now would have no frequency at all.
        target = target_distribution(q, often + q.sum(dim=0))
        held = layer.history_centers_mask
        loss = clustering_loss(log_q, target)
        loss = loss + elastic_loss(layer.clusters, layer.anchors, layer.fisher, plan.lambda_)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        layer.clusters.grad[held] *= plan.damping
        optimizer.step()
        return float(loss.detach())


def _protect(layer: Any, original_centers: Tensor | None, fisher_matrix: Tensor | None) -> None:
    """Put what the caller gives over the layer's own anchors and importance, for as many clusters as it has rows."""
    for name, given, own in (
        ("original_centers", original_centers, layer.anchors),
        ("fisher_matrix", fisher_matrix, layer.fisher),
    ):
        if given is None:
            continue
        if given.ndim != 2 or given.shape[1] != own.shape[1] or len(given) > len(own):
            raise ShapeMismatchError(f"{name}: wanted at most {list(own.shape)}, got {list(given.shape)}")
        if not bool(torch.isfinite(given).all()):
            raise SettingsError(f"{name} holds NaN or infinite numbers: compute it again")
        own[: len(given)] = given.detach().to(own)


def _report(draft: _Draft, n_rows: int, labels: Ints, shift: float, *, before: int) -> LearnReport:
    born = range(before, draft.layer.n_clusters)
    counts = {
        "rows that joined a cluster": int(np.count_nonzero(labels >= 0)),
        "rows that wait": int(np.count_nonzero(labels < 0)),
        "clusters born": len(born),
    }
    check = Check("label shift of remembered rows", shift, draft.plan.max_shift)
    events = tuple(f"cluster {one} born from {np.count_nonzero(labels == one):,} rows" for one in born)
    return LearnReport(check.passed, n_rows, counts, (check,), events)

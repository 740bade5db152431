"""How does MEMTO learn, before and after its memory has been placed?"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.errors import Cancelled, InputError, SettingsError
from jamais.learning.memto.batches import WindowModel, window_batches
from jamais.learning.threads import cpu_threads
from jamais.learning.training_state.optimizer import optimizer_tree, prepare_optimizer
from jamais.types import CancelToken, Event, Listener, StateTree, silent

Criterion = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(reconstruction, windows, attention) -> loss; `MEMTOLoss` is one."""


def phase1_initial_training(
    model: WindowModel,
    loader: Iterable[Any],
    epochs: int = 3,
    lr: float = 1e-4,
    *,
    validation: Iterable[Any] | None = None,
    patience: int | None = None,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
) -> list[float]:
    """Train the whole model, memory included, on the mean squared error alone; return it for each epoch.

    All else is as in `phase2_full_training`.
    """
    plan = _Plan(1, "phase 1", epochs, lr, patience, validation)
    return _trained(model, loader, _squared_error, plan, on_event, cancel)


def phase2_full_training(
    model: WindowModel,
    loader: Iterable[Any],
    criterion: Criterion,
    epochs: int = 5,
    lr: float = 1e-4,
    *,
    validation: Iterable[Any] | None = None,
    patience: int | None = None,
    on_event: Listener = silent,
    cancel: CancelToken | None = None,
) -> list[float]:
    """Train the whole model on `criterion` with Adam; return the loss of each epoch as seen while training.

    `loader` gives windows [n, L, channels] as x, (x, y) or (index, x), once per epoch. With `validation` the weights
    and items of its best epoch are kept, together; training ends `patience` epochs after it (none: never before
    `epochs`). Called again, it goes on with the same moments, as it does after save and load.

    Raise `InputError` for what are no windows, `SettingsError` for a setting that makes no sense or a loss that is
    no longer finite, `Cancelled` between two updates; the model then is what it was.
    """
    plan = _Plan(2, "phase 2", epochs, lr, patience, validation)
    return _trained(model, loader, criterion, plan, on_event, cancel)


@dataclass(frozen=True)
class _Plan:
    phase: int
    name: str
    epochs: int
    lr: float
    patience: int | None
    validation: Iterable[Any] | None

    def __post_init__(self) -> None:
        if type(self.epochs) is not int or self.epochs < 0:
            raise SettingsError(f"epochs must be a whole number of at least 0, got {self.epochs!r}")
        if not 0.0 < self.lr < math.inf:
            raise SettingsError(f"lr must be a number above 0, got {self.lr!r}")
        if self.patience is not None and (self.patience < 1 or self.validation is None):
            raise SettingsError("patience must be at least 1 and wants a loader as validation to look at")


def _squared_error(reconstruction: Tensor, x: Tensor, attention: Tensor) -> Tensor:
    return functional.mse_loss(reconstruction, x)


def _trained(
    model: WindowModel,
    loader: Iterable[Any],
    criterion: Criterion,
    plan: _Plan,
    on_event: Listener,
    cancel: CancelToken | None,
) -> list[float]:
    losses: list[float] = []
    best = _Best(plan.patience)
    with _all_or_nothing(model), cpu_threads(model.threads), _own_chance(model, model.seed + plan.phase):
        optimizer = _optimizer(model, plan)
        for epoch in range(plan.epochs):
            losses.append(_epoch(model, loader, criterion, optimizer, f"{plan.name}, epoch {epoch + 1}", cancel))
            values = {"loss": losses[-1]}
            if plan.validation is not None:
                values["validation"] = _validated(model, plan.validation, criterion)
                best.offer(model, optimizer, values["validation"])
            on_event(Event(plan.name, epoch + 1, plan.epochs, values))
            if best.waited_enough:
                break
        _check_finite(model, plan.name)
        model.optimizer_state = {"phase": plan.phase, "adam": best.restore(model) or _moments(model, optimizer)}
        model.count(plan.phase, len(losses))
        model.train(False)
    return losses


@contextmanager
def _all_or_nothing(model: WindowModel) -> Iterator[None]:
    before, moments = copy.deepcopy(model.state_dict()), model.optimizer_state
    try:
        yield
    except BaseException:
        model.load_state_dict(before)
        model.optimizer_state = moments
        model.train(False)
        raise


@contextmanager
def _own_chance(model: WindowModel, seed: int) -> Iterator[None]:
    """Let dropout, which takes no generator, draw from `seed`; the caller's numbers go on as if nothing was drawn.

    Without dropout nothing is touched: a loader may draw from them.
    """
    if not any(isinstance(one, nn.Dropout) and one.p > 0 for one in model.modules()):
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _optimizer(model: WindowModel, plan: _Plan) -> torch.optim.Adam:
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.lr)
    if model.optimizer_state.get("phase") == plan.phase:
        prepare_optimizer(optimizer, model, model.optimizer_state["adam"])()  # type: ignore[arg-type]
        for group in optimizer.param_groups:
            group["lr"] = plan.lr
    return optimizer


def _epoch(
    model: WindowModel,
    loader: Iterable[Any],
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
    where: str,
    cancel: CancelToken | None,
) -> float:
    model.train(True)
    total, n = 0.0, 0
    for windows in window_batches(loader, model):
        if cancel is not None and cancel.cancelled:
            raise Cancelled(f"training was cancelled in {where}; the model is what it was before")
        reconstruction, _, attention = model.training_pass(windows)
        loss = criterion(reconstruction, windows, attention)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SettingsError(f"training diverged in {where}, the loss is {value}: take a lower rate (lr)")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, n = total + value * len(windows), n + len(windows)
    if not n:
        raise InputError(f"the loader gave no windows in {where}: give one that can be walked again")
    return total / n


def _validated(model: WindowModel, validation: Iterable[Any], criterion: Criterion) -> float:
    model.train(False)
    total, n = 0.0, 0
    with torch.no_grad():
        for windows in window_batches(validation, model):
            reconstruction, _, attention = model(windows)
            total, n = total + float(criterion(reconstruction, windows, attention)) * len(windows), n + len(windows)
    if not n:
        raise InputError("the validation loader gave no windows: give one that can be walked again")
    return total / n


class _Best:
    """Keep weights, items and moments of the best epoch; they belong together."""

    def __init__(self, patience: int | None) -> None:
        self._patience = patience
        self._loss = math.inf
        self._worse = 0
        self._kept: tuple[dict[str, Any], StateTree] | None = None

    def offer(self, model: WindowModel, optimizer: torch.optim.Optimizer, loss: float) -> None:
        if loss < self._loss:
            self._loss, self._worse = loss, 0
            self._kept = copy.deepcopy(model.state_dict()), _moments(model, optimizer)
        else:
            self._worse += 1

    @property
    def waited_enough(self) -> bool:
        return self._patience is not None and self._worse >= self._patience

    def restore(self, model: WindowModel) -> StateTree | None:
        """Put the best epoch back and return its moments; nothing where no epoch was judged."""
        if self._kept is None:
            return None
        model.load_state_dict(self._kept[0])
        return self._kept[1]


def _moments(model: WindowModel, optimizer: torch.optim.Optimizer) -> StateTree:
    return copy.deepcopy(optimizer_tree(optimizer, model))  # type: ignore[arg-type]


def _check_finite(model: WindowModel, where: str) -> None:
    """Raise `SettingsError` when the last step, after which no loss was taken, left weights that are no numbers."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise SettingsError(f"training diverged in the last step of {where}: take a lower rate (lr)")

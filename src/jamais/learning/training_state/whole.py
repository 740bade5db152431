"""What is all of a training run, and in which order is it put back?"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from jamais.errors import StateError
from jamais.learning.training_state.optimizer import Optimizer, optimizer_tree, prepare_optimizer
from jamais.learning.training_state.progress import Progress
from jamais.learning.training_state.random_numbers import RandomNumbers
from jamais.learning.training_state.reading import Apply, part, same_names, same_settings
from jamais.learning.training_state.schedule import Schedule
from jamais.learning.training_state.weights import Network, prepare_weights, weights_tree
from jamais.types import StateTree


class Stateful(Protocol):
    """Anything else that must go on exactly: a memory, a detector, an order of rows, a gradient scaler."""

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree, /) -> Any: ...


@dataclass
class TrainingState:
    """All that a training loop needs to go on as if never stopped; `settings` must be the same on both sides.

    Save between updates, with gradients used up. Accumulated gradients, the modules' train/eval mode and buffers
    that the model itself does not save are not kept.
    """

    model: Network
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    """With a schedule no current rate is saved: the loop sets `schedule.rate_at(step)` before each step."""
    random_numbers: RandomNumbers = field(default_factory=RandomNumbers)
    data: Stateful | None = None
    progress: Progress = field(default_factory=Progress)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that define the run: settings, a digest of the data."""
    extra: Mapping[str, Stateful] = field(default_factory=dict)

    def tree(self) -> StateTree:
        """Return the state. CPU arrays share memory with the live tensors: commit or copy before the next step."""
        tree: StateTree = {
            "settings": dict(self.settings),
            "environment": _environment(self.model),
            "model": weights_tree(self.model),
            "trainer": self.progress.state_dict(),
            "rng": self.random_numbers.state_dict(),
            "extra": {name: one.state_dict() for name, one in self.extra.items()},
        }
        if self.optimizer is not None:
            tree["optimizer"] = optimizer_tree(self.optimizer, self.model, scheduled=self.schedule is not None)
        if self.schedule is not None:
            tree["scheduler"] = {"definition": self.schedule.to_state(), "step": self.progress.step}
        if self.data is not None:
            tree["data"] = self.data.state_dict()
        return tree

    def restore(self, tree: StateTree, place_data: Callable[[], object] | None = None) -> None:
        """Put a saved state in its place, random numbers last.

        `place_data` is called when all but the random numbers is there: make the data loader's iterator in it,
        as that draws a number. Raises `StateError` naming what does not fit; settings, model, optimizer and
        random numbers are all checked before anything is changed.
        """
        same_names("training", tree, self._parts(), "training loop")
        same_settings("settings", part(tree, "settings", dict, "training"), dict(self.settings))
        applies = self._prepared(tree)
        set_random_numbers = self.random_numbers.prepare(part(tree, "rng", dict, "training"))
        extra = part(tree, "extra", dict, "training")
        same_names("extra", extra, self.extra, "training loop")
        self._warn_of_another_environment(part(tree, "environment", dict, "training"))
        self.progress.load_state_dict(part(tree, "trainer", dict, "training"))
        for apply in applies:
            apply()
        for name, one in self.extra.items():
            one.load_state_dict(part(extra, name, dict, "extra"))
        if self.data is not None:
            self.data.load_state_dict(part(tree, "data", dict, "training"))
        if place_data is not None:
            place_data()
        set_random_numbers()

    def _parts(self) -> list[str]:
        optional = {"optimizer": self.optimizer, "scheduler": self.schedule, "data": self.data}
        present = [name for name, one in optional.items() if one is not None]
        return ["settings", "environment", "model", "trainer", "rng", "extra", *present]

    def _prepared(self, tree: StateTree) -> list[Apply]:
        model = part(tree, "model", dict, "training")
        applies = [prepare_weights(self.model, model, may_tie=self.optimizer is None)]
        if self.optimizer is not None:
            saved = part(tree, "optimizer", dict, "training")
            scheduled = self.schedule is not None
            applies.append(prepare_optimizer(self.optimizer, self.model, saved, scheduled=scheduled))
        if self.schedule is not None:
            saved = part(tree, "scheduler", dict, "training")
            definition = Schedule.from_state(part(saved, "definition", dict, "scheduler"))
            same_settings("scheduler", definition.to_state(), self.schedule.to_state())
            if saved.get("step") != part(tree, "trainer", dict, "training").get("step"):
                raise StateError("scheduler.step: not the step of the trainer: load another version")
        return applies

    def _warn_of_another_environment(self, saved: StateTree) -> None:
        for name, here in _environment(self.model).items():
            if saved.get(name) != here:
                warnings.warn(
                    f"training goes on with {name} {here}, it was saved with {str(saved.get(name))[:40]}: "
                    "the last bits may differ from those of a run that never stopped",
                    stacklevel=3,
                )


def _environment(model: Network) -> StateTree:
    """Say what moves the last bits of a sum although nothing in the run is another."""
    device = next((parameter.device.type for _, parameter in model.named_parameters()), "cpu")
    return {"torch": str(torch.__version__), "threads": torch.get_num_threads(), "device": device}

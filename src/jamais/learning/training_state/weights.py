"""How do a network's parameters and buffers become a state tree, and come back where they were?

Names are those of `state_dict`. A parameter that stands in two places (tied weights) is the same array twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import StateError
from jamais.learning.training_state.reading import Apply, names, part, same_names
from jamais.learning.training_state.tensors import AnyArray, check_like, to_array, to_tensor
from jamais.types import StateTree

_EXTRA = "_extra_state"  # torch's name for what a module keeps beside its tensors


class Network(Protocol):
    """What is asked of a model: `torch.nn.Module` has it."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self, *, keep_vars: bool = False) -> dict[str, Any]: ...

    def get_submodule(self, target: str) -> nn.Module: ...


def weights_tree(model: Network) -> StateTree:
    """Return all parameters and buffers, and which parameters are frozen.

    CPU arrays share memory with the model: commit them, or copy them, before the next step. Raises StateError
    naming an extra state that is no tensor.
    """
    first: dict[int, AnyArray] = {}
    tensors: dict[str, AnyArray] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):
            raise StateError(f"model.{name}: cannot save {type(value).__name__}: an extra state must be a tensor")
        if id(value) not in first:
            first[id(value)] = to_array(value, f"model.{name}")
        tensors[name] = first[id(value)]
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    return {"tensors": tensors, "frozen": frozen}


def prepare_weights(model: Network, tree: StateTree, *, may_tie: bool = True) -> Apply:
    """Check a saved tree against `model` and return what puts it there; nothing is changed before.

    Weights that were tied are tied again unless `may_tie` is False (an optimizer holds the parameters already).
    Raises StateError naming the first leaf that is missing, too many, or of another dtype or shape.
    """
    saved = part(tree, "tensors", dict, "model")
    frozen = set(names(tree, "frozen", "model"))
    live = model.state_dict(keep_vars=True)
    same_names("model", saved, live, "model")
    for name, array in saved.items():
        if not isinstance(array, np.ndarray):
            raise StateError(f"model.{name}: saved {type(array).__name__}, wanted an array: load another version")
        if not name.endswith(_EXTRA):
            check_like(array, live[name].dtype, tuple(live[name].shape), f"model.{name}")
    _check_ties(saved, live)
    apart = _saved_tied_here_apart(saved, live)
    if apart and not may_tie:
        name, twin = next(iter(apart.items()))
        raise StateError(f"model.{name}: saved tied to {twin}, here apart: tie them before the optimizer is made")

    def apply() -> None:
        with torch.no_grad():
            for name, array in saved.items():  # one at a time: a model may be half as large as the memory
                tensor = to_tensor(array, f"model.{name}")
                owner, _, leaf = name.rpartition(".")
                if leaf == _EXTRA:
                    model.get_submodule(owner).set_extra_state(tensor)
                else:
                    live[name].copy_(tensor)
        for name, twin in apart.items():
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, live[twin])
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)

    return apply


def _check_ties(saved: dict[str, AnyArray], live: dict[str, Any]) -> None:
    first: dict[int, str] = {}
    for name, tensor in live.items():
        twin = first.setdefault(id(tensor), name)
        if saved[twin] is not saved[name] and saved[twin].tobytes() != saved[name].tobytes():
            raise StateError(f"model.{name}: saved with numbers of its own, here tied to {twin}: untie them first")


def _saved_tied_here_apart(saved: dict[str, AnyArray], live: dict[str, Any]) -> dict[str, str]:
    first: dict[int, str] = {}
    apart: dict[str, str] = {}
    for name in live:
        twin = first.setdefault(id(saved[name]), name)
        if live[twin] is not live[name]:
            apart[name] = twin
    return apart

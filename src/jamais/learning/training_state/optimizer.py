"""How does an optimizer's memory become a state tree by parameter name, and find its parameters again?

torch numbers the parameters in the order they were given; a model built in another order then gets the moments
of its neighbours. Here every leaf stands under the name of its parameter.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import StateError
from jamais.learning.training_state.reading import Apply, names, part, same_names
from jamais.learning.training_state.tensors import check_like, to_array, to_tensor
from jamais.learning.training_state.weights import Network
from jamais.types import StateTree

Optimizer = torch.optim.Optimizer
_NOT_OPTIONS = ("params", "param_names")
_PROBE_SIDES = (2, 3, 5, 7, 11, 13)


def optimizer_tree(optimizer: Optimizer, model: Network, *, scheduled: bool = False) -> StateTree:
    """Return groups, their options and each parameter's state, by name; the rate stays out when `scheduled`.

    CPU arrays share memory with the optimizer. Raises StateError naming whatever is neither tensor nor number,
    and for a parameter that the model does not have.
    """
    known = _names_of(optimizer, model)
    groups: dict[str, Any] = {}
    for number, group in enumerate(optimizer.param_groups):
        where = f"optimizer.groups.{number}"
        options = {k: _plain(v, f"{where}.{k}") for k, v in group.items() if k not in _skipped(scheduled)}
        groups[str(number)] = {"parameters": [known[p] for p in group["params"]], "options": options}
    if strange := [key for key in optimizer.state if key not in known]:
        raise StateError(f"optimizer.state: keeps something for {strange[0]!r:.80}, which is none of its parameters")
    state = {
        name: {leaf: _plain(value, f"optimizer.{leaf} of {name}") for leaf, value in optimizer.state[parameter].items()}
        for parameter, name in known.items()
        if optimizer.state.get(parameter)
    }
    return {"type": type(optimizer).__name__, "groups": groups, "state": state}


def prepare_optimizer(optimizer: Optimizer, model: Network, tree: StateTree, *, scheduled: bool = False) -> Apply:
    """Check a saved tree against `optimizer` and return what puts it there; nothing is changed before.

    The order of the parameters may differ. Raises StateError naming the first leaf that is missing, too many, or
    of another dtype or shape: `optimizer.exp_avg of head.bias: saved [64], here [32]`.
    """
    saved_type = part(tree, "type", str, "optimizer")
    if saved_type != type(optimizer).__name__:
        raise StateError(f"optimizer: saved {saved_type[:40]}, here {type(optimizer).__name__}: use the same one")
    known = _names_of(optimizer, model)
    options = _options_by_group(optimizer, known, part(tree, "groups", dict, "optimizer"), scheduled)
    saved_state = part(tree, "state", dict, "optimizer")
    for name in saved_state:
        if name not in known.values():
            raise StateError(f"optimizer.{name}: saved, but not here: build the optimizer as it was when saved")
    state: dict[Tensor, dict[str, Any]] = {}
    for group, chosen in zip(optimizer.param_groups, options, strict=True):
        expected = _Expected(optimizer, {**group, **chosen})
        for parameter in group["params"]:
            name = known[parameter]
            if name in saved_state:
                leaves = part(saved_state, name, dict, "optimizer")
                state[parameter] = _leaves(leaves, name, parameter, expected.of(parameter))

    def apply() -> None:
        for group, chosen in zip(optimizer.param_groups, options, strict=True):
            for key, value in chosen.items():
                _set_option(group, key, value)
        optimizer.state.clear()
        optimizer.state.update(state)

    return apply


def _names_of(optimizer: Optimizer, model: Network) -> dict[nn.Parameter, str]:
    known = {parameter: name for name, parameter in model.named_parameters()}
    for number, group in enumerate(optimizer.param_groups):
        for place, parameter in enumerate(group["params"]):
            if parameter not in known:
                raise StateError(
                    f"optimizer.groups.{number}: its parameter {place}, of shape {list(parameter.shape)}, has no name "
                    "in the model: give the model that the optimizer trains"
                )
    return {parameter: known[parameter] for group in optimizer.param_groups for parameter in group["params"]}


def _skipped(scheduled: bool) -> tuple[str, ...]:
    # A rate that a schedule will set again must not be kept: it would be scheduled twice.
    return (*_NOT_OPTIONS, "lr", "initial_lr") if scheduled else _NOT_OPTIONS


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Tensor):
        return to_array(value, where)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple) and all(one is None or type(one) in (bool, int, float, str) for one in value):
        return list(value)
    raise StateError(f"{where}: cannot save {type(value).__name__}: only tensors and numbers are kept")


def _options_by_group(
    optimizer: Optimizer, known: Mapping[nn.Parameter, str], saved: dict[str, Any], scheduled: bool
) -> list[dict[str, Any]]:
    """Find for each group here the saved one with the same parameters; return their options, ready to be set."""
    by_names: dict[frozenset[str], tuple[str, dict[str, Any]]] = {}
    for key in saved:
        group = part(saved, key, dict, "optimizer.groups")
        where = f"optimizer.groups.{key}"
        by_names[frozenset(names(group, "parameters", where))] = key, part(group, "options", dict, where)
    same_names("optimizer", {one for group in by_names for one in group}, known.values(), "optimizer")
    chosen: list[dict[str, Any]] = []
    for number, group in enumerate(optimizer.param_groups):
        here = frozenset(known[parameter] for parameter in group["params"])
        if here not in by_names:
            one = min(here, default="an empty group")
            raise StateError(
                f"optimizer.groups.{number}: {one} was in a group with other parameters when saved: "
                "build the same groups"
            )
        saved_number, options = by_names[here]
        where = f"optimizer.groups.{saved_number}"
        chosen.append({k: _option(v, group.get(k), f"{where}.{k}") for k, v in options.items()})
        for key in _skipped(scheduled):
            chosen[-1].pop(key, None)
    return chosen


def _option(saved: Any, here: Any, where: str) -> Any:
    if isinstance(saved, np.ndarray):
        return to_tensor(saved, where)
    number = isinstance(here, int | float | Tensor) and not isinstance(here, bool)
    if number and type(saved) not in (int, float):
        raise StateError(f"{where}: saved {saved!r:.40}, wanted a number: load another version")
    return tuple(saved) if isinstance(here, tuple) and type(saved) is list else saved


def _set_option(group: dict[str, Any], key: str, value: Any) -> None:
    if isinstance(group.get(key), Tensor):
        group[key].copy_(torch.as_tensor(value))  # a captured graph may hold this very tensor
    else:
        group[key] = value


@dataclass(frozen=True)
class _Leaf:
    """How a tensor of the state must look; `shape` None: like it was saved."""

    dtype: torch.dtype
    shape: tuple[int, ...] | None
    device: torch.device


_Leaves = dict[str, _Leaf | None]  # None: a number, or nothing


def _leaves(saved: dict[str, Any], name: str, parameter: nn.Parameter, expected: _Leaves | None) -> dict[str, Any]:
    if expected is not None:
        for leaf in sorted(saved.keys() ^ expected.keys()):
            side = "saved, but not here" if leaf in saved else "here, but not in the saved state"
            raise StateError(f"optimizer.{leaf} of {name}: {side}: build the optimizer as it was when saved")
    ready: dict[str, Any] = {}
    for leaf, value in saved.items():
        where = f"optimizer.{leaf} of {name}"
        wanted = None if expected is None else expected[leaf]
        if isinstance(value, np.ndarray) and (wanted is not None or expected is None):
            if wanted is not None:
                check_like(value, wanted.dtype, value.shape if wanted.shape is None else wanted.shape, where)
            # torch keeps the count of steps on the CPU, all else beside the parameter.
            home = wanted.device if wanted else torch.device("cpu") if leaf == "step" else parameter.device
            ready[leaf] = to_tensor(value, where).to(home)
        elif wanted is None and (value is None or type(value) in (bool, int, float, str, list)):
            ready[leaf] = value
        else:
            kind = "a number" if wanted is None else "an array"
            raise StateError(f"{where}: saved {type(value).__name__}, wanted {kind}: load another version")
    return ready


class _Expected:
    """What state an optimizer keeps for a parameter: asked of the optimizer itself, on a tiny parameter."""

    def __init__(self, optimizer: Optimizer, group: dict[str, Any]) -> None:
        self._optimizer = optimizer
        self._group = {key: value for key, value in group.items() if key not in _NOT_OPTIONS}
        self._probes: dict[Any, dict[str, Any] | None] = {}

    def of(self, parameter: nn.Parameter) -> _Leaves | None:
        """Return what is kept for `parameter`, by name; None when that cannot be found out."""
        live = self._optimizer.state.get(parameter)
        if live:
            return {leaf: _like(value, None) for leaf, value in live.items()}
        key = (parameter.ndim, parameter.dtype, parameter.device)
        if key not in self._probes:
            self._probes[key] = self._probe(parameter)
        found = self._probes[key]
        sides = {1: 1} | dict(zip(_PROBE_SIDES, parameter.shape, strict=False))
        return None if found is None else {leaf: _like(value, sides) for leaf, value in found.items()}

    def _probe(self, parameter: nn.Parameter) -> dict[str, Any] | None:
        if parameter.ndim > len(_PROBE_SIDES):
            return None
        tiny = nn.Parameter(parameter.detach().new_zeros(_PROBE_SIDES[: parameter.ndim]))
        tiny.grad = torch.zeros_like(tiny)
        groups = [{**copy.deepcopy(self._group), "params": [tiny]}]
        twin = object.__new__(type(self._optimizer))
        try:
            twin.__setstate__({"defaults": {}, "state": defaultdict(dict), "param_groups": groups})
            twin.step()
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError):
            return None  # it wants another kind of gradient: names and shapes are then taken as saved
        return dict(twin.state[tiny])


def _like(value: Any, sides: Mapping[int, int] | None) -> _Leaf | None:
    """Describe a leaf; `sides` says what the sides of the tiny parameter are in the real one."""
    if not isinstance(value, Tensor):
        return None
    shape: tuple[int, ...] | None = tuple(value.shape)
    if sides is not None:
        shape = tuple(sides[side] for side in value.shape) if all(side in sides for side in value.shape) else None
    return _Leaf(value.dtype, shape, value.device)

"""What of a MEMTO must survive a restart, and is a saved tree really one?"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from jamais.errors import CorruptStateError, SettingsError, StateError
from jamais.learning.training_state.optimizer import prepare_optimizer
from jamais.models.memto.config import MEMTOConfig, read_config
from jamais.persistence.faces.arrangement import Arrangement, Layer, Weights
from jamais.settings import as_tree
from jamais.types import StateTree

PARTS = ("config", "model", "optimizer", "progress")


@dataclass(frozen=True)
class Progress:
    """How far a model has come."""

    phase1_epochs: int = 0
    phase2_epochs: int = 0


class Model(Protocol):
    """What of a model is saved."""

    config: MEMTOConfig
    optimizer_state: StateTree
    progress: Progress

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Parts:
    """A tree whose outside has been checked; `put` checks the arrays against the model."""

    config: MEMTOConfig
    tensors: dict[str, Any]
    optimizer: StateTree
    progress: Progress


def tree_of(model: Model) -> StateTree:
    """Copy the state of a model."""
    return {
        "config": as_tree(model.config),
        "model": {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()},
        "optimizer": copy.deepcopy(model.optimizer_state),
        "progress": dataclasses.asdict(model.progress),
    }


def read(tree: StateTree) -> Parts:
    """Check what a tree is made of; raise `CorruptStateError` naming what does not fit."""
    if type(tree) is not dict or tree.keys() != set(PARTS):
        raise CorruptStateError(f"not the state of a MEMTO, wanted {', '.join(PARTS)}: load another version")
    for name in PARTS:
        if type(tree[name]) is not dict:
            raise CorruptStateError(f"{name}: wanted a dict: load another version")
    if tree["config"].keys() != {one.name for one in dataclasses.fields(MEMTOConfig)}:
        raise CorruptStateError("config: not that of a MEMTO: load another version")
    try:
        config = read_config(tree["config"])
    except SettingsError as error:
        raise CorruptStateError(f"config: {error}") from None
    progress = tree["progress"]
    if progress.keys() != {one.name for one in dataclasses.fields(Progress)} or not all(
        type(epochs) is int and epochs >= 0 for epochs in progress.values()
    ):
        raise CorruptStateError("progress: wanted phase1_epochs and phase2_epochs: load another version")
    return Parts(config, tree["model"], tree["optimizer"], Progress(**progress))


def put(model: Any, parts: Parts) -> None:
    """Fill a new model of the same config; raise `CorruptStateError` naming the array that does not fit."""
    wanted = model.state_dict()
    odd = sorted(parts.tensors.keys() ^ wanted.keys())
    if odd:
        raise CorruptStateError(f"model: missing or unknown: {', '.join(odd)[:80]}: load another version")
    for name, tensor in wanted.items():
        array = parts.tensors[name]
        if type(array) is not np.ndarray or array.dtype != np.dtype("<f4") or array.shape != tuple(tensor.shape):
            got = list(array.shape) if type(array) is np.ndarray else type(array).__name__
            raise CorruptStateError(f"model.{name}: saved {got}, here float32 {list(tensor.shape)}")
        if not np.isfinite(array).all():
            raise CorruptStateError(f"model.{name}: holds a number that is not finite: load an earlier version")
    model.load_state_dict({name: torch.from_numpy(np.array(parts.tensors[name], order="C")) for name in wanted})
    model.optimizer_state = _checked_optimizer(model, parts.optimizer)
    model.progress = parts.progress


def arrangement(tree: StateTree) -> Arrangement:
    """Show the network as layers and its arrays as one weights file."""
    layers = []
    for name in tree["model"]:
        if name.endswith(".weight"):
            owner = name.removesuffix(".weight")
            kind = "LayerNorm" if owner.endswith("norm") else "Linear"
            leaves = [leaf for leaf in ("weight", "bias") if f"{owner}.{leaf}" in tree["model"]]
            layers.append(Layer(kind, {leaf: f"/model/{owner}.{leaf}" for leaf in leaves}))
    return Arrangement(layers=tuple(layers), weights=Weights("/model"))


def _checked_optimizer(model: Any, saved: StateTree) -> StateTree:
    if not saved:
        return {}
    if saved.keys() != {"phase", "adam"} or saved["phase"] not in (1, 2) or type(saved["adam"]) is not dict:
        raise CorruptStateError("optimizer: wanted phase and adam: load another version")
    try:
        prepare_optimizer(torch.optim.Adam(model.parameters()), model, saved["adam"])
    except StateError as error:
        raise CorruptStateError(f"{error}") from None
    return copy.deepcopy(saved)

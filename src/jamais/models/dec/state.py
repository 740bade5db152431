"""What of a DEC must survive a restart, and is a saved tree really one?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from jamais.errors import CorruptStateError, SettingsError
from jamais.models.dec.autoencoder import autoencoder_shapes
from jamais.models.dec.config import DECConfig, read_config
from jamais.models.dec.dynamic import DynamicClusteringLayer, layer_shapes
from jamais.models.dec.exemplars import ClusterExemplars
from jamais.persistence.faces.arrangement import Arrangement, Layer, Weights
from jamais.settings import as_tree
from jamais.types import StateTree, Vectors

PARTS = ("config", "model", "memory", "pending", "progress")
_EVENTS = 1_000  # the newest are kept


@dataclass(frozen=True)
class Progress:
    """How far a model has come."""

    pretrained: int = 0
    """Epochs of pretraining."""
    losses: tuple[float, ...] = ()
    """Of each of them."""
    updates: int = 0
    """Online updates that were accepted."""
    events: tuple[str, ...] = ()
    """What happened to clusters, a line each; the newest."""

    def after_pretraining(self, losses: Sequence[float]) -> Progress:
        """Count more epochs."""
        return dataclasses.replace(self, pretrained=self.pretrained + len(losses), losses=(*self.losses, *losses))

    def updated(self, events: Sequence[str]) -> Progress:
        """Count one more update, and what it did."""
        number = self.updates + 1
        told = (*self.events, *(f"update {number}: {event}" for event in events))
        return dataclasses.replace(self, updates=number, events=told[-_EVENTS:])


class Model(Protocol):
    """What of a model is saved."""

    config: DECConfig
    exemplars: ClusterExemplars
    pending: Vectors
    progress: Progress

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Parts:
    """A checked state."""

    config: DECConfig
    tensors: dict[str, Tensor]
    exemplars: ClusterExemplars
    pending: Vectors
    progress: Progress = field(default_factory=Progress)


def new_layer(config: DECConfig, n_clusters: int) -> DynamicClusteringLayer:
    """Make the clustering layer of a config; its threshold counts where no reach was measured."""
    threshold = config.expansion_threshold
    return DynamicClusteringLayer(
        n_clusters,
        config.alpha,
        **({} if threshold is None else {"expansion_threshold": threshold}),
        width=config.latent_width,
        smallest=config.smallest,
    )


def new_exemplars(config: DECConfig) -> ClusterExemplars:
    """Make the empty memory of a config."""
    return ClusterExemplars(config.width, config.exemplars, config.seed)


def tree_of(model: Model) -> StateTree:
    """Copy the state of a model."""
    config = as_tree(model.config)
    del config["save_dir"]  # a path of this machine means nothing on another
    return {
        "config": config,
        "model": {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()},
        "memory": model.exemplars.state_dict(),
        "pending": model.pending.copy(),
        "progress": {
            "pretrained": model.progress.pretrained,
            "losses": list(model.progress.losses),
            "updates": model.progress.updates,
            "events": list(model.progress.events),
        },
    }


def read(tree: StateTree) -> Parts:
    """Check a tree and copy its parts; raise `CorruptStateError` naming what does not fit."""
    if type(tree) is not dict or tree.keys() != set(PARTS):
        raise CorruptStateError(f"not the state of a DEC, wanted {', '.join(PARTS)}: load another version")
    config = _config(tree["config"])
    tensors = _tensors(tree["model"], config)
    exemplars = new_exemplars(config)
    if type(tree["memory"]) is not dict:
        raise CorruptStateError("memory: wanted a dict: load another version")
    exemplars.load_state_dict(tree["memory"])
    if exemplars.n_clusters not in (0, len(tensors["clustering.clusters"])):
        raise CorruptStateError(
            f"memory: of {exemplars.n_clusters} clusters, the model has {len(tensors['clustering.clusters'])}"
        )
    pending = tree["pending"]
    _check_array(pending, (None, config.width), "<f4", "pending")
    return Parts(config, tensors, exemplars, pending.copy(), _progress(tree["progress"]))


def arrangement(tree: StateTree) -> Arrangement:
    """Show the network as layers and its arrays as one weights file."""
    layers = []
    for name in tree["model"]:
        if name.endswith(".weight"):
            owner = name.removesuffix(".weight")
            layers.append(Layer("Linear", {leaf: f"/model/{owner}.{leaf}" for leaf in ("weight", "bias")}))
    return Arrangement(layers=tuple(layers), weights=Weights("/model"))


def _config(saved: Any) -> DECConfig:
    fields = {one.name for one in dataclasses.fields(DECConfig)} - {"save_dir"}
    if type(saved) is not dict or saved.keys() != fields:
        raise CorruptStateError("config: not that of a DEC: load another version")
    try:
        return read_config(saved)
    except SettingsError as error:
        raise CorruptStateError(f"config: {error}") from None


def _tensors(saved: Any, config: DECConfig) -> dict[str, Tensor]:
    """Check the arrays of the network against its config, any number of clusters; return them as tensors."""
    if type(saved) is not dict:
        raise CorruptStateError("model: wanted a dict of arrays: load another version")
    centres = saved.get("clustering.clusters")
    centres = _check_array(centres, (None, config.latent_width), "<f4", "model.clustering.clusters")
    wanted = {f"autoencoder.{name}": (shape, "<f4") for name, shape in autoencoder_shapes(config.dims).items()}
    of_layer = layer_shapes(len(centres), config.latent_width)
    wanted |= {f"clustering.{name}": expected for name, expected in of_layer.items()}
    odd = sorted(saved.keys() ^ wanted.keys())
    if odd or not len(centres):
        raise CorruptStateError(f"model: missing or unknown: {', '.join(odd)[:80] or 'centres'}: load another version")
    for name, (shape, dtype) in wanted.items():
        _check_array(saved[name], shape, dtype, f"model.{name}")
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in saved.items()}


def _check_array(array: Any, shape: Sequence[int | None], dtype: str, where: str) -> Any:
    if type(array) is not np.ndarray or array.dtype != np.dtype(dtype) or array.ndim != len(shape):
        raise CorruptStateError(f"{where}: wanted an array of {dtype} with {len(shape)} axes: load another version")
    if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
        raise CorruptStateError(f"{where}: saved {list(array.shape)}, here {list(shape)}: load another version")
    # A reach that was never measured is NaN by right.
    if not (np.isfinite(array).all() or where == "model.clustering.reach"):
        raise CorruptStateError(f"{where}: holds a number that is not finite: load an earlier version")
    return array


def _progress(saved: Any) -> Progress:
    kinds = {"pretrained": int, "losses": list, "updates": int, "events": list}
    if type(saved) is not dict or {name: type(value) for name, value in saved.items()} != kinds:
        raise CorruptStateError("progress: wanted pretrained, losses, updates and events: load another version")
    if min(saved["pretrained"], saved["updates"]) < 0 or len(saved["losses"]) != saved["pretrained"]:
        raise CorruptStateError("progress: counts do not fit together: load another version")
    if not all(type(loss) is float for loss in saved["losses"]) or not all(type(e) is str for e in saved["events"]):
        raise CorruptStateError("progress: losses are numbers and events texts: load another version")
    return Progress(saved["pretrained"], tuple(saved["losses"]), saved["updates"], tuple(saved["events"]))

"""What of a language model must survive a restart, and is a saved tree really one?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from jamais.errors import CorruptStateError, SettingsError
from jamais.models.llm.adam import Adam, Moments
from jamais.models.llm.network import LLMConfig, Network, shapes
from jamais.models.llm.training import Progress
from jamais.persistence.faces.arrangement import Arrangement, Layer, Weights
from jamais.types import StateTree

PARTS = ("config", "vocab", "model", "optimizer", "rng", "trainer")
MOMENTS = ("exp_avg", "exp_avg_sq")


def arrays_of(network: Network) -> StateTree:
    """Copy the weights, by parameter name."""
    return {name: weight.detach().numpy().copy() for name, weight in network.named_parameters()}


def optimizer_state(optimizer: Adam) -> StateTree:
    """Copy Adam's memory, by parameter name; `parameters` is empty before the first step."""
    moments = {
        name: {"step": kept.step} | {key: getattr(kept, key).numpy().copy() for key in MOMENTS}
        for name, kept in optimizer.moments.items()
    }
    return {"type": "adam", "betas": list(optimizer.betas), "eps": optimizer.eps, "parameters": moments}


def make_network(tree: StateTree, n_tokens: int) -> Network:
    """Make the network of `config` and `model` in a tree; raise CorruptStateError naming what does not fit."""
    config = _config(part(tree, "config"), n_tokens)
    model = part(tree, "model")
    # Counted first: the number of layers is only a word until there are arrays for them.
    if len(model) != 3 + 12 * config.n_layers:
        raise CorruptStateError(f"model: {len(model)} arrays, {config.n_layers} layers have {3 + 12 * config.n_layers}")
    wanted = shapes(config)
    for name, shape in wanted.items():
        _check(model.get(name), shape, f"model.{name}")
    network = Network(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(torch.tensor(model[name]))  # a copy: arrays of a file may be read-only
    return network


def restore_optimizer(network: Network, tree: StateTree) -> Adam:
    """Make the optimizer of a tree; raise CorruptStateError naming what does not fit the network."""
    state = part(tree, "optimizer", keys=("type", "betas", "eps", "parameters"))
    betas, eps, moments = state["betas"], state["eps"], part(state, "parameters", "optimizer.")
    if state["type"] != "adam" or type(betas) is not list or len(betas) != 2:
        raise CorruptStateError("optimizer: wanted type adam with two betas")
    if not all(type(b) is float and 0.0 <= b < 1.0 for b in betas) or type(eps) is not float or not 0.0 < eps < 1.0:
        raise CorruptStateError(f"optimizer: betas {betas!r} and eps {eps!r} are not those of an Adam")
    optimizer = Adam(network, (betas[0], betas[1]), eps)
    weights = optimizer.parameters
    if moments and moments.keys() != weights.keys():
        odd = ", ".join(sorted(moments.keys() ^ weights.keys())[:3])
        raise CorruptStateError(f"optimizer.parameters: not those of the model: {odd}")
    for name in weights if moments else ():  # in the model's order, whatever that of the tree
        where = f"optimizer.parameters.{name}"
        kept = part(moments, name, "optimizer.parameters.", keys=("step", *MOMENTS))
        for key in MOMENTS:
            _check(kept[key], tuple(weights[name].shape), f"{where}.{key}")
        if (kept["exp_avg_sq"] < 0).any():
            raise CorruptStateError(f"{where}.exp_avg_sq: holds a negative number, a mean of squares has none")
        mean, square = (torch.tensor(kept[key]) for key in MOMENTS)
        optimizer.moments[name] = Moments(_count(kept, "step", f"{where}."), mean, square)
    return optimizer


def restore_progress(tree: StateTree) -> Progress:
    """Read how far training had come; raise CorruptStateError naming what cannot be."""
    state = part(tree, "trainer", keys=[field.name for field in dataclasses.fields(Progress)])
    losses, digest, loss_sum = state["losses"], state["rows_sha256"], state["loss_sum"]
    counts = {name: _count(state, name, "trainer.") for name in ("epochs", "steps", "position", "loss_tokens")}
    if type(losses) is not list or not all(type(loss) is float and math.isfinite(loss) for loss in losses):
        raise CorruptStateError("trainer.losses: wanted a list of finite floats")
    if len(losses) != counts["epochs"]:
        raise CorruptStateError(f"trainer.losses: {len(losses)} of them for {counts['epochs']} epochs")
    if type(digest) is not str or bool(digest) != bool(counts["position"]):
        raise CorruptStateError("trainer.rows_sha256: goes with a position inside an epoch, and only with one")
    if type(loss_sum) is not float or not math.isfinite(loss_sum):
        raise CorruptStateError(f"trainer.loss_sum: wanted a finite float, got {loss_sum!r}")
    return Progress(losses=list(losses), rows_sha256=digest, loss_sum=loss_sum, **counts)


def restore_seed(tree: StateTree) -> int:
    """Read the seed; raise CorruptStateError when it is none."""
    return _count(part(tree, "rng", keys=["seed"]), "seed", "rng.", 2**63)


def arrangement(tree: StateTree) -> Arrangement:
    """Show the vocabulary under `vocab` and the network as `layers`, with RustGPT's names for both."""
    names = list(tree["model"])
    blocks = [f"blocks.{number}." for number in range(tree["config"]["n_layers"])]
    layers = (
        Layer("Embeddings", _under(names, "token_embeddings", "")),
        *(Layer("TransformerBlock", _under(names, block, block)) for block in blocks),
        Layer("OutputProjection", _under(names, "w_out", "") | _under(names, "b_out", "")),
    )
    return Arrangement(sections={"vocab": "/vocab"}, layers=layers, weights=Weights("/model"))


def _under(names: list[str], begin: str, cut: str) -> dict[str, str]:
    return {name.removeprefix(cut): f"/model/{name}" for name in names if name.startswith(begin)}


def _config(saved: StateTree, n_tokens: int) -> LLMConfig:
    fields = [field.name for field in dataclasses.fields(LLMConfig) if field.name != "n_tokens"]
    same_keys(saved, fields, "config")
    try:
        return LLMConfig(n_tokens, **saved)
    except SettingsError as error:
        raise CorruptStateError(f"config: {error}") from None


def part(tree: Mapping[str, Any], name: str, where: str = "", keys: Sequence[str] | None = None) -> StateTree:
    """Take a dict out of a dict, with exactly `keys` where they are given; raise CorruptStateError when it is not."""
    found = tree.get(name)
    if type(found) is not dict:
        raise CorruptStateError(f"{where}{name}: wanted a dict, got {type(found).__name__}: is this a state of an LLM?")
    if keys is not None:
        same_keys(found, keys, f"{where}{name}")
    return found


def same_keys(found: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Raise CorruptStateError unless a dict has exactly `keys`."""
    if found.keys() != set(keys):
        odd = sorted(map(str, found.keys() ^ set(keys)))
        raise CorruptStateError(f"{where}: wanted {', '.join(keys)}; missing or unknown: {', '.join(odd)[:80]}")


def _check(array: object, shape: tuple[int, ...], where: str) -> None:
    if type(array) is not np.ndarray:
        raise CorruptStateError(f"{where}: wanted an array, got {type(array).__name__}")
    if array.shape != shape or array.dtype != np.float32:
        raise CorruptStateError(f"{where}: saved {list(array.shape)} {array.dtype}, the model is {list(shape)} float32")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise CorruptStateError(f"{where}: element {bad} is {array.flat[bad]}: load an earlier version")


def _count(tree: Mapping[str, Any], name: str, where: str, limit: int = 2**53) -> int:
    value = tree.get(name)
    if type(value) is not int or not 0 <= value < limit:
        raise CorruptStateError(f"{where}{name}: wanted a whole number from 0 to {limit - 1}, got {str(value)[:40]}")
    return value

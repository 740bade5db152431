"""Who saves and loads: the faces of jamais, the real libraries, and replicas of the orders in which others write.

Each saves over what is there, as a training loop does that keeps one newest state.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp

from benchmarks.quality.persistence.states import WORDS, State
from jamais.persistence import VersionStore
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.faces.folder import read_folder, write_folder
from jamais.persistence.faces.json_face import read_json, write_json

JAMAIS, LIBRARY, REPLICA = "jamais", "library", "replica"
TYPE = "GPT"
ARRANGED = Arrangement(
    sections={"vocab": "/vocab"},
    weights=Weights("/model", "encoder."),
    arrays={"detectors/knn_features.npy": "/optimizer/exp_avg/layer0"},
    parts={"config.json": "/config"},
    tokens=WORDS,
)


@dataclass(frozen=True)
class Saver:
    """One way to keep the newest state in a folder. `load` gives what `wanted` gives for the state saved."""

    name: str
    kind: str
    save: Callable[[State, Path], object]
    load: Callable[[Path, State], Any]
    """The state beside the folder is only of the right names and shapes."""
    wanted: Callable[[State], Any] = lambda one: one.arrays
    in_python: bool = True
    """Whether Python makes all calls that write, so that each of them can be stopped."""


def _of_jamais(name: str, save: Callable[[State, Path], object], load: Callable[[Path], Any]) -> Saver:
    return Saver(name, JAMAIS, save, lambda folder, like: load(folder), lambda one: (one.tree(), TYPE))


def _commit(one: State, folder: Path) -> None:
    store = VersionStore(folder / "store")
    store.commit(
        one.tree(), reason=f"generation {one.generation}", kind=TYPE, metrics={"loss": 0.5}, parent=store.current
    )


def _newest(folder: Path, *, full: bool = False) -> tuple[Any, ...]:
    tree, info = VersionStore(folder / "store").load(full=full)
    if info.warnings:  # told aloud: damage was met, and the version before it given
        raise UserWarning(info.warnings[0])
    return tree, info.kind, info.reason, dict(info.metrics), info.number, info.parent


def _committed(one: State) -> tuple[Any, ...]:
    number = one.generation
    return one.tree(), TYPE, f"generation {number}", {"loss": 0.5}, number, number - 1 or None


OURS = (
    _of_jamais(
        "jamais single file",
        lambda one, folder: write_binary(folder / "s.bin", one.tree(), TYPE),
        lambda folder: read_binary(folder / "s.bin"),
    ),
    _of_jamais(
        "jamais JSON numbers",
        lambda one, folder: write_json(folder / "s.json", one.tree(), TYPE, arrangement=ARRANGED),
        lambda folder: read_json(folder / "s.json"),
    ),
    _of_jamais(
        "jamais JSON base64",
        lambda one, folder: write_json(folder / "s.json", one.tree(), TYPE, arrays="base64", arrangement=ARRANGED),
        lambda folder: read_json(folder / "s.json"),
    ),
    _of_jamais(
        "jamais folder",
        lambda one, folder: write_folder(folder / "f", one.tree(), TYPE, arrangement=ARRANGED),
        lambda folder: read_folder(folder / "f"),
    ),
    Saver("jamais store", JAMAIS, _commit, lambda folder, like: _newest(folder), _committed),
)


FOLDER_WITH_BIN = _of_jamais(
    "jamais folder, pytorch_model.bin",
    lambda one, folder: write_folder(folder / "f", one.tree(), TYPE, weights="bin", arrangement=ARRANGED),
    lambda folder: read_folder(folder / "f"),
)
STORE_IN_FULL = Saver(
    "jamais store, load(full=True)", JAMAIS, _commit, lambda folder, like: _newest(folder, full=True), _committed
)


def _tensors(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def _torch_to_file(one: State, folder: Path) -> None:
    with open(folder / "s.pt", "wb") as file:
        torch.save(_tensors(one.arrays), file)


def _safe_load(folder: Path, like: State) -> Any:
    return _in_order(_arrays(safetensors.torch.load_file(folder / "s.safetensors")), like)


def _in_order(found: dict[str, Any], like: State) -> dict[str, Any]:
    """Order by name as in the state: safetensors sorts them."""
    return {**{name: found[name] for name in like.arrays if name in found}, **found}


def _npz_load(folder: Path, like: State) -> Any:
    with np.load(folder / "s.npz") as opened:
        return dict(opened)


def _npy_load(folder: Path, like: State) -> Any:
    return dict(zip(like.arrays, np.load(folder / "s.npy"), strict=True))


def _pickle_save(one: State, folder: Path) -> None:
    with open(folder / "s.pkl", "wb") as file:
        pickle.dump(one.arrays, file, protocol=5)


def _pickle_load(folder: Path, like: State) -> Any:
    with open(folder / "s.pkl", "rb") as file:
        return pickle.load(file)


def _dcp_save(one: State, folder: Path) -> None:
    dcp.save(_tensors(one.arrays), storage_writer=dcp.FileSystemWriter(folder / "d"), no_dist=True)


def _dcp_load(folder: Path, like: State) -> Any:
    found = {name: torch.empty(array.shape) for name, array in like.arrays.items()}
    dcp.load(found, storage_reader=dcp.FileSystemReader(folder / "d"), no_dist=True)
    return _arrays(found)


def _json_save(one: State, folder: Path) -> None:
    (folder / "s.json").write_text(json.dumps({name: array.tolist() for name, array in one.arrays.items()}))


def _json_load(folder: Path, like: State) -> Any:
    found = json.loads((folder / "s.json").read_text())
    return {name: np.array(rows, np.float32) for name, rows in found.items()}


TORCH = Saver(
    "torch.save, torch.load(weights_only)",
    LIBRARY,
    lambda one, folder: torch.save(_tensors(one.arrays), folder / "s.pt"),
    lambda folder, like: _arrays(torch.load(folder / "s.pt", weights_only=True)),
    in_python=False,
)
TORCH_MAPPED = Saver(
    "torch.save, torch.load(mmap)",
    LIBRARY,
    TORCH.save,
    lambda folder, like: _arrays(torch.load(folder / "s.pt", weights_only=True, mmap=True)),
    in_python=False,
)
TORCH_TO_FILE = Saver("torch.save to an opened file", LIBRARY, _torch_to_file, TORCH.load)
SAFETENSORS = Saver(
    "safetensors",
    LIBRARY,
    lambda one, folder: safetensors.torch.save_file(_tensors(one.arrays), folder / "s.safetensors"),
    _safe_load,
    in_python=False,
)
NPZ = Saver("np.savez", LIBRARY, lambda one, folder: np.savez(folder / "s.npz", **one.arrays), _npz_load)  # type: ignore[arg-type]
NPY = Saver(
    "np.save",
    LIBRARY,
    lambda one, folder: np.save(folder / "s.npy", np.stack(list(one.arrays.values()))),
    _npy_load,
)
PICKLE = Saver("pickle", LIBRARY, _pickle_save, _pickle_load)
JOBLIB = Saver(
    "joblib",
    LIBRARY,
    lambda one, folder: joblib.dump(one.arrays, folder / "s.joblib"),
    lambda folder, like: joblib.load(folder / "s.joblib"),
)
DCP = Saver("torch DCP", LIBRARY, _dcp_save, _dcp_load)
JSON = Saver("json.dumps of lists", LIBRARY, _json_save, _json_load)

LIBRARIES = (TORCH, TORCH_MAPPED, SAFETENSORS, NPZ, NPY, PICKLE, JOBLIB, DCP, JSON)


# --- replicas: the order of writing, read in the source or the text, with libraries of today


def _seed_save(one: State, folder: Path) -> None:
    """Write a folder of seed 000 in place: config, weights, vocabulary, then what each detector has fitted."""
    (folder / "m" / "detectors").mkdir(parents=True, exist_ok=True)
    (folder / "m" / "config.json").write_text(json.dumps({"generation": one.generation}))
    names = list(one.arrays)
    with open(folder / "m" / "pytorch_model.bin", "wb") as file:
        torch.save(_tensors({name: one.arrays[name] for name in names[::3]}), file)
    (folder / "m" / "vocab.txt").write_text("\n".join(f"{one.generation} {i}" for i in range(50)))
    for name in [*names[1::3], *names[2::3]]:
        np.save(folder / "m" / "detectors" / f"{name}_features.npy", one.arrays[name])
        about = json.dumps({"generation": one.generation, "fitted": True})
        (folder / "m" / "detectors" / f"{name}_params.json").write_text(about)
    (folder / "m" / "detectors" / "detector_config.json").write_text(json.dumps({"generation": one.generation}))


def _seed_load(folder: Path, like: State) -> Any:
    inside = folder / "m"
    found = _arrays(torch.load(inside / "pytorch_model.bin", weights_only=True))
    words = (inside / "vocab.txt").read_text().split("\n")
    assert len(words) == 50
    generations = {int(word.split()[0]) for word in words}
    for path in [inside / "config.json", *(inside / "detectors").glob("*.json")]:
        generations.add(json.loads(path.read_text())["generation"])
    for name in set(like.arrays) - set(found):
        found[name] = np.load(inside / "detectors" / f"{name}_features.npy")
    return (_in_order(found, like), sorted(generations))


def _trainer_save(one: State, folder: Path) -> None:
    """Write a new checkpoint-N in place, as transformers' Trainer does; the highest number counts."""
    inside = folder / f"checkpoint-{one.generation}"
    inside.mkdir(exist_ok=True)
    for file, part in (("model.safetensors", "w"), ("optimizer.pt", "mv")):
        arrays = {name: array for name, array in one.arrays.items() if name[-1] in part}
        if file == "optimizer.pt":
            with open(inside / file, "wb") as opened:
                torch.save(_tensors(arrays), opened)
        else:
            (inside / file).write_bytes(safetensors.torch.save(_tensors(arrays)))
    (inside / "trainer_state.json").write_text(json.dumps({"generation": one.generation}))


def _trainer_load(folder: Path, like: State) -> Any:
    newest = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    found = _arrays(safetensors.torch.load_file(newest / "model.safetensors"))
    found |= _arrays(torch.load(newest / "optimizer.pt", weights_only=True))
    return _in_order(found, like), [json.loads((newest / "trainer_state.json").read_text())["generation"]]


def _rust_save(one: State, folder: Path) -> None:
    """Write two files, each: temporary, flush, remove the old, rename: RustGPT-Chinese's CheckpointManager."""
    about = json.dumps({"generation": one.generation}).encode()
    for name, data in (("last.bin", pickle.dumps(one.arrays)), ("last.json", about)):
        with open(folder / f"{name}.tmp", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if (folder / name).exists():
            os.remove(folder / name)
        os.rename(folder / f"{name}.tmp", folder / name)


def _rust_load(folder: Path, like: State) -> Any:
    generation = json.loads((folder / "last.json").read_text())["generation"]
    return pickle.loads((folder / "last.bin").read_bytes()), [generation]


def _renamed(*, flush: bool) -> Callable[[State, Path], None]:
    def save(one: State, folder: Path) -> None:
        handle = os.open(folder / ".s.pkl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(handle, pickle.dumps(one.arrays))
        if flush:
            os.fsync(handle)
        os.close(handle)
        os.rename(folder / ".s.pkl", folder / "s.pkl")

    return save


def _with_generation(one: State) -> Any:
    return one.arrays, [one.generation]


SEED = Saver("seed 000: a folder written in place", REPLICA, _seed_save, _seed_load, _with_generation)
TRAINER = Saver("HF Trainer: checkpoint-N in place", REPLICA, _trainer_save, _trainer_load, _with_generation)
RUST = Saver("RustGPT-Chinese: flush, remove, rename", REPLICA, _rust_save, _rust_load, _with_generation)
RENAMED = Saver("temporary, rename (safetensors 0.8)", REPLICA, _renamed(flush=False), _pickle_load)
FLUSHED = Saver("temporary, flush, rename", REPLICA, _renamed(flush=True), _pickle_load)
REPLICAS = (SEED, TRAINER, RUST, RENAMED)

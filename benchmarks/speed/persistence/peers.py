"""How do others save and load: the floor (bytes and nothing else), torch, safetensors, DCP, numpy, joblib, pickle.

None of them flushes the files and the folder that it writes (DCP: the files); whoever measures does.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open

from benchmarks.speed.persistence.state import Maker, State, paths
from benchmarks.speed.persistence.ways import Load, Way

Arrays = Mapping[str, Any]


def _raw_write(state: State, folder: Path) -> None:
    handle = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    for array in state.arrays.values():
        rest = _bytes(array)
        while rest:
            rest = rest[os.write(handle, rest) :]
    os.close(handle)


def _raw_read(state: State, folder: Path) -> Arrays:
    handle = os.open(folder / "raw", os.O_RDONLY)
    found: dict[str, Any] = {}
    for name, array in state.arrays.items():
        found[name] = np.empty(array.shape, array.dtype)
        rest = _bytes(found[name])
        while rest:
            rest = rest[os.readv(handle, [rest]) :]
    os.close(handle)
    return found


def _bytes(array: Any) -> memoryview:
    return memoryview(array).cast("B")


FLOOR = Way(
    "floor: raw write",
    lambda state: state,
    _raw_write,
    (Load("floor: raw read", _raw_read),),
)


def _clones(tensors: Arrays) -> Arrays:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _torch_first(folder: Path) -> Any:
    return torch.load(folder / "s.pt", weights_only=True, mmap=True)[paths()["flat"]].clone()


TORCH = Way(
    "torch.save",
    lambda state: state.tensors(),
    lambda tensors, folder: torch.save(tensors, folder / "s.pt"),
    (
        Load("torch.load(weights_only)", lambda state, folder: torch.load(folder / "s.pt", weights_only=True)),
        Load(
            "torch.load(mmap), cloned",
            lambda state, folder: _clones(torch.load(folder / "s.pt", weights_only=True, mmap=True)),
        ),
    ),
    {"torch.load(mmap)": _torch_first},
)


def _safe_first(folder: Path) -> Any:
    with safe_open(folder / "s.safetensors", "pt") as opened:
        return opened.get_tensor(paths()["flat"]).clone()


SAFETENSORS = Way(
    "safetensors save_file",
    lambda state: state.tensors(),
    lambda tensors, folder: safetensors.torch.save_file(tensors, folder / "s.safetensors"),
    (
        Load(
            "safetensors load_file, cloned",
            lambda state, folder: _clones(safetensors.torch.load_file(folder / "s.safetensors")),
        ),
        Load(
            "safetensors load_file(pread)",
            lambda state, folder: safetensors.torch.load_file(folder / "s.safetensors", backend="pread"),
        ),
    ),
    {"safetensors safe_open": _safe_first},
)


def _dcp_save(tensors: Arrays, folder: Path) -> None:
    dcp.save(tensors, storage_writer=dcp.FileSystemWriter(folder / "d"), no_dist=True)


def _dcp_load(state: State, folder: Path) -> Arrays:
    found = {name: torch.empty(array.shape) for name, array in state.arrays.items()}
    dcp.load(found, storage_reader=dcp.FileSystemReader(folder / "d"), no_dist=True)
    return found


def _dcp_first(folder: Path) -> Any:
    wanted = {paths()["flat"]: torch.empty(2048, 512)}
    dcp.load(wanted, storage_reader=dcp.FileSystemReader(folder / "d"), no_dist=True)
    return wanted[paths()["flat"]]


DCP = Way(
    "torch DCP save",
    lambda state: state.tensors(),
    _dcp_save,
    (Load("torch DCP load", _dcp_load),),
    {"torch DCP load, one key": _dcp_first},
)

NPZ = Way(
    "np.savez",
    lambda state: state.arrays,
    lambda arrays, folder: np.savez(folder / "s.npz", **arrays),
    (Load("np.load, all", lambda state, folder: dict(np.load(folder / "s.npz"))),),
    {"np.load, one key": lambda folder: np.load(folder / "s.npz")[paths()["flat"]]},
)

JOBLIB = Way(
    "joblib.dump",
    lambda state: state.arrays,
    lambda arrays, folder: joblib.dump(arrays, folder / "s.joblib"),
    (Load("joblib.load", lambda state, folder: joblib.load(folder / "s.joblib")),),
    {"joblib.load(mmap)": lambda folder: np.array(joblib.load(folder / "s.joblib", mmap_mode="r")[paths()["flat"]])},
)


def _pickle_save(arrays: Arrays, folder: Path) -> None:
    with open(folder / "s.pkl", "wb") as file:
        pickle.dump(arrays, file, protocol=5)


def _pickle_load(state: State, folder: Path) -> Arrays:
    with open(folder / "s.pkl", "rb") as file:
        found: Arrays = pickle.load(file)
    return found


PICKLE = Way(
    "pickle.dump",
    lambda state: state.arrays,
    _pickle_save,
    (Load("pickle.load", _pickle_load),),
)


def _orjson_save(arrays: Arrays, folder: Path) -> None:
    (folder / "s.json").write_bytes(orjson.dumps(arrays, option=orjson.OPT_SERIALIZE_NUMPY))


def _orjson_load(state: State, folder: Path) -> Arrays:
    lists = orjson.loads((folder / "s.json").read_bytes())
    return {name: np.asarray(rows, np.float32) for name, rows in lists.items()}


ORJSON = Way(
    "orjson, lists of numbers (no NaN, no dtype)",
    lambda state: state.arrays,
    _orjson_save,
    (Load("orjson, lists of numbers", _orjson_load),),
)


class Async:
    """The time for which the caller of DCP's own background save is held up."""

    name = "torch DCP async_save"

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def before(self, folder: Path) -> tuple[Arrays, Path]:
        return self._maker.state().tensors(), folder

    def work(self, prepared: tuple[Arrays, Path]) -> Any:
        tensors, folder = prepared
        return dcp.async_save(dict(tensors), storage_writer=dcp.FileSystemWriter(folder / "d"), no_dist=True)

    def after(self, saving: Any) -> dict[str, float]:
        saving.result()
        return {}


ALL = (TORCH, SAFETENSORS, DCP, NPZ, JOBLIB, PICKLE)

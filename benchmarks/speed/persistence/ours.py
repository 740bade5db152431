"""How does jamais save and load the same state: one file, a store of versions, a folder, JSON, in the background?"""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.persistence.state import Maker, State, paths
from benchmarks.speed.persistence.ways import Arrays, Load, Way
from jamais.persistence import VersionStore
from jamais.persistence.background import BackgroundSaver
from jamais.persistence.faces.binary import open_binary, read_binary, write_binary
from jamais.persistence.faces.folder import read_folder, write_folder
from jamais.persistence.faces.json_face import read_json, write_json

TYPE = "GPT"
FILE, STORE = "s.safetensors", "store"


def flat(tree: dict[str, Any]) -> Arrays:
    """Give the arrays of a tree by the names that they have in the state."""
    return {
        **{f"model/{name}": array for name, array in tree["model"].items()},
        **{f"{part}/{name}": a for part in ("exp_avg", "exp_avg_sq") for name, a in tree["optimizer"][part].items()},
        "memory/rows": tree["memory"]["rows"],
    }


def commit(tree: Any, folder: Path, parent: int | None = None) -> int:
    """Add a version to the store in `folder`."""
    return VersionStore(folder / STORE).commit(tree, reason="benchmark", kind=TYPE, parent=parent)


def _first(folder: Path) -> Any:
    with open_binary(folder / FILE) as opened:
        return opened.array(paths()["tree"])


SINGLE = Way(
    "jamais single file",
    State.tree,
    lambda tree, folder: write_binary(folder / FILE, tree, TYPE),
    (Load("jamais single file", lambda state, folder: flat(read_binary(folder / FILE)[0])),),
    {"jamais open_binary().array": _first},
    durable=True,
)
SINGLE_SHA = Way(
    "jamais single file, sha256",
    State.tree,
    lambda tree, folder: write_binary(folder / FILE, tree, TYPE, digest="sha256"),
    (Load("jamais single file, sha256", lambda state, folder: flat(read_binary(folder / FILE)[0])),),
    durable=True,
)
COMMIT = Way(
    "jamais store, first commit",
    State.tree,
    commit,
    (
        Load("jamais store.load", lambda state, folder: flat(VersionStore(folder / STORE).load()[0])),
        Load("jamais store.load(full)", lambda state, folder: flat(VersionStore(folder / STORE).load(1, full=True)[0])),
    ),
    durable=True,
)
FOLDER = Way(
    "jamais folder",
    State.tree,
    lambda tree, folder: write_folder(folder / "f", tree, TYPE),
    (Load("jamais folder", lambda state, folder: flat(read_folder(folder / "f")[0])),),
    durable=True,
)


def _json(arrays: str) -> Way:
    def write(tree: Any, folder: Path) -> None:
        write_json(folder / "s.json", tree, TYPE, arrays=arrays, force=True)

    name = f"jamais JSON, {arrays}"
    load = Load(name, lambda state, folder: flat(read_json(folder / "s.json")[0]))
    return Way(name, State.tree, write, (load,), durable=True)


JSON = (_json("base64"), _json("numbers"))
ALL = (SINGLE, SINGLE_SHA, COMMIT, FOLDER)


class MemoryOnly:
    """A commit after the memory has grown by some rows and nothing else has changed."""

    name = "jamais store, commit after memory grew"

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def before(self, folder: Path) -> tuple[Any, Path, set[Path]]:
        commit(self._maker.state().tree(), folder)
        return self._maker.state(grown=True).tree(), folder, set(folder.rglob("*"))

    def work(self, prepared: tuple[Any, Path, set[Path]]) -> tuple[Path, set[Path]]:
        tree, folder, old = prepared
        commit(tree, folder, parent=1)
        return folder, old

    def after(self, result: tuple[Path, set[Path]]) -> dict[str, float]:
        folder, old = result
        new = {path for path in folder.rglob("*") if path.is_file()} - old
        return {"written": float(sum(path.stat().st_size for path in new))}


class Background:
    """The time for which the caller of a background save is held up; `again`: its buffers are there already."""

    def __init__(self, maker: Maker, *, again: bool) -> None:
        self.name = "jamais background save, " + ("later" if again else "first")
        self._maker = maker
        self._again = again

    def before(self, folder: Path) -> tuple[BackgroundSaver, Any]:
        saver = BackgroundSaver(VersionStore(folder / STORE))
        if self._again:
            saver.commit(self._maker.state().tree(), reason="benchmark", kind=TYPE)
            saver.wait()
        return saver, self._maker.state(1).tree()

    def work(self, prepared: tuple[BackgroundSaver, Any]) -> BackgroundSaver:
        saver, tree = prepared
        saver.commit(tree, reason="benchmark", kind=TYPE)
        return saver

    def after(self, saver: BackgroundSaver) -> dict[str, float]:
        saver.close()
        return {}


class Training:
    """By how much a training loop on one thread is later because a background save with warm buffers ran beside it."""

    name = "jamais background save, delay of a training loop"
    _USUAL_S = 1.0

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def before(self, folder: Path) -> tuple[BackgroundSaver, Any, float]:
        saver, tree = Background(self._maker, again=True).before(folder)
        _step()  # whatever torch does only once
        seconds, end = [], time.perf_counter() + self._USUAL_S
        while time.perf_counter() < end:
            seconds.append(_step())
        return saver, tree, statistics.fmean(seconds)

    def work(self, prepared: tuple[BackgroundSaver, Any, float]) -> float:
        saver, tree, usual = prepared
        begin = time.perf_counter()
        saver.commit(tree, reason="benchmark", kind=TYPE)
        steps = 0
        while any(thread.name == "jamais-save" for thread in threading.enumerate()):
            _step()
            steps += 1
        late = time.perf_counter() - begin - steps * usual
        saver.close()
        return late

    def after(self, late: float) -> dict[str, float]:
        return {"wall": max(late, 0.0)}


def _step() -> float:
    begin = time.perf_counter()
    for _ in range(5):
        torch.mm(*_MATRICES)
    return time.perf_counter() - begin


_MATRICES = (torch.ones(256, 256), torch.ones(256, 256))

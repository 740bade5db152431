"""What does kill -9 leave when it comes in the middle of saving over what is there?

Two ways: at every call that changes the disk, where Python makes these calls; and at random moments, for everybody,
which is the only way to stop a library that writes from C++ or Rust.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.quality.persistence.damage import Counts
from benchmarks.quality.persistence.savers import (
    DCP,
    JOBLIB,
    JSON,
    NPZ,
    OURS,
    PICKLE,
    REPLICAS,
    SAFETENSORS,
    TORCH,
    TORCH_TO_FILE,
    Saver,
)
from benchmarks.quality.persistence.states import Size, State, state
from benchmarks.quality.persistence.steps import watched
from benchmarks.quality.persistence.trials import Worker, count

OLD, NEW = "old", "new"
SMALL, LARGE = Size(layers=4, rows=32, width=32), Size(layers=10, rows=256, width=512)
EVERY_CALL = (*OURS, TORCH_TO_FILE, NPZ, PICKLE, JOBLIB, DCP, JSON, *REPLICAS)
AT_RANDOM = (*OURS, TORCH, SAFETENSORS, NPZ, PICKLE, JOBLIB, DCP, *REPLICAS)


def at_every_call(savers: Sequence[Saver], points: int, cache: Path) -> Iterator[Counts]:
    """Kill at each call, or at so many of them, evenly spread."""
    for saver in savers:
        base, known = _base(saver, SMALL, cache)
        n_calls = _calls(saver, known[NEW], base, cache / "run")
        step = max(1, n_calls / points)
        counts: dict[str, int] = {}
        for i in range(min(points, n_calls)):
            folder = _copy(base, cache / "run")
            _killed_at_call(saver, known[NEW], folder, 1 + int(i * step))
            _look(saver, folder, known, counts)
        name = (
            f"kill -9 at every one of {n_calls} calls"
            if n_calls <= points
            else f"kill -9 at {points} of {n_calls} calls"
        )
        yield Counts("crash", name, saver.name, saver.kind, sum(counts.values()), counts)


def at_random(savers: Sequence[Saver], kills: int, cache: Path, seed: int = 0) -> Iterator[Counts]:
    """Kill after a random share of the time that a save takes."""
    pick = random.Random(seed)
    for saver in savers:
        base, known = _base(saver, LARGE, cache)
        usual = statistics.median(_killed_after(saver, known[NEW], _copy(base, cache / "run"), None) for _ in range(3))
        counts: dict[str, int] = {}
        while sum(counts.values()) < kills:
            folder = _copy(base, cache / "run")
            if _killed_after(saver, known[NEW], folder, pick.uniform(0, usual)) < 0:
                _look(saver, folder, known, counts)
        yield Counts("crash", "kill -9 at a random moment", saver.name, saver.kind, kills, counts)


def _base(saver: Saver, size: Size, cache: Path) -> tuple[Path, dict[str, State]]:
    base = cache / "base"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    known = {OLD: state(1, size), NEW: state(2, size)}
    saver.save(known[OLD], base)
    return base, known


def _copy(base: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def _look(saver: Saver, folder: Path, known: dict[str, State], counts: dict[str, int]) -> None:
    with Worker(saver, folder, known) as worker:
        count(counts, worker.look())


def _calls(saver: Saver, new: State, base: Path, folder: Path) -> int:
    """Count the calls of a save that runs to its end."""
    _copy(base, folder)
    n = 0

    def step() -> None:
        nonlocal n
        n += 1

    with watched(step):
        saver.save(new, folder)
    with Worker(saver, folder, {NEW: new}) as worker:
        assert worker.look() == NEW, f"{saver.name}: under watch it saves something else"
    return n


def _killed_at_call(saver: Saver, new: State, folder: Path, n: int) -> None:
    child = os.fork()
    if child == 0:
        left = n

        def step() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        _quiet()
        with watched(step):
            saver.save(new, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{saver.name}: call {n} never came"


def _killed_after(saver: Saver, new: State, folder: Path, seconds: float | None) -> float:
    """Kill a save so long after its begin (None: never); give how long it took, a negative number if killed."""
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        _quiet()
        os.write(begun, b".")
        try:
            saver.save(new, folder)
        finally:
            os._exit(0)
    os.read(ready, 1)
    begin = time.perf_counter()
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(begun)
    return -1.0 if os.WIFSIGNALED(status) else time.perf_counter() - begin


def _quiet() -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)

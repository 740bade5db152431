"""What is on the disk when a commit is killed, refused or raced? Run as a program by test_crash.py.

crash_child.py kill BASE OUT WHAT  for n = 1, 2, …: copy BASE to OUT/n, do WHAT there, SIGKILL at step n
crash_child.py limit STORE BYTES  commit under RLIMIT_FSIZE
crash_child.py stranger STORE     commit as a user who may not write there
crash_child.py race STORE ROUNDS  two processes commit on the same parent at the same moment
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.random  # now: a user without rights may not be able to import it later

from jamais.errors import JamaisError, StaleVersionError
from jamais.persistence import Retention, VersionStore

STEPS = ["open", "write", "fsync", "rename", "link", "mkdir", "unlink", "rmdir", "close"]


def tree(seed: int) -> dict[str, Any]:
    """Make a state with an own-file part that never changes (seed 0's) and parts that do."""
    rng = np.random.default_rng(seed)
    return {
        "encoder": {"w": np.random.default_rng(0).random((90, 100))},
        "memory": {"rows": rng.random((70, 130)), "n": np.array(seed)},
        "lines": [f"line {seed} {i} 日本" for i in range(50)],
        "rng": rng.bit_generator.state,
    }


def patched(step: Callable[[str], None]) -> None:
    """Call `step(name)` before every call in STEPS, and between the two halves of a write."""

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            step(name)
            return real(*args, **kwargs)

        return call

    real_write = os.write

    def write(handle: int, data: Any) -> int:
        step("write")
        half = len(data) // 2
        done = real_write(handle, data[:half])
        step("write")
        return done + real_write(handle, data[half:])

    for name in STEPS:
        setattr(os, name, write if name == "write" else wrap(name, getattr(os, name)))


def commit(store: VersionStore, parent: int | None) -> None:
    store.commit(tree(2), reason="new", kind="logs", parent=parent)


def commit_and_tidy(store: VersionStore, parent: int | None) -> None:
    store.commit(tree(2), reason="new", kind="logs", parent=parent, refs=["best", "stable"], keep=Retention(latest=1))


def promote(store: VersionStore, parent: int | None) -> None:
    store.promote("best", parent, reason="it is")


def tidy(store: VersionStore, parent: int | None) -> None:
    store.gc(Retention(latest=1))


WORKS = {one.__name__: one for one in (commit, commit_and_tidy, promote, tidy)}


def kill(base: Path, out: Path, work: str) -> None:
    n = 0
    while True:
        n += 1
        store = out / f"{n:03d}"
        if base.exists():
            shutil.copytree(base, store)
        child = os.fork()
        if child == 0:
            left = [n]

            def step(name: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            opened = VersionStore(store)
            parent = opened.current
            patched(step)
            WORKS[work](opened, parent)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WIFSIGNALED(status), f"step {n} ended with {status}"


def limit(store: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    _say_error(store)


def stranger(store: Path) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    _say_error(store)


def _say_error(store: Path) -> None:
    opened = VersionStore(store)
    try:
        opened.load()
        opened.history()
        opened.commit(tree(2), reason="new", kind="logs", parent=opened.current)
    except JamaisError as error:
        print(type(error).__name__, error)


def race(store: Path, rounds: int) -> None:
    fork = multiprocessing.get_context("fork")
    for _ in range(rounds):
        parent = VersionStore(store).current
        start = fork.Barrier(2)
        both = [fork.Process(target=_racer, args=(store, parent, start, seed)) for seed in (3, 4)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        print(sorted(one.exitcode or 0 for one in both))


def _racer(store: Path, parent: int | None, start: Any, seed: int) -> None:
    start.wait()
    try:
        VersionStore(store).commit(tree(seed), reason=f"racer {seed}", kind="logs", parent=parent)
    except StaleVersionError:
        os._exit(7)
    os._exit(0)


if __name__ == "__main__":
    mode, first, *rest = sys.argv[1:]
    if mode == "kill":
        kill(Path(first), *map(Path, rest[:1]), rest[1])
    elif mode == "limit":
        limit(Path(first), int(rest[0]))
    elif mode == "stranger":
        stranger(Path(first))
    else:
        race(Path(first), int(rest[0]))

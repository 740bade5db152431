"""What is left when `jamais learn` or `feedback` is killed, or the disk is full? Run as a program by its test.

killed_update_child.py kill WATCHER OUT STRIDE ARGUMENT…    for n = 1, 1 + STRIDE, …: copy WATCHER to OUT/n, run
    `jamais ARGUMENT…` there (W names the copy), SIGKILL before the n-th step that changes the disk
killed_update_child.py full WATCHER OUT STRIDE ARGUMENT…    the same, but from the n-th step on the disk is full
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy.random  # noqa: F401 before the calls below are wrapped
import polars  # noqa: F401
from tests.persistence.crash_child import patched

import jamais.recipes.embeddings.recipe
import jamais.recipes.logs.recipe  # noqa: F401
from jamais.cli.main import run

QUIET = ("open", "close")
"""Steps that change nothing on the disk."""
FREEING = ("unlink", "rmdir", "rename", *QUIET)
"""Steps that a full disk allows."""


def in_child(work: Callable[[], int], said: Path) -> int:
    """Run `work` in a process of its own, its words going to a file; give how it ended, as `waitpid` does."""
    child = os.fork()
    if child == 0:
        handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return os.waitpid(child, 0)[1]


def killed_at(n: int, arguments: list[str]) -> int:
    left = [n]

    def step(name: str) -> None:
        left[0] -= name not in QUIET
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    patched(step)
    return run(arguments)


def full_from(n: int, arguments: list[str]) -> int:
    left = [n]

    def step(name: str) -> None:
        left[0] -= name not in QUIET
        if left[0] <= 0 and name not in FREEING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patched(step)
    return run(arguments)


def main(way: Callable[[int, list[str]], int], watcher: Path, out: Path, stride: int, arguments: list[str]) -> None:
    n = 1
    while True:
        copy = out / f"{n:04d}"
        shutil.copytree(watcher, copy)
        here = [str(copy) if one == "W" else one for one in arguments]
        status = in_child(lambda n=n, here=here: way(n, here), out / f"{n:04d}.said")  # type: ignore[misc]
        print(n, status)
        if status == 0:
            return
        n += stride


if __name__ == "__main__":
    way = {"kill": killed_at, "full": full_from}[sys.argv[1]]
    main(way, Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])

"""What is on the disk when the replacement of a folder is killed? Run as a program by test_folder_crash.py.

folder_crash_child.py BASE OUT STRIDE    for n = 1, 1 + STRIDE, …: copy BASE to OUT/n/f, save there, SIGKILL at step n
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path

from crash_child import patched
from folder_states import ARRANGEMENT, state

from jamais.persistence.faces.folder import write_folder


def kill(base: Path, out: Path, stride: int) -> None:
    for n in itertools.count(1, stride):
        target = out / f"{n:03d}" / "f"
        target.parent.mkdir(parents=True)
        if base.exists():
            shutil.copytree(base, target)
        child = os.fork()
        if child == 0:
            left = [n]

            def step(name: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            new = state(2)
            patched(step)
            write_folder(target, new, "thing", arrangement=ARRANGEMENT)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WIFSIGNALED(status), f"step {n} ended with {status}"


if __name__ == "__main__":
    kill(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))

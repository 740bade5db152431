"""What does one shell command cost: wall, CPU of all its threads, peak RAM?

The kernel counts a child's peak from the RAM of the parent that forked it, so the measuring process must stay
small: this file and its caller import nothing but the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """What a finished command took."""

    wall: float
    cpu: float
    peak_mb: float


class CommandFailedError(RuntimeError):
    """The measured command ended with another code than 0."""


def measure(command: Sequence[str], *, stdin: int | None = None, stdout: Path | None = None) -> Cost:
    """Run `command` to its end, its stdout into a file or nowhere.

    Raises CommandFailedError with the end of its stderr.
    """
    with stdout.open("w") if stdout else open(os.devnull, "w") as sink:
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdin=stdin, stdout=sink, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert child.stderr is not None
        complaint = child.stderr.read()  # to its end, so that a talkative child never blocks
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise CommandFailedError(f"{' '.join(command)} ended with {child.returncode}: {complaint[-2000:]}")
    peak_mb = usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak_mb=peak_mb)

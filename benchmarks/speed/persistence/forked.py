"""What does one piece of work cost: wall, CPU of all its threads, peak RAM above what was there?

Each is measured in a forked child: it has the state and all libraries in memory, and no heap that an earlier piece
of work has warmed.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What it took; `found` is what the work wants to tell beside."""

    wall: float
    cpu: float
    extra_mb: float
    found: dict[str, Any]


class WorkFailedError(RuntimeError):
    """The measured work raised an error."""


def measured(
    work: Callable[[Any], Any],
    *,
    before: Callable[[], Any] = lambda: None,
    after: Callable[[Any], dict[str, Any]] = lambda result: {},
) -> Cost:
    """Run `after(work(before()))` in a child and measure `work`; raise WorkFailedError with the child's words."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        try:
            said = json.dumps(_run(work, before, after))
        except BaseException:
            said = json.dumps(traceback.format_exc())
        with os.fdopen(send, "w") as pipe:
            pipe.write(said)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    answer = json.loads(said) if said else f"it ended with status {status}"
    if isinstance(answer, str):
        raise WorkFailedError(answer)
    return Cost(**answer)


def _run(work: Any, before: Any, after: Any) -> dict[str, Any]:
    prepared = before()
    os.sync()  # what others have left in memory is not this work's to flush
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    present = _status_mb("VmRSS")
    used = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    result = work(prepared)
    wall = time.perf_counter() - begin
    now = resource.getrusage(resource.RUSAGE_SELF)
    peak = _status_mb("VmHWM")
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return {"wall": wall, "cpu": cpu, "extra_mb": peak - present, "found": after(result)}


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field))) / 1024

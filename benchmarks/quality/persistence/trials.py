"""What comes out of a folder: the state that was saved, silently another one, an error, or a dead process?

Loads run in a worker, so that one that dies, hangs or eats memory is a result like any other.
"""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.quality.persistence.savers import JAMAIS, Saver
from benchmarks.quality.persistence.states import State, same
from jamais.errors import JamaisError

ERROR, UNTIDY, SILENT, DIED = "error", "untidy error", "silent", "died"
"""Silent: it loads, and it is no state that was ever saved. Untidy: jamais raised what is not an error of its own."""
_SECONDS = 60.0
_MEMORY = 8 << 30


class Worker:
    """Loads from one folder when asked, in a process that is started anew when it dies. Use it in a `with` block."""

    def __init__(self, saver: Saver, folder: Path, known: Mapping[str, State]) -> None:
        self._saver = saver
        self._folder = folder
        self._known = {name: saver.wanted(one) for name, one in known.items()}
        self._like = next(iter(known.values()))
        self._child = 0

    def look(self) -> str:
        """Load, and name what came: one of the known states, or an outcome from above."""
        if not self._child:
            self._start()
        os.write(self._ask, b"?")
        ready, _, _ = select.select([self._answer], [], [], _SECONDS)
        said = os.read(self._answer, 100).decode() if ready else ""
        if not said:
            self.close()
            return DIED
        return said

    def close(self) -> None:
        """End the process."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            os.close(self._ask)
            os.close(self._answer)
            self._child = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        asked, self._ask = os.pipe()
        self._answer, answers = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._ask)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 2)
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            while os.read(asked, 1):
                os.write(answers, self._judge().encode())
            os._exit(0)
        os.close(asked)
        os.close(answers)

    def _judge(self) -> str:
        try:
            found: Any = self._saver.load(self._folder, self._like)
            for name, wanted in self._known.items():
                if same(found, wanted):
                    return name
        except (JamaisError, UserWarning):
            return ERROR
        except BaseException:
            return UNTIDY if self._saver.kind == JAMAIS else ERROR
        return SILENT


def count(counts: dict[str, int], outcome: str) -> None:
    """Add one to what has been counted."""
    counts[outcome] = counts.get(outcome, 0) + 1

"""Is each hostile file refused in under a second, with an error of our own, nothing run and nothing large allocated?"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.persistence.corpus import Case
from benchmarks.quality.persistence.forgery import MARKER, empty_folder
from benchmarks.quality.persistence.savers import JAMAIS
from benchmarks.speed.persistence.forked import WorkFailedError, measured
from jamais.errors import JamaisError

SECONDS, SPARE_MB = 1.0, 64.0
"""What is allowed: the time, and memory beyond the size of the file, the same that a save may take."""
REFUSED, OTHERWISE, LOADED, HUNG = "refused", "refused in another way", "loaded", "hung or died"
TRIES = 3
"""What is too slow or too large is tried again, and the fastest counts: other work on the machine is not its fault."""
_PATIENCE_S = 60


@dataclass(frozen=True)
class Met:
    """What happened to one hostile file."""

    face: str
    case: str
    method: str
    outcome: str
    says: str
    code_ran: bool
    seconds: float
    extra_mb: float
    file_mb: float

    @property
    def ok(self) -> bool:
        """Whether this is what jamais promises."""
        modest = self.seconds < SECONDS and self.extra_mb <= self.file_mb + SPARE_MB
        return self.outcome == REFUSED and modest and not self.code_ran


def met(cases: Iterable[Case], cache: Path) -> Iterator[Met]:
    """Let everybody read what was made for them."""
    for case in cases:
        folder = empty_folder(cache / "hostile")
        case.make(folder)
        file_mb = max((_claimed(path) for path in folder.rglob("*")), default=0) / 2**20
        for method, read in case.readers.items():
            yield _met(case, method, read, folder, file_mb)
        shutil.rmtree(folder)


def _met(case: Case, method: str, read: Callable[[Path], Any], folder: Path, file_mb: float) -> Met:
    marker = folder / MARKER
    one: Met | None = None
    for _ in range(TRIES):
        found = Met(case.face, case.name, method, *_once(read, folder, marker), file_mb=file_mb)
        one = found if one is None or found.seconds < one.seconds else one
        if one.ok or method != JAMAIS:
            break
    assert one is not None
    return one


def _once(read: Callable[[Path], Any], folder: Path, marker: Path) -> tuple[str, str, bool, float, float]:
    try:
        cost = measured(lambda _: _tried(read, folder), after=lambda said: {"said": said})
        outcome, says = cost.found["said"]
        seconds, extra_mb = cost.wall, max(0.0, cost.extra_mb)
    except WorkFailedError as error:
        outcome, says, seconds, extra_mb = HUNG, str(error), float(_PATIENCE_S), 0.0
    ran = marker.exists()
    if ran:
        marker.rmdir()
    return outcome, says, ran, seconds, extra_mb


def _tried(read: Callable[[Path], Any], folder: Path) -> tuple[str, str]:
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    signal.alarm(_PATIENCE_S)
    try:
        read(folder)
    except JamaisError as error:
        return REFUSED, _short(error, folder)
    except BaseException as error:
        return OTHERWISE, type(error).__name__
    return LOADED, ""


def _short(error: BaseException, folder: Path) -> str:
    return f"{type(error).__name__}: {error}".replace(str(folder), "…").replace("\n", " ")[:160]


def _claimed(path: Path) -> int:
    return path.lstat().st_size if path.is_file() and not path.is_symlink() else 0

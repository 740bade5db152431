"""In which states can a power cut leave the disk while a save replaces an older one, and does each of them load?

The disk is the model of the tests (tests/persistence/power_model.py): certain is the content of a file as of its last
flush, and the names in a folder as of that folder's last flush; of later changes of names any prefix may have
happened, of later data nothing, half or all. Every state that can be reached after any call is made real and loaded.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.quality.persistence.crash import NEW, OLD
from benchmarks.quality.persistence.damage import Counts
from benchmarks.quality.persistence.savers import FLUSHED, OURS, RENAMED, Saver
from benchmarks.quality.persistence.states import Size, state
from benchmarks.quality.persistence.trials import Worker, count
from jamais.persistence import files

MODEL = Path(__file__).resolve().parents[3] / "tests" / "persistence"
DURING, AFTER = "power cut during a save", "power cut after the save has returned"
SIZE = Size(layers=1, rows=16, width=16)
SAVERS = (*OURS, RENAMED, FLUSHED)
_CALLS = ("open", "write", "lseek", "fsync", "rename", "link", "mkdir", "unlink", "rmdir")


def power_cuts(savers: Sequence[Saver], cache: Path) -> Iterator[Counts]:
    """Count what loads from each state reachable during a save, and from those reachable once it has returned."""
    for saver in savers:
        root = cache / "disk"
        root.mkdir()
        known = {OLD: state(1, SIZE), NEW: state(2, SIZE)}
        saver.save(known[OLD], root)
        during, after = _reachable(root, partial(saver.save, known[NEW], root))
        for test, states in ((DURING, during), (AFTER, after)):
            counts: dict[str, int] = {}
            for found in states:
                folder = cache / "cut"
                _write_out(found, folder)
                with Worker(saver, folder, known) as worker:
                    count(counts, worker.look())
                shutil.rmtree(folder)
            yield Counts("power", test, saver.name, saver.kind, len(states), counts)
        shutil.rmtree(root)


def _reachable(root: Path, work: Callable[[], object]) -> tuple[list[Any], list[Any]]:
    """Run `work` on a watched disk; give all different states after any of its calls, and those at the end."""
    disk = _model().Disk(root)
    seen: dict[int, Any] = {}

    def look() -> None:
        for found in disk.states():
            seen.setdefault(hash(frozenset(found.items())), found)

    with _Patch() as patch:
        disk.watch(patch)
        patch.setattr(files, "_exchange", _exchanging(disk, files._exchange))
        for name in _CALLS:
            patch.setattr(os, name, _then(getattr(os, name), look))
        work()
    look()
    end = {hash(frozenset(found.items())): found for found in disk.states()}
    return list(seen.values()), list(end.values())


def _model() -> Any:
    if str(MODEL) not in sys.path:
        sys.path.insert(0, str(MODEL))
    import power_model

    return power_model


def _exchanging(disk: Any, real: Callable[[Path, Path], bool]) -> Callable[[Path, Path], bool]:
    """Tell the model of two names that were exchanged: one change of one folder."""

    def exchange(one: Path, other: Path) -> bool:
        done = real(one, other)
        if done:
            assert one.parent == other.parent
            names = {one.name: disk._get(other), other.name: disk._get(one)}
            disk._change(disk._at(one)[0], names)
        return done

    return exchange


def _then(call: Callable[..., Any], look: Callable[[], None]) -> Callable[..., Any]:
    def both(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        look()
        return result

    return both


def _write_out(found: dict[str, bytes | None], folder: Path) -> None:
    folder.mkdir()
    for name, data in found.items():
        if data is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(data)


class _Patch:
    """Sets attributes until the end of the `with` block."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def setattr(self, place: Any, name: str, value: Any) -> None:
        self._before.append((place, name, getattr(place, name)))
        setattr(place, name, value)

    def __enter__(self) -> _Patch:
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            setattr(*self._before.pop())

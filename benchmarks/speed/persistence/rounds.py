"""In which order is what measured? Rounds that interleave the methods, each on fresh files and a quiet disk."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from benchmarks.speed.persistence.forked import Cost, measured
from benchmarks.speed.persistence.report import Row, row
from benchmarks.speed.persistence.state import FOUR_MIB, Maker, State
from benchmarks.speed.persistence.ways import Arrays, Load, Way

Costs = dict[str, list[Cost]]


class Special(Protocol):
    """A save of which something else than its whole is measured."""

    name: str

    def before(self, folder: Path) -> Any: ...
    def work(self, prepared: Any) -> Any: ...
    def after(self, result: Any) -> dict[str, float]: ...


def saves(ways: Sequence[Way], specials: Sequence[Special], maker: Maker, rounds: int, cache: Path) -> Costs:
    """Measure saving; what the last round of each way has written stays in `cache` under the way's name."""
    state = maker.state()
    costs: Costs = {}
    # Not counted: whoever comes first pays for memory that nobody has used before.
    measured(partial(_write, ways[0], _fresh(cache / ways[0].name)), before=partial(ways[0].prepare, state))
    for n in range(rounds):
        for way in _turned(ways, n):
            folder = _fresh(cache / way.name)
            cost = measured(partial(_write, way, folder), before=partial(way.prepare, state))
            costs.setdefault(way.name, []).append(cost)
            if n < rounds - 1:
                shutil.rmtree(folder)
        for special in specials:
            folder = _fresh(cache / "special")
            cost = measured(special.work, before=partial(special.before, folder), after=special.after)
            costs.setdefault(special.name, []).append(cost)
            shutil.rmtree(folder)
    return costs


def loads(ways: Sequence[Way], maker: Maker, rounds: int, cache: Path, *, cold: bool) -> Costs:
    """Measure loading everything; the first round compares every bit with the state."""
    state = maker.state()
    costs: Costs = {}
    for n in range(rounds):
        for way in _turned(ways, n):
            for load in way.loads:
                folder = cache / way.name
                _cool(folder) if cold else _warm(folder)
                check = _comparison(load, state) if n == 0 else lambda found: {}
                cost = measured(partial(_read, load, state, folder), after=check)
                costs.setdefault(load.name, []).append(cost)
    return costs


def firsts(ways: Sequence[Way], maker: Maker, rounds: int, cache: Path, *, cold: bool) -> Costs:
    """Measure reading one array of 4 MiB into memory."""
    wanted = maker.state().arrays[f"model/{FOUR_MIB}"]
    costs: Costs = {}

    def check(found: Any) -> dict[str, float]:
        assert np.array_equal(np.asarray(found), wanted)
        return {}

    for n in range(rounds):
        for way in _turned(ways, n):
            for name, read in way.firsts.items():
                folder = cache / way.name
                _cool(folder) if cold else _warm(folder)
                cost = measured(partial(_first, read, folder), after=check)
                costs.setdefault(name, []).append(cost)
    return costs


def rows_of(
    what: str,
    costs: Costs,
    floor: Sequence[Cost] = (),
    *,
    sizes: Mapping[str, float] = MappingProxyType({}),
    result_mb: float = 0.0,
) -> Iterator[Row]:
    """Sum up each method; `sizes` are bytes on the disk by bytes of the state, `result_mb` is what a load gives."""
    for method, each in costs.items():
        yield replace(row(what, method, each, floor, result_mb), share_of_state=sizes.get(method))


def sizes(ways: Sequence[Way], maker: Maker, cache: Path) -> dict[str, float]:
    """Give the size on the disk of what each way has written, by that of the state."""
    whole = maker.state().nbytes
    return {
        way.name: sum(p.stat().st_size for p in (cache / way.name).rglob("*") if p.is_file()) / whole for way in ways
    }


def written_share(costs: Costs, method: str, maker: Maker) -> float:
    """Give the bytes that one commit wrote, by those of the state."""
    written: list[float] = [cost.found["written"] for cost in costs[method]]
    return statistics.median(written) / maker.state(grown=True).nbytes


def _write(way: Way, folder: Path, form: Any) -> None:
    way.write(form, folder)
    if not way.durable:
        _flush(folder)


def _flush(folder: Path) -> None:
    for above, _, names in os.walk(folder):
        for path in [*(Path(above, name) for name in names), Path(above)]:
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


def _read(load: Load, state: State, folder: Path, _: None) -> Arrays:
    return load.read(state, folder)


def _first(read: Callable[[Path], Any], folder: Path, _: None) -> Any:
    return read(folder)


def _turned(ways: Sequence[Way], n: int) -> list[Way]:
    # No method is always the one that comes after the same other one.
    return [*ways[n % len(ways) :], *ways[: n % len(ways)]]


def _comparison(load: Load, state: State) -> Callable[[Arrays], dict[str, float]]:
    def compare(found: Arrays) -> dict[str, float]:
        assert found.keys() == state.arrays.keys(), load.name
        for name, array in state.arrays.items():
            assert np.array_equal(np.asarray(found[name]).view(np.uint32), array.view(np.uint32)), (
                f"{load.name}: {name}"
            )
        return {}

    return compare


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _each_file(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            yield handle
            os.close(handle)


def _warm(folder: Path) -> None:
    buffer = bytearray(1 << 20)
    for handle in _each_file(folder):
        while os.readv(handle, [buffer]):
            pass


def _cool(folder: Path) -> None:
    os.sync()
    for handle in _each_file(folder):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

"""How many random flips of one bit, cuts and swaps does a loader notice?"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.persistence.savers import FOLDER_WITH_BIN, JAMAIS, LIBRARIES, OURS, SEED, STORE_IN_FULL, Saver
from benchmarks.quality.persistence.states import Size, State, state
from benchmarks.quality.persistence.trials import Worker, count

SIZE = Size(layers=10, rows=32, width=64)
SAME = "same"
_PAGE = 4096
_NUMBERS = re.compile(rb"[-0-9.eE,\[\]\s]{100,}|[A-Za-z0-9+/=]{100,}")
"""In a text: where the numbers stand. Digests are shorter."""


@dataclass(frozen=True)
class Counts:
    """How often a test of one method had which outcome."""

    part: str
    test: str
    method: str
    kind: str
    n: int
    outcomes: dict[str, int]


def all_damage(flips: int, peer_flips: int, cache: Path, seed: int = 0) -> Iterator[Counts]:
    """Damage what everybody saves, again and again."""
    for saver in (*OURS, FOLDER_WITH_BIN, STORE_IN_FULL, *LIBRARIES, SEED):
        n = flips if saver.kind == JAMAIS else peer_flips
        folder = cache / "damaged"
        folder.mkdir()
        saver.save(state(1, SIZE), folder)
        with Worker(saver, folder, {SAME: state(1, SIZE)}) as worker:
            assert worker.look() == SAME, f"{saver.name} does not load what it saved"
            for test, outcomes in _tests(saver, folder, worker, n, random.Random(seed), cache):
                if outcomes:  # a single file cannot be of two saves
                    yield Counts("damage", test, saver.name, saver.kind, sum(outcomes.values()), outcomes)
            assert worker.look() == SAME, f"{saver.name}: not put back as it was"
        shutil.rmtree(folder)


def _tests(
    saver: Saver, folder: Path, worker: Worker, n: int, pick: random.Random, cache: Path
) -> Iterator[tuple[str, dict[str, int]]]:
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size}
    files = {path: data for path, data in files.items() if path.name not in ("lock", "README.txt")}
    anywhere = [(path, 0, len(data)) for path, data in files.items()]
    structure = [(path, *span) for path, data in files.items() for span in _structure(data, state(1, SIZE))]
    yield "one bit flipped anywhere", _flips(anywhere, files, worker, n, pick)
    yield "one bit flipped outside of the numbers", _flips(structure, files, worker, n, pick)
    yield "a file cut, grown, zeroed or turned round", _broken(files, worker, pick)
    yield "a file of another save", _mixed(saver, files, worker, folder, cache)
    if saver.kind == JAMAIS:
        yield "cut at every byte of header or manifest", _cuts(files, worker)


def _flips(
    places: list[tuple[Path, int, int]], files: dict[Path, bytes], worker: Worker, n: int, pick: random.Random
) -> dict[str, int]:
    counts: dict[str, int] = {}
    weights = [stop - start for _, start, stop in places]
    for path, start, stop in pick.choices(places, weights, k=n):
        at, bit = pick.randrange(start, stop), pick.randrange(8)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([files[path][at] ^ 1 << bit]))
            file.flush()
            count(counts, worker.look())
            file.seek(at)
            file.write(files[path][at : at + 1])
    return counts


def _structure(data: bytes, saved: State) -> Iterator[tuple[int, int]]:
    """Give the stretches of a file that are not the numbers of an array."""
    numbers = [(at, at + array.nbytes) for array in saved.arrays.values() if (at := data.find(array.tobytes())) >= 0]
    if not numbers:
        numbers = [found.span() for found in _NUMBERS.finditer(data)]
    end = 0
    for start, stop in [*sorted(numbers), (len(data), len(data))]:
        if start > end:
            yield end, start
        end = max(end, stop)


def _broken(files: dict[Path, bytes], worker: Worker, pick: random.Random) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path, good in files.items():
        middle = len(good) // 2 // _PAGE * _PAGE
        variants = [good[:-1], good[: len(good) // 2], b"", good + pick.randbytes(100), bytes(len(good))]
        if len(good) > 2 * _PAGE:
            variants += [good[:-_PAGE] + bytes(_PAGE), good[:middle] + bytes(_PAGE) + good[middle + _PAGE :]]
        variants.append(good[: len(good) // 2] + good[len(good) // 2 :][::-1])
        for bad in variants:
            if bad != good:
                count(counts, _with(path, bad, good, worker.look))
    return counts


def _mixed(saver: Saver, files: dict[Path, bytes], worker: Worker, folder: Path, cache: Path) -> dict[str, int]:
    """Put the file of the same name of another generation in each place; a single file then is just another state."""
    counts: dict[str, int] = {}
    if len(files) == 1:
        return counts
    other = cache / "other"
    other.mkdir()
    saver.save(state(2, SIZE), other)
    for path, good in files.items():
        theirs = other / path.relative_to(folder)
        if theirs.is_file() and theirs.read_bytes() != good:
            count(counts, _with(path, theirs.read_bytes(), good, worker.look))
    shutil.rmtree(other)
    return counts


def _cuts(files: dict[Path, bytes], worker: Worker) -> dict[str, int]:
    """Cut each file after every byte up to where the numbers begin, and at each of its last 4,096."""
    counts: dict[str, int] = {}
    for path, good in files.items():
        first = next(_structure(good, state(1, SIZE)), (0, 0))
        lengths = {*range(first[1] if first[0] == 0 else 0), *range(max(0, len(good) - _PAGE), len(good))}
        for length in sorted(lengths, reverse=True):
            with path.open("r+b") as file:
                file.truncate(length)
            count(counts, worker.look())
        path.write_bytes(good)
    return counts


def _with(path: Path, bad: bytes, good: bytes, look: Callable[[], str]) -> str:
    path.unlink()  # a new file: nobody has the old one mapped
    path.write_bytes(bad)
    try:
        return look()
    finally:
        path.unlink()
        path.write_bytes(good)

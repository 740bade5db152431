"""Who takes part in which protocol, and what has been measured already?"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.quality.online.clusters.base import Base, make_base
from benchmarks.quality.online.clusters.deep import Ewc, FineTuned, Replayed, Seed002
from benchmarks.quality.online.clusters.measure import Row, measured
from benchmarks.quality.online.clusters.memory_first import MemoryFirst, OnlineUpdate, Tuned
from benchmarks.quality.online.clusters.peers import (
    Bertopic,
    Dbstream,
    Method,
    MiniBatchKMeans,
    Refit,
    Static,
    import_peers,
)
from benchmarks.quality.online.clusters.streams import NEWS, NO_NEWS, THREE, Stream

REFIT = Refit.name
Make = Callable[[Base], Method]

_EVERYWHERE: dict[str, Make] = {
    "refit": Refit,
    "static": Static,
    "kmeans-old-k": partial(MiniBatchKMeans, grow=False),
    "kmeans-true-k": partial(MiniBatchKMeans, grow=True),
}
_DEEP: dict[str, Make] = {
    "kmeans-true-k-near": partial(MiniBatchKMeans, grow=True, near=True),
    "dbstream": Dbstream,
    "seed002": Seed002,
    "fine-tune": FineTuned,
    "ewc": Ewc,
    "replay": Replayed,
    "jamais-dec": OnlineUpdate,
    "jamais-latents": partial(MemoryFirst, space="latents"),
    "jamais-tuned": partial(Tuned, taught=False),
    "jamais-taught": partial(Tuned, taught=True),
}
_SHALLOW: dict[str, dict[str, Make]] = {"clinc": {"bertopic": Bertopic}, "fashion": {"dbstream": Dbstream}}
_WIDE: dict[str, Make] = {"jamais-rows": partial(MemoryFirst, space="rows")}
_OURS: dict[str, Make] = {"jamais": MemoryFirst, "jamais-vote": partial(MemoryFirst, told=False)}
_SKIPPED = {
    NEWS: set[str](),
    NO_NEWS: {"refit", "static", "jamais-tuned", "jamais-taught"},
    THREE: {"dbstream", "seed002", "jamais-latents", "jamais-tuned", "jamais-taught", "jamais-vote", "jamais-rows"},
}
_TOO_DEAR = {NO_NEWS: {"seed002"}, THREE: {"refit"}}
"""With MNIST: minutes of CPU for what digits show as well."""


def who(stream: Stream) -> dict[str, Make]:
    """Name those that take part; refits come first, as the others' CPU is measured by theirs."""
    deep = _DEEP if stream.recipe else _SHALLOW.get(stream.data, {})
    ours = _OURS | (_WIDE if stream.width else {})
    skipped = _SKIPPED[stream.protocol] | (_TOO_DEAR.get(stream.protocol, set()) if stream.data == "mnist" else set())
    return {name: make for name, make in (_EVERYWHERE | deep | ours).items() if name not in skipped}


def rows(stream: Stream, cache: Path, chosen: str | None, kept: Kept) -> Iterator[Row]:
    """Measure everybody on one stream, or read what was measured before."""
    import_peers()
    base: Base | None = None
    refits: dict[int, float] = {}
    for name, make in who(stream).items():
        if chosen is not None and chosen not in name and name != "refit":
            continue
        found = kept.find(stream, name)
        if not found:
            base = make_base(stream, cache) if base is None else base
            print(f"\r{stream.data}, {stream.protocol}, seed {stream.seed}: {name}".ljust(78), end="", file=sys.stderr)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what libraries have to say about small batches and their future
                found = list(measured(stream, make(base), refits))
            kept.add(stream, name, found)
        if name == "refit":
            refits = {row["update"] - 1: row["cpu"] for row in found}
        yield from found


class Kept:
    """Rows that have been measured, line by line in a file, so that a killed run loses one method."""

    def __init__(self, path: Path, *, resume: bool, again: str | None = None) -> None:
        self._path = path
        self._rows: dict[str, list[Row]] = {}
        if resume and path.exists():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self._rows = {key: found for key, found in lines if again is None or again not in key.split("/")[-1]}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines_kept = "".join(json.dumps([key, found]) + "\n" for key, found in self._rows.items())
        path.write_text(lines_kept, encoding="utf-8")

    def find(self, stream: Stream, name: str) -> list[Row]:
        return self._rows.get(_key(stream, name), [])

    def add(self, stream: Stream, name: str, found: list[Row]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([_key(stream, name), found]) + "\n")


def _key(stream: Stream, name: str) -> str:
    return f"{stream.data}/{stream.protocol}/{stream.seed}/{name}"

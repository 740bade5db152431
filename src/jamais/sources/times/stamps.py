"""Which lines of a chunk carry a time stamp, and what does it say?"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jamais.sources.times.clock import BAD_DAY, LOCAL
from jamais.sources.times.finder import StampFinder
from jamais.sources.times.layout import Layout, read_one
from jamais.types import Bools, Ints

_PROBE = 48
"""So many lines that fit no layout are read the slow way before new layouts are looked for among them."""
_ENOUGH = 4
_MOST_LAYOUTS = 24
_MAYBE = re.compile(rb"\d[:.]\d\d|\d{6}")


@dataclass(frozen=True)
class Stamps:
    """Stamps of n lines: found [n], date keys [n], micros of the day [n], zones in minutes [n]."""

    found: Bools
    keys: NDArray[np.int32]
    micros: Ints
    zones: NDArray[np.int32]

    @classmethod
    def none(cls, n: int) -> Stamps:
        return cls(
            np.zeros(n, np.bool_),
            np.full(n, BAD_DAY, np.int32),
            np.zeros(n, np.int64),
            np.full(n, LOCAL, np.int32),
        )


class StampReader:
    """Read the stamps of many lines; layouts that lines have in common are learned on the way."""

    def __init__(self, finder: StampFinder) -> None:
        self._finder = finder
        self._layouts: list[Layout] = []
        self._keys: set[object] = set()

    def read(self, text: bytes, body: NDArray[np.uint8], starts: Ints, ends: Ints) -> Stamps:
        """Read the stamps of lines [starts, ends) of `body` (`text` is the same bytes)."""
        out = Stamps.none(len(starts))
        left: Ints | None = None
        for at, layout in enumerate(self._layouts):
            left = self._apply(layout, body, starts, left, out)
            if not len(left):
                if at:  # the layout of most lines goes first
                    self._layouts.insert(0, self._layouts.pop(at))
                return out
        if left is None:
            left = np.arange(len(starts))
        left = left[body[np.minimum(starts[left], max(len(body) - 1, 0))] > 32] if len(body) else left
        while len(left):
            probe, left = left[:_PROBE], left[_PROBE:]
            for layout in self._slowly(text, starts, ends, probe, out):
                self._layouts.append(layout)
                left = self._apply(layout, body, starts, left, out)
        return out

    def _apply(self, layout: Layout, body: NDArray[np.uint8], starts: Ints, left: Ints | None, out: Stamps) -> Ints:
        fits, keys, micros = layout.read(body, starts if left is None else starts[left])
        if left is None:
            if fits.all():
                out.found[:], out.keys[:], out.micros[:], out.zones[:] = True, keys, micros, layout.zone
                return np.zeros(0, np.int64)
            left = np.arange(len(starts))
        hit = left[fits]
        out.found[hit], out.keys[hit], out.micros[hit], out.zones[hit] = (
            True,
            keys[fits],
            micros[fits],
            layout.zone,
        )
        return left[~fits]

    def _slowly(self, text: bytes, starts: Ints, ends: Ints, probe: Ints, out: Stamps) -> list[Layout]:
        seen: dict[object, tuple[int, Layout]] = {}
        for i in probe.tolist():
            line = text[starts[i] : min(ends[i], starts[i] + 320)]
            match = self._finder.find(line) if _MAYBE.search(line, 0, 200) else None
            stamp = read_one(match) if match else None
            if match is None or stamp is None:
                continue
            out.found[i], out.keys[i], out.micros[i], out.zones[i] = True, *stamp
            if len(self._layouts) < _MOST_LAYOUTS and len(probe) >= _ENOUGH:
                layout = Layout(match, line)
                count, layout = seen.get(layout.key, (0, layout))
                seen[layout.key] = (count + 1, layout)
        fresh = [layout for key, (count, layout) in seen.items() if count >= _ENOUGH and key not in self._keys]
        self._keys.update(layout.key for layout in fresh)
        return fresh[: _MOST_LAYOUTS - len(self._layouts)]

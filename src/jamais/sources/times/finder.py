"""Where in a line does its time stamp stand, as far as a sample of the log can tell?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jamais.sources.times.layout import read_one
from jamais.sources.times.shapes import BY_NAME, EPOCH, FULL, SHAPES, TIME_ONLY, Shape

_REACH = 128
"""A stamp that begins behind this many bytes is part of the message."""
_SLACK = 24
"""Prefixes (addresses, node names) of later lines may be this much longer than those of the sample."""


class StampFinder:
    """Find the stamp of a line: the learned shapes at learned depth first, any full date at the very start next."""

    def __init__(self, order: Sequence[tuple[str, int]] = (), share: float = 0.0, second: Sequence[str] = ()) -> None:
        self.order = [(BY_NAME[name], limit) for name, limit in order]
        self.share = share
        """Share of the sampled lines that carry a stamp."""
        self.second = frozenset(second)
        """Shapes that nearly every line repeats behind its stamp (BGL, Thunderbird): they leave the text too."""
        known = {shape for shape, _ in self.order}
        self._rest = [s for s in SHAPES if s not in known and s.knows != TIME_ONLY]

    @classmethod
    def learn(cls, lines: Iterable[bytes]) -> StampFinder:
        """Look at sample lines and decide which shapes count, and how deep."""
        sample = [line for line in lines if line.strip()]
        places: dict[str, list[int]] = {}
        stamped = 0
        for line in sample:
            any_found = False
            for shape in SHAPES:
                match = shape.regex.search(line, 0, _REACH + 40)
                if match and match.start() <= _REACH and read_one(match) is not None:
                    if shape.knows == TIME_ONLY and match.start() > 1:
                        continue
                    places.setdefault(shape.name, []).append(match.start())
                    any_found = any_found or _near(shape, match.start())
            stamped += any_found
        total = max(len(sample), 1)
        most = max((len(found) for found in places.values()), default=0)
        usual = [name for name, found in places.items() if len(found) >= 0.8 * most and len(found) >= 0.3 * total]
        usual.sort(key=lambda name: (BY_NAME[name].knows, sorted(places[name])[len(places[name]) // 2]))
        order: list[tuple[str, int]] = []
        for name in usual:
            deepest = max(places[name])
            order.append((name, deepest if deepest <= 2 else min(deepest + _SLACK, _REACH)))
        for name, found in sorted(places.items(), key=lambda item: -len(item[1])):
            starting = [at for at in found if at <= 12]
            if name not in usual and len(starting) >= 0.02 * total:
                order.append((name, 2 if max(starting) <= 2 else 12))
        share = max((len(places[name]) for name, _ in order), default=0) / total
        middle = {name: sorted(places[name])[len(places[name]) // 2] for name in usual}
        again = [name for name in usual[1:] if len(places[name]) >= 0.9 * total and middle[name] > middle[usual[0]]]
        return cls(order, max(share, stamped / total), again)

    def find(self, line: bytes) -> re.Match[bytes] | None:
        """Give the stamp of a line as a match of its shape, or None."""
        for shape, limit in self.order:
            match = shape.regex.search(line, 0, limit + 48)
            if match and match.start() <= limit and read_one(match) is not None:
                return match
        for shape in self._rest:
            match = shape.regex.search(line, 0, 50)
            if match and match.start() <= (1 if shape.knows == FULL else 0) and read_one(match) is not None:
                return match
        return None

    def header_end(self, line: bytes, stamp: re.Match[bytes]) -> int:
        """Give where the header's times end: behind the stamp, or behind its usual repetitions."""
        end = stamp.end()
        for name in self.second:
            match = BY_NAME[name].regex.search(line, stamp.end(), stamp.end() + 72)
            if match and match.start() <= stamp.end() + 48:
                end = max(end, match.end())
        return end

    def state_dict(self) -> dict[str, Any]:
        return {
            "order": [[shape.name, limit] for shape, limit in self.order],
            "share": self.share,
            "second": sorted(self.second),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> StampFinder:
        return cls(
            [(str(name), int(limit)) for name, limit in state["order"]],
            float(state["share"]),
            state["second"],
        )


def _near(shape: Shape, start: int) -> bool:
    return start <= (2 if shape.knows == EPOCH else 64)

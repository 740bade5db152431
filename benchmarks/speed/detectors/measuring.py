"""What does each of several ways to do the same cost, in one run: CPU-seconds of all threads, and wall?

Ways take turns, round by round, so that a busy machine hits all of them; each keeps its best round. Ratios are to the
floor of the same run: the best of the ways named as such.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = ("part", "what", "size", "method", "cpu_s", "wall_s", "cpu_x_floor", "wall_x_floor", "floor", "note")
_LONG_ENOUGH = 0.1  # seconds: shorter work is repeated until its CPU time can be read


@dataclass(frozen=True)
class Way:
    """One way to do it. `run(prepared)` is measured; `before()` is not, and is called anew for every round.

    Work without a `before` is repeated within a round when it is short, so it must be repeatable.
    `note` may be a function that looks at what the last run gave.
    """

    method: str
    run: Callable[[Any], Any]
    before: Callable[[], Any] | None = None
    note: str | Callable[[Any], str] = ""
    times: float = 1.0
    """By what the seconds are multiplied, where only a part of the work is done (and the note says so)."""


def compared(
    part: str, what: str, size: str, ways: Sequence[Way], floor: Sequence[str] = (), rounds: int = 3
) -> Iterator[dict[str, Any]]:
    """Measure all `ways`, give a row with `COLUMNS` for each; `floor` names the methods whose best is the floor."""
    best: dict[str, tuple[float, float]] = {}
    notes: dict[str, str] = {}
    for turn in range(rounds):
        for way in (*ways[turn % len(ways) :], *ways[: turn % len(ways)]):
            cpu, wall, result = _cost(way)
            before = best.get(way.method, (cpu, wall))
            best[way.method] = min(cpu, before[0]), min(wall, before[1])
            notes[way.method] = way.note if isinstance(way.note, str) else way.note(result)
    lowest = [min(best[name][i] for name in floor) for i in (0, 1)] if floor else []
    for way in ways:
        cpu, wall = best[way.method]
        ratios = {"cpu_x_floor": cpu / lowest[0], "wall_x_floor": wall / lowest[1]} if floor else {}
        row = {"part": part, "what": what, "size": size, "method": way.method, "cpu_s": cpu, "wall_s": wall}
        yield {**dict.fromkeys(COLUMNS, ""), **row, **ratios, "floor": " | ".join(floor), "note": notes[way.method]}


def _cost(way: Way) -> tuple[float, float, Any]:
    """Return CPU-seconds, wall and result of one call."""
    prepared = None if way.before is None else way.before()
    cpu, wall, result = _calls(way, prepared, 1)
    if way.before is None and cpu < _LONG_ENOUGH:
        n = 1 + int(_LONG_ENOUGH / max(cpu, 1e-5))
        cpu, wall, result = _calls(way, prepared, n)
    return cpu * way.times, wall * way.times, result


def _calls(way: Way, prepared: Any, n: int) -> tuple[float, float, Any]:
    result = None
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(n):
        result = way.run(prepared)
    return (time.process_time() - cpu) / n, (time.perf_counter() - wall) / n, result

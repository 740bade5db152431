"""A small service's log whose ordinary life is known exactly, and watchers of it that cost no time to fit."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from jamais import Watcher
from jamais.api import fit

TINY: dict[str, Any] = {"encoder": {"layers": 1, "width": 32, "heads": 2, "inner": 64, "steps": 0}}
GROUP_BY = r"req (\w+)"
MODES: dict[str, dict[str, Any]] = {
    "lines": {},
    "sessions": {"group_by": GROUP_BY},
    "window of lines": {"window": "20"},
    # Some fifteen windows to calibrate on: they cannot speak of one in a thousand.
    "window of time": {"window": "10s", "alarm_rate": 0.02},
}
BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
ODD = "ERROR disk: write failed on volume sdb, device vanished"


class Said(NamedTuple):
    """One line, in parts: when, level and source, session, and what kind of line it is."""

    time: datetime
    head: str
    group: str | None
    kind: str
    text: str

    def __str__(self) -> str:
        req = f"req {self.group} " if self.group is not None else ""
        return f"{self.time:%Y-%m-%d %H:%M:%S}.{self.time.microsecond // 1000:03d} {self.head}: {req}{self.text}"

    @property
    def micros(self) -> int:
        return round(self.time.timestamp() * 1e6)


def said(n_requests: int, seed: int, begin: datetime = BEGIN) -> list[Said]:
    """Make the lines of `n_requests` requests, one a second at random; sorted by time, whole milliseconds."""
    rng = random.Random(seed)
    lines: list[Said] = []
    second = 0.0
    for number in range(n_requests):
        second += rng.expovariate(1.0)
        now = begin + timedelta(milliseconds=round(second * 1000))
        for head, kind, words in _request(rng):
            lines.append(Said(now, head, None if kind == "gc" else f"r{seed}{number:05d}", kind, words))
            now += timedelta(milliseconds=rng.randint(1, 40))
    return sorted(lines, key=lambda line: line.time)


def _request(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    yield "INFO web", "start", f"started GET /items/{rng.randrange(900)}"
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        yield "DEBUG db", "query", f"query returned {rng.randint(1, 50)} rows"
    if rng.random() < 0.3:
        yield "DEBUG cache", "miss", f"miss for item {rng.randrange(900)}"
    if rng.random() < 0.03:
        yield "WARN db", "retry", "lock not free, retry later"
    if rng.random() < 0.95:
        yield "INFO web", "done", f"finished after {rng.randint(5, 60)} ms"
    if rng.random() < 0.02:
        yield "INFO gc", "gc", f"collected {rng.randint(1, 30)} pages"


def text(lines: list[Said]) -> list[str]:
    return [str(line) for line in lines]


def normal(n_requests: int = 500, seed: int = 1, begin: datetime = BEGIN) -> list[str]:
    """Give lines of ordinary life."""
    return text(said(n_requests, seed, begin))


def odd_at(begin: datetime, what: str = ODD) -> str:
    return f"{begin:%Y-%m-%d %H:%M:%S}.500 {what}"


def today(n_requests: int = 120, seed: int = 2, odd: tuple[str, ...] = (ODD,)) -> list[str]:
    """Give later lines, with something never seen in the middle."""
    lines = said(n_requests, seed, BEGIN + timedelta(hours=1))
    middle = lines[len(lines) // 2].time
    after = [str(line) for line in lines if line.time > middle]
    return [str(line) for line in lines if line.time <= middle] + [odd_at(middle, one) for one in odd] + after


@functools.cache
def _fitted(mode: str, changes: tuple[tuple[str, Any], ...]) -> Watcher:
    return fit(normal(), kind="logs", settings={**TINY, **MODES[mode], **dict(changes)})


def fitted(mode: str = "lines", **changes: Any) -> Watcher:
    """Give a fresh watcher of ordinary life: the recipe inside never changes, so it is fitted once."""
    return Watcher(_fitted(mode, tuple(sorted(changes.items()))).recipe)

"""A small shop's log, made up here: what the examples in the docs are run on."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

Line = tuple[datetime, str, str, str]


def write(folder: Path) -> None:
    """Write the files that the docs name into `folder`."""
    monday, tuesday, wednesday = (datetime(2026, 3, day, 8) for day in (2, 3, 4))
    (folder / "normal.log").write_text(_text(requests(1200, 1, monday)))
    today = requests(300, 2, tuesday)
    noon = today[len(today) // 2][0]
    today += [
        (noon, "ERROR", "db", "connection to primary lost: Broken pipe"),
        (noon, "INFO", "web", "request r299999 started GET /items/7 from 10.0.9.9"),
    ]
    (folder / "today.log").write_text(_text(today))
    (folder / "more.log").write_text(_text(requests(300, 3, wednesday)))
    start, end = noon - timedelta(seconds=1), noon + timedelta(seconds=5)
    (folder / "incidents.csv").write_text(f"label,start,end\n1,{start:%Y-%m-%dT%H:%M:%SZ},{end:%Y-%m-%dT%H:%M:%SZ}\n")
    (folder / "jamais.toml").write_text("alarm_rate = 0.01\n\n[memory]\ncapacity = 2000\n")


def requests(n: int, seed: int, start: datetime) -> list[Line]:
    """Make the lines of `n` requests, some of them at the same time."""
    rng = random.Random(seed)
    lines: list[Line] = []
    for k in range(n):
        start += timedelta(seconds=rng.expovariate(0.5))
        now, name = start, f"r{seed}{k:05d}"
        lines.append((now, "INFO", "web", f"request {name} started GET /items/{rng.randrange(900)} from 10.0.1.7"))
        now += timedelta(milliseconds=rng.randint(2, 20))
        lines.append((now, "INFO", "db", f"request {name} query took {rng.randint(1, 30)} ms"))
        if rng.random() < 0.3:
            now += timedelta(milliseconds=3)
            lines.append((now, "INFO", "cache", f"request {name} cache miss for item {rng.randrange(900)}"))
        now += timedelta(milliseconds=rng.randint(2, 20))
        lines.append((now, "INFO", "web", f"request {name} finished status 200 in {rng.randint(5, 60)} ms"))
    return lines


def _text(lines: list[Line]) -> str:
    return "".join(
        f"{time:%Y-%m-%d %H:%M:%S},{time.microsecond // 1000:03d} {level} {source}: {text}\n"
        for time, level, source, text in sorted(lines, key=lambda line: line[0])
    )

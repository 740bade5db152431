"""What would a much longer day of the same real log look like: fresh ids, and time that goes on?

    python -m benchmarks.speed.lines hdfs 1000000 > hdfs.log
    python -m benchmarks.speed.lines uuid 200000 > uuid.log

The real lines are repeated. Each repeat moves the clock on by the span of the log, and renames every block
(hdfs) or every uuid and long hexadecimal id, at each place anew (uuid: the worst case for a memory of lines).
Streams: RAM holds one copy of the log, whatever the number of lines.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import random
import re
import sys
import time
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.data import data_folder

_BLOCK = re.compile(r"blk_(-?\d+)")
_ID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{32,40}\b)")
_OPENSTACK = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")


def hdfs(n: int, log: list[str]) -> Iterator[str]:
    """Yield `n` lines of an HDFS log (`yymmdd HHMMSS ...`), every repeat with block ids of its own."""
    pieces = [_BLOCK.split(line[13:]) for line in log]
    seconds = [timegm(time.strptime(line[:13], "%y%m%d %H%M%S")) for line in log]
    return itertools.islice(_hdfs(pieces, seconds), n)


def _hdfs(pieces: list[list[str]], seconds: list[int]) -> Iterator[str]:
    span = max(seconds) - min(seconds) + 1
    for repeat in itertools.count():
        mark = random.Random(repeat).getrandbits(60) if repeat else 0
        fresh = {old: f"blk_{int(old) ^ mark}" for parts in pieces for old in parts[1::2]}
        for second, parts in zip(seconds, pieces, strict=True):
            named = [fresh[part] if place % 2 else part for place, part in enumerate(parts)]
            yield _stamp(second + repeat * span, "%y%m%d %H%M%S") + "".join(named)


def uuid(n: int, log: list[str]) -> Iterator[str]:
    """Yield `n` lines of an OpenStack log, every long id at every place new."""
    parsed = [_OPENSTACK.split(line, maxsplit=1) for line in log]
    heads = [parts[0] for parts in parsed]
    seconds = [timegm(time.strptime(parts[1], "%Y-%m-%d %H:%M:%S")) for parts in parsed]
    tails = [_ID.split(parts[2]) for parts in parsed]
    return itertools.islice(_uuid(heads, seconds, tails), n)


def _uuid(heads: list[str], seconds: list[int], tails: list[list[str]]) -> Iterator[str]:
    span = max(seconds) - min(seconds) + 1
    chance = random.Random(0)
    for repeat in itertools.count():
        for head, second, tail in zip(heads, seconds, tails, strict=True):
            named = [_fresh(part, chance) if place % 2 else part for place, part in enumerate(tail)]
            yield head + _stamp(second + repeat * span, "%Y-%m-%d %H:%M:%S") + "".join(named)


def _fresh(old: str, chance: random.Random) -> str:
    """Roll every hexadecimal digit of an id anew, keep its dashes."""
    groups = old.split("-")
    return "-".join(f"{chance.getrandbits(4 * len(g)):0{len(g)}x}" if g else g for g in groups)


_last: tuple[int, str, str] = (-1, "", "")


def _stamp(second: int, form: str) -> str:
    global _last  # neighbouring lines share their second, and formatting it is the slow part
    if _last[:2] != (second, form):
        _last = (second, form, time.strftime(form, time.gmtime(second)))
    return _last[2]


def real_log(kind: str) -> list[str]:
    """Read the real lines that are repeated."""
    if kind == "hdfs":
        with gzip.open(data_folder() / "hdfs_2pct_raw" / "hdfs_2pct.log.gz", "rt", encoding="utf-8") as file:
            return file.read().splitlines()
    path = data_folder() / "loghub_2k" / "OpenStack_2k.log"
    return path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=["hdfs", "uuid"])
    parser.add_argument("lines", type=int)
    options = parser.parse_args()
    make = {"hdfs": hdfs, "uuid": uuid}[options.kind]
    lines = make(options.lines, real_log(options.kind))
    while batch := list(itertools.islice(lines, 10_000)):
        sys.stdout.write("\n".join(batch) + "\n")


if __name__ == "__main__":
    main()

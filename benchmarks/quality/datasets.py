"""Which rows is a detector fitted on, which is it tested on, and what were they really?

Both sets are cut in time, never at random. A split holds the same rows twice: as event numbers (for the
baselines, which get perfect parsing for free) and as raw lines (for jamais, which gets nothing else).
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Events = tuple[int, ...]

FIT_SHARE_OF_TIME = 0.3  # HDFS: what an operator has seen when the test begins
BLOCK = r"(blk_-?\d+)"
WINDOW = 20


@dataclass(frozen=True)
class Split:
    """One protocol: `fit` and `test` in order of time, `views` select test rows that are printed apart."""

    data: str
    protocol: str
    fit_on: str
    fit: list[Events]
    test: list[Events]
    labels: NDArray[np.int64]
    texts: dict[int, str]
    grouping: dict[str, Any]
    groups: list[str] | None
    fit_lines: Callable[[], Iterable[str]]
    test_lines: Callable[[], Iterable[str]]
    views: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Session:
    """The lines of one block: their numbers in the log, in order."""

    block: str
    label: int
    events: Events
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class SessionLog:
    """A log whose lines belong to blocks: sessions in order of their first line."""

    lines: list[str]
    seconds: NDArray[np.int64]
    sessions: list[Session]
    texts: dict[int, str]


def hdfs_splits(folder: Path) -> Iterator[Split]:
    """Yield operator and whole, each fitted on normal sessions and on all of them unlabelled."""
    yield from session_splits(read_hdfs(folder), "HDFS")


def session_splits(log: SessionLog, name: str, share: float = FIT_SHARE_OF_TIME) -> Iterator[Split]:
    """Cut `log` after `share` of its time, in both protocols and with both kinds of fit data.

    *operator*: only lines up to the cut are known, so sessions that go on are cut too. *whole*: sessions that
    start before the cut are known to their end, although nobody could know that at the cut. The test is the
    same: sessions that start after the cut, whole.
    """
    begin, end = int(log.seconds.min()), int(log.seconds.max())
    cut = begin + share * (end - begin)
    early = [s for s in log.sessions if log.seconds[s.rows[0]] <= cut]
    test = [s for s in log.sessions if log.seconds[s.rows[0]] > cut]
    for protocol, known in (("operator", [_until(s, log, cut) for s in early]), ("whole", early)):
        for fit_on, fit in (("normal", [s for s in known if s.label == 0]), ("all unlabelled", known)):
            yield Split(
                data=name,
                protocol=protocol,
                fit_on=fit_on,
                fit=[s.events for s in fit],
                test=[s.events for s in test],
                labels=np.array([s.label for s in test], dtype=np.int64),
                texts=log.texts,
                grouping={"group_by": BLOCK},
                groups=[s.block for s in test],
                fit_lines=_lines_of(log, fit),
                test_lines=_lines_of(log, test),
                views={"all": np.ones(len(test), dtype=np.bool_)},
            )


def bgl_splits(folder: Path) -> Iterator[Split]:
    """Yield the one BGL split: normal windows of the first 80 % of time, tested on what follows."""
    part = {name: _read_windows(folder / f"{name}.tsv.gz") for name in ("train", "val", "test")}
    with (folder / "templates.csv").open(encoding="utf-8", newline="") as file:
        texts = {int(row["id"]): row["template"] for row in csv.DictReader(file)}
    later = part["val"] + part["test"]
    yield window_split("BGL", part["train"], later, texts, tail=len(part["test"]))


def window_split(
    name: str,
    train: list[tuple[int, Events]],
    later: list[tuple[int, Events]],
    texts: dict[int, str],
    tail: int,
) -> Split:
    """Fit on the normal windows of `train`, test on `later`; its last `tail` windows are a view too."""
    fit = [events for label, events in train if label == 0]
    test = [events for _, events in later]
    last = np.arange(len(test)) >= len(test) - tail
    return Split(
        data=name,
        protocol="after 80 %",
        fit_on="normal",
        fit=fit,
        test=test,
        labels=np.array([label for label, _ in later], dtype=np.int64),
        texts=texts,
        grouping={"window": WINDOW},
        groups=None,
        fit_lines=lambda: (texts[event] for window in fit for event in window),
        test_lines=lambda: (texts[event] for window in test for event in window),
        views={"last 20 %": np.ones(len(test), dtype=np.bool_), "last 10 %": last},
    )


def read_hdfs(folder: Path) -> SessionLog:
    """Read the raw lines, and per block its label and the loghub event number of each of its lines."""
    with gzip.open(folder / "hdfs_2pct.log.gz", "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    with (folder / "HDFS.log_templates.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    texts = {int(row["EventId"][1:]): row["EventTemplate"].replace("[*]", " <*> ").strip() for row in rows}
    with gzip.open(folder / "hdfs_2pct_sessions.csv.gz", "rt", encoding="utf-8", newline="") as file:
        known = {row["block_id"]: row for row in csv.DictReader(file)}
    return SessionLog(
        lines=lines,
        seconds=np.array([_seconds(line[:13]) for line in lines], dtype=np.int64),
        sessions=list(_sessions(lines, known)),
        texts=texts,
    )


def _sessions(lines: Sequence[str], known: dict[str, dict[str, str]]) -> Iterator[Session]:
    block = re.compile(BLOCK)
    rows: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        found = block.search(line)
        if found is None:
            raise ValueError(f"line {number + 1} names no block: {line[:80]}")
        rows.setdefault(found[1], []).append(number)
    for name, numbers in rows.items():
        events = tuple(int(event) for event in known[name]["eids"].split())
        if len(events) != len(numbers):
            raise ValueError(f"{name} has {len(numbers)} lines but {len(events)} events")
        yield Session(name, int(known[name]["label"]), events, np.array(numbers, dtype=np.int64))


def _seconds(stamp: str) -> int:
    return int(datetime.strptime(stamp, "%y%m%d %H%M%S").replace(tzinfo=UTC).timestamp())


def _until(session: Session, log: SessionLog, cut: float) -> Session:
    n = int((log.seconds[session.rows] <= cut).sum())
    return Session(session.block, session.label, session.events[:n], session.rows[:n])


def _lines_of(log: SessionLog, sessions: list[Session]) -> Callable[[], Iterable[str]]:
    rows = np.sort(np.concatenate([s.rows for s in sessions]))
    return lambda: (log.lines[row] for row in rows)


def _read_windows(path: Path) -> list[tuple[int, Events]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        pairs = (line.rstrip("\n").split("\t") for line in file)
        return [(int(label), tuple(int(event) for event in events.split())) for label, events in pairs]

"""What is an alarm, once it leaves a frame: a record for machines, and one story per cause for people?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jamais.cli import told

if TYPE_CHECKING:
    import polars as pl

Record = dict[str, Any]

MOST_CAUSES = 20_000
"""Causes held at once; beyond, those that alarmed least are forgotten (their number is still told)."""


def records(frame: pl.DataFrame, version: int | None) -> Iterator[Record]:
    """Give the abnormal rows of a frame as records that need nothing else to be understood later."""
    import polars as pl

    for row in frame.filter(pl.col("abnormal")).iter_rows(named=True):
        yield {**row, "time": iso(row["time"]) if "time" in row else None, "watcher_version": version}


def iso(time: datetime | None) -> str | None:
    """Write a time as ISO 8601 in UTC."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(record: Record) -> str:
    """Write a record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def headline(record: Record) -> str:
    """Write a record as one line for people."""
    when = (record["time"] or "no time")[:19].replace("T", " ")
    group = f"  {record['group']}" if record.get("group") else ""
    return told.plain(f"{when}  p {record['p_value']:.2g}{group}  {record['why']}")


@dataclass
class Story:
    """All alarms of one cause."""

    worst: Record
    times: int = 0
    first: str | None = None
    last: str | None = None
    groups: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.times += 1
        time = record["time"]
        if time is not None:
            self.first = min(self.first or time, time)
            self.last = max(self.last or time, time)
        if record["score"] > self.worst["score"]:
            self.worst = record
        group = record.get("group")
        if group and len(self.groups) < 3 and group not in self.groups:
            self.groups.append(group)


class Stories:
    """Alarms folded by cause; holds one record per cause."""

    def __init__(self) -> None:
        self.n_alarms = 0
        self.n_forgotten = 0
        self._by_cause: dict[str, Story] = {}

    def __len__(self) -> int:
        return len(self._by_cause) + self.n_forgotten

    def add(self, record: Record) -> None:
        """Count one alarm."""
        self.n_alarms += 1
        self._by_cause.setdefault(str(record["cause"]), Story(record)).add(record)
        if len(self._by_cause) > MOST_CAUSES:
            kept = self._ranked()[: MOST_CAUSES // 2]
            self.n_forgotten += len(self._by_cause) - len(kept)
            self._by_cause = dict(kept)

    def worst_first(self) -> list[Story]:
        """Give the stories, the most severe first."""
        return [story for _, story in self._ranked()]

    def _ranked(self) -> list[tuple[str, Story]]:
        return sorted(self._by_cause.items(), key=lambda entry: -entry[1].worst["score"])

"""Which logs does the simulated operator watch, in which order, and what really happened?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import datasets
from benchmarks.quality.datasets import Events, SessionLog, Split

FIT_SHARE_OF_SESSIONS = 0.3
CLOCK_LINES = 2  # a clock believes a jump that it is told twice


@dataclass(frozen=True)
class Flow:
    """What is known before, and what comes: `items` in order, as event numbers and as raw lines."""

    name: str
    known: list[Events]
    items: list[Events]
    labels: NDArray[np.int64]
    texts: dict[int, str]
    grouping: dict[str, Any]
    groups: list[str] | None
    fit_lines: Callable[[], Iterable[str]]
    lines: Callable[[int, int], list[str]]
    """The raw lines of items `begin .. end - 1`."""

    def __len__(self) -> int:
        return len(self.items)

    def first(self, n: int) -> Flow:
        """Give the same flow, over after `n` items."""
        groups = None if self.groups is None else self.groups[:n]
        return replace(self, items=self.items[:n], labels=self.labels[:n], groups=groups)


def bgl_flow(folder: Path) -> Flow:
    """Give the last 20 % of BGL as windows of 20 lines, the normal windows before it being known."""
    return window_flow("BGL after 80 %", next(iter(datasets.bgl_splits(folder))))


def window_flow(name: str, split: Split) -> Flow:
    """Give the test of `split` window by window."""
    texts, items = split.texts, split.test
    return Flow(
        name=name,
        known=split.fit,
        items=items,
        labels=split.labels,
        texts=texts,
        grouping=split.grouping,
        groups=None,
        fit_lines=split.fit_lines,
        lines=lambda begin, end: [texts[event] for window in islice(items, begin, end) for event in window],
    )


def hdfs_flow(folder: Path) -> Flow:
    """Give the later 70 % of the HDFS sessions by their start, the normal ones of the first 30 % being known."""
    return session_flow("HDFS after 30 %", datasets.read_hdfs(folder))


def session_flow(name: str, log: SessionLog, share: float = FIT_SHARE_OF_SESSIONS) -> Flow:
    """Cut `log` after `share` of its sessions; a session is judged when it is over, at the end of the log."""
    cut = int(share * len(log.sessions))
    known = [session for session in log.sessions[:cut] if session.label == 0]
    later = log.sessions[cut:]
    clock = np.arange(len(log.lines) - CLOCK_LINES, len(log.lines))

    def lines(begin: int, end: int) -> list[str]:
        """Add the last lines of the log: silence is known when it has lasted."""
        rows = np.unique(np.concatenate([clock, *(session.rows for session in later[begin:end])]))
        return [log.lines[row] for row in rows]

    known_rows = np.sort(np.concatenate([session.rows for session in known]))
    return Flow(
        name=name,
        known=[session.events for session in known],
        items=[session.events for session in later],
        labels=np.array([session.label for session in later], dtype=np.int64),
        texts=log.texts,
        grouping={"group_by": datasets.BLOCK},
        groups=[session.block for session in later],
        fit_lines=lambda: (log.lines[row] for row in known_rows),
        lines=lines,
    )

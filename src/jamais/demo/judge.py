"""Which faults were alarmed in time, and which alarms were false?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from jamais.demo.incident import Fault

IN_TIME = timedelta(seconds=60)
"""After the first abnormal record; an alarm later than that counts as missed."""


@dataclass(frozen=True)
class Found:
    """A fault, and the first alarm in it: how long after its first abnormal record, and why."""

    fault: Fault
    delay: timedelta | None
    why: str

    @property
    def in_time(self) -> bool:
        return self.delay is not None and self.delay <= IN_TIME


@dataclass(frozen=True)
class Judgement:
    """What the alarms of one run were worth."""

    found: list[Found]
    false_alarms: list[tuple[datetime, str]]
    """One per cause: when it first came outside all faults, and its reason."""
    clean_hours: float

    @property
    def n_in_time(self) -> int:
        return sum(one.in_time for one in self.found)


def judge(verdicts: pl.DataFrame, faults: list[Fault], width: timedelta) -> Judgement:
    """Compare verdicts of windows of `width` with the faults; an alarm is heard when its window ends."""
    starts = [datetime.fromisoformat(name) for name in verdicts["group"].to_list()]
    alarms = [
        (start, why, cause)
        for start, why, cause, abnormal in zip(
            starts, verdicts["why"], verdicts["cause"], verdicts["abnormal"], strict=True
        )
        if abnormal
    ]
    false: dict[str, tuple[datetime, str]] = {}
    for start, why, cause in alarms:
        if not any(fault.start < start + width and start < fault.end for fault in faults):
            false.setdefault(cause, (start, why))
    clean = sum(not any(f.start < start + width and start < f.end for f in faults) for start in starts)
    return Judgement(
        [_found(fault, alarms, width) for fault in faults],
        list(false.values()),
        clean * width.total_seconds() / 3600.0,
    )


def _found(fault: Fault, alarms: list[tuple[datetime, str, str]], width: timedelta) -> Found:
    for start, why, _ in alarms:
        heard = start + width
        if heard > fault.first_record and start < fault.end:
            return Found(fault, heard - fault.first_record, why)
    return Found(fault, None, "")

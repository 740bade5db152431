"""What was recorded, and which faults were made when?"""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from jamais.errors import InputError

REST = timedelta(seconds=60)
"""Between the end of what is learned and the first fault."""


@dataclass(frozen=True)
class Fault:
    """One fault that was made on purpose; `first_record` is when it first showed in the log."""

    name: str
    start: datetime
    end: datetime
    first_record: datetime


@dataclass(frozen=True)
class Incident:
    """A recording cut in two: lines before the first fault to learn from, and all that came after."""

    normal: Path
    today: Path
    faults: list[Fault]
    n_lines: int


def unpack(out: Path, recording: Path | None = None) -> Incident:
    """Write the recording's two parts as logs into `out`; `recording` is the shipped one unless named."""
    source: Traversable = recording or resources.files("jamais") / "assets" / "incident"
    try:
        packed = (source / "incident.log.xz").read_bytes()
        faults = read_faults((source / "labels.csv").read_text(encoding="utf-8"))
    except OSError as wrong:
        raise InputError(f"no recording: {wrong}; reinstall jamais") from wrong
    lines = lzma.decompress(packed).splitlines(keepends=True)
    cut = (min(fault.start for fault in faults) - REST).isoformat().encode()
    place = next(i for i, line in enumerate(lines) if line[:19] >= cut[:19] and line[:2].isdigit())
    out.mkdir(parents=True, exist_ok=True)
    normal, today = out / "normal.log", out / "today.log"
    normal.write_bytes(b"".join(lines[:place]))
    today.write_bytes(b"".join(lines[place:]))
    return Incident(normal, today, faults, len(lines))


def read_faults(text: str) -> list[Fault]:
    """Read the labels file, in order of time."""
    faults = [
        Fault(row["fault"], *(datetime.fromisoformat(row[name]) for name in ("start", "end", "first_record")))
        for row in csv.DictReader(text.splitlines())
    ]
    return sorted(faults, key=lambda fault: fault.start)

"""Which writers does one run of `jamais score` feed?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jamais.cli import told
from jamais.cli.files import opened
from jamais.cli.verdicts import pictures, sinks
from jamais.cli.verdicts.in_order import InOrder
from jamais.cli.verdicts.segment_table import SegmentTable
from jamais.cli.verdicts.sinks import Sink
from jamais.cli.verdicts.table import Table
from jamais.settings import as_tree

if TYPE_CHECKING:
    import polars as pl

    from jamais.watcher import Watcher


@dataclass(frozen=True)
class Wanted:
    """What the user asked to be written, and where."""

    format: str | None
    out: str | None
    top: int | None
    only_abnormal: bool
    alarms: str | None
    plot: str | None


def write(verdicts: Iterable[pl.DataFrame], wanted: Wanted, watcher: Watcher) -> int:
    """Feed every frame to all that was asked for; give the number of alarms."""
    format_ = sinks.format_of(wanted.format, wanted.out)
    n_alarms = 0
    with ExitStack() as stack:
        files: list[Sink] = [sinks.WithoutVectors(_verdicts(format_, stack, wanted, watcher))]
        if wanted.alarms:
            files.append(sinks.AlarmFile(stack.enter_context(opened(wanted.alarms)), watcher.version))
        if wanted.plot:
            files.append(pictures.picture(wanted.plot, verdicts, watcher))
        for frame in verdicts:
            n_alarms += int(frame["abnormal"].sum())
            for file in files:
                file.add(frame)
        for file in files:
            file.close()
    return n_alarms


def _verdicts(format_: str, stack: ExitStack, wanted: Wanted, watcher: Watcher) -> Sink:
    file = stack.enter_context(opened(wanted.out))
    unit = told.unit_name(as_tree(watcher.settings))
    if format_ == "table" and watcher.kind == "series":
        return SegmentTable(file, rate=watcher.alarm_rate, top=wanted.top)
    if format_ == "table":
        return Table(file, unit=unit, rate=watcher.alarm_rate, top=wanted.top, version=watcher.version)
    sink = _rows(format_, file, wanted.out, stack)
    if wanted.top:
        sink = sinks.Top(wanted.top, sink)
    elif unit == "sessions":
        ordered = InOrder(sink)
        stack.callback(ordered.discard)
        sink = ordered
    return sinks.Abnormal(sink) if wanted.only_abnormal else sink


def _rows(format_: str, file: IO[bytes], out: str | None, stack: ExitStack) -> Sink:
    if format_ == "parquet" and out is not None:
        parquet = sinks.Parquet(file, Path(out))
        stack.callback(parquet.discard)
        return parquet
    return sinks.Csv(file) if format_ == "csv" else sinks.JsonLines(file)

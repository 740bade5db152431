"""What does a person want to read after a series was scored: from when to when was it abnormal, and in what?"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from jamais.cli import told
from jamais.cli.verdicts.table import SHOWN
from jamais.plots.series.segments import Segment, Segments
from jamais.types import NO_TIME

if TYPE_CHECKING:
    import polars as pl

_NAMED = 6


class SegmentTable:
    """Abnormal segments, the most severe first: start, end, duration, worst score, channels."""

    def __init__(self, file: IO[bytes], *, rate: float, top: int | None) -> None:
        self._file, self._rate, self._top = file, rate, top or SHOWN
        self._segments = Segments(most=max(self._top, 500))

    def add(self, frame: pl.DataFrame) -> None:
        self._segments.add(frame)

    def close(self) -> None:
        width = max(60, shutil.get_terminal_size((110, 24)).columns)
        text = "\n".join(self._lines(width)) + "\n"
        self._file.write(text.encode("utf-8", "replace"))

    def _lines(self, width: int) -> Iterator[str]:
        of, shown = self._segments, self._segments.worst_first()[: self._top]
        n = of.n_segments
        found = f"{_many(n, 'abnormal segment')} ({_many(of.n_alarms, 'row')})" if n else "nothing abnormal"
        yield f"{_many(of.n_rows, 'row')}, {found} at alarm rate {self._rate:g}"
        for segment in shown:
            yield ""
            yield from _segment(segment, width)
        if n > len(shown):
            yield f"\n… and {_many(n - len(shown), 'milder segment')}: --top {n} shows all"


def _segment(of: Segment, width: int) -> Iterator[str]:
    about = "~" if of.p_extrapolated else ""
    yield told.plain(f"  score {of.score:.1f}  p {about}{of.p_value:.1g}  {_span(of)}")
    indent = " " * 11
    yield from textwrap.wrap(told.plain(of.why), width, initial_indent=indent, subsequent_indent=f"{indent}  ")
    names = ", ".join(f"{name} {share:.0%}" for name, share in of.responsible()[:_NAMED])
    if names and of.alarms > 1:
        yield from textwrap.wrap(
            told.plain(f"on the whole: {names}"), width, initial_indent=indent, subsequent_indent=f"{indent}  "
        )
    yield told.plain(f"{indent}item {of.item}  cause {of.cause}")


def _span(of: Segment) -> str:
    """Write start, end and duration; of a single row, that row."""
    rows = of.last_row - of.first_row + 1
    alone = rows == 1
    numbers = f"row {of.first_row:,}" if alone else f"rows {of.first_row:,}–{of.last_row:,}"
    if of.seconds is None or NO_TIME in (of.first_time, of.last_time):
        return numbers if alone else f"{numbers} ({_many(rows, 'row')}, {of.alarms:,} abnormal)"
    start, end = _moment(of.first_time), _moment(of.last_time)
    if alone:
        return f"{start} UTC, one row ({numbers})"
    end = end[11:] if end[:10] == start[:10] else end
    return f"{start} – {end} UTC, {told.duration(of.seconds)} ({numbers}, {of.alarms:,} abnormal)"


def _moment(time: int) -> str:
    from jamais.plots.series.scene import moment

    return moment(time)


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"

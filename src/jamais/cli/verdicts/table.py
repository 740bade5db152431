"""What does a person want to read after scoring: what alarmed, how often, since when, and why?"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from jamais.cli import alarms, told
from jamais.cli.alarms import Stories, Story

if TYPE_CHECKING:
    import polars as pl

SHOWN = 20


class Table:
    """Alarms folded by cause, the most severe first."""

    def __init__(self, file: IO[bytes], *, unit: str, rate: float, top: int | None, version: int | None) -> None:
        self._file, self._unit, self._rate = file, unit, rate
        self._top, self._version = top or SHOWN, version
        self._n_rows = 0
        self._n_alone = 0
        self._stories = Stories()

    def add(self, frame: pl.DataFrame) -> None:
        self._n_rows += len(frame)
        if self._unit == "sessions":
            self._n_alone += frame["group"].null_count()
        for record in alarms.records(frame, self._version):
            self._stories.add(record)

    def close(self) -> None:
        width = max(60, shutil.get_terminal_size((110, 24)).columns)
        text = "\n".join(self._lines(width)) + "\n"
        self._file.write(text.encode("utf-8", "replace"))

    def _lines(self, width: int) -> Iterator[str]:
        stories = self._stories
        n, causes = stories.n_alarms, len(stories)
        alarmed = f"{_many(n, 'alarm')} of {_many(causes, 'cause')}" if n else "no alarms"
        yield f"{_many(self._n_rows, self._unit.removesuffix('s'))}, {alarmed} at alarm rate {self._rate:g}"
        if self._n_alone:
            yield f"(among them {_many(self._n_alone, 'line')} without a session, judged alone)"
        for story in stories.worst_first()[: self._top]:
            yield ""
            yield from _story(story, width)
        if causes > self._top:
            yield f"\n… and {_many(causes - self._top, 'milder cause')}: --top {causes} shows all"


def _story(story: Story, width: int) -> Iterator[str]:
    worst = story.worst
    about = "~" if worst["p_extrapolated"] else ""
    seen = f"{_short(story.first)}" if "template" in worst else f"row {worst['row']:,}"
    if story.last != story.first:
        seen += f" … {_short(story.last)}"
    p_value = f"p {about}{worst['p_value']:.1g}"
    yield told.plain(f"{story.times:>7,} ×  score {worst['score']:.1f}  {p_value}  {seen}")
    yield from _wrapped(worst["why"], width)
    if story.groups:
        more = f" and {story.times - len(story.groups):,} more" if story.times > len(story.groups) else ""
        yield from _wrapped(f"in {', '.join(story.groups)}{more}", width)
    nearest = worst.get("nearest")
    if nearest and nearest != worst.get("template"):
        yield from _wrapped(f"nearest known: {nearest}", width)
    yield f"           item {worst['item']}  cause {worst['cause']}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(told.plain(text), width, initial_indent=" " * 11, subsequent_indent=" " * 13)


def _short(time: str | None) -> str:
    return time[:19].replace("T", " ") if time else "no time"


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"

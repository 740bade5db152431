"""What happens while a log is watched: bytes in, alarms out, the place kept, until somebody says stop."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from jamais.cli import alarms, told
from jamais.cli.live.folding import Folder, Repeats
from jamais.cli.live.place import Place, PlaceFile
from jamais.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from jamais.cli.live.alarm_log import AlarmLog
    from jamais.sources.follow import Position
    from jamais.stream import Stream

QUIET = 0.3
"""Seconds without a byte after which the last record is taken to be whole."""
TICK_EVERY = 1.0
GRACE = 2.0
"""Seconds that a record may take from its writer to us; silence is only counted beyond it."""
SAVE_EVERY = 2.0
SAVE_SHARE = 0.05
"""At most this share of the time goes into saving the place."""
LONGEST_LINE = 1 << 20
"""A line without an end is passed on in pieces of this length; what reads it cuts it."""


@dataclass
class Counts:
    """What has been seen so far."""

    rows: int = 0
    alarms: int = 0


class Watch:
    """Pushes whole lines into a stream and tells the alarms."""

    def __init__(
        self,
        stream: Stream,
        version: int | None,
        *,
        as_json: bool = False,
        alarm_log: AlarmLog | None = None,
        ends: Ends | None = None,
        place: PlaceFile | None = None,
        position: Callable[[], Position | None] = lambda: None,
        lines_before: Callable[[], int | None] = lambda: None,
        number_from: Callable[[int], None] = lambda lines: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self.rest = b""
        """The line that is being written; a program that writes in blocks stops in the middle of one."""
        self._stream, self._version, self._as_json, self._alarm_log = stream, version, as_json, alarm_log
        self._ends, self._place, self._position, self._clock = ends, place, position, clock
        self._lines_before, self._number_from = lines_before, number_from
        self._folder = Folder(clock)
        self._ending: list[str] = []
        self._paused = True
        self._fed = clock()
        self._tick_at = clock() + TICK_EVERY
        self._save_at = clock() + SAVE_EVERY
        self._unsaved = False

    def run(self, blocks: Iterable[bytes | None]) -> None:
        """Watch until the blocks end; None stands for a moment in which nothing came."""
        for block in blocks:
            if block:
                self.take(block)
            elif not self._paused and self._clock() - self._fed >= QUIET:
                self.pause()
            elif self._clock() >= self._tick_at:
                self.tick()
            self._tell_repeats(self._folder.due())
            if self._unsaved and self._clock() >= self._save_at:
                self.save()

    def take(self, block: bytes) -> None:
        """Score the lines that are whole by now."""
        self._fed, self._paused, self._unsaved = self._clock(), False, True
        before = self._lines_before()
        if before is not None:
            self._number_from(before)
        lines, feed, rest = (self.rest + block).rpartition(b"\n")
        self.rest = rest
        if len(rest) > LONGEST_LINE:
            lines, feed, self.rest = lines + feed, rest, b""
        self._tell(self._stream.push_chunk(lines + feed))
        # What ended in the block before has been let go by this one: its record is whole now.
        self._end_sessions()
        if self._ends is not None:
            self._ending = self._ends.names(lines)

    def pause(self) -> None:
        """Take the last record as whole."""
        self._paused = True
        self._tell(self._stream.pause())
        self._end_sessions()

    def tick(self) -> None:
        """Let the stream know that time goes by, or a log that falls silent altogether would never alarm."""
        self._tick_at = self._clock() + TICK_EVERY
        self._tell(self._stream.tick(max(0.0, self._clock() - self._fed - GRACE)))

    def finish(self, *, ended: bool) -> None:
        """Tell what is left; when the data has `ended`, open sessions are judged, too."""
        if ended:
            self._tell(self._stream.push_chunk(self.rest))
            self._tell(self._stream.flush())
            self.rest = b""
        else:
            self.pause()
        self._tell_repeats(self._folder.due(all_of_it=True))

    def save(self) -> None:
        """Save the place, seldom enough that saving stays a small part of the work."""
        if self._place is None:
            return
        start = time.monotonic()
        self._place.save(Place(self._position(), self.rest, self._stream.state_dict(), self._version))
        self._save_at = self._clock() + max(SAVE_EVERY, (time.monotonic() - start) / SAVE_SHARE)
        self._unsaved = False

    def restore(self, place: Place) -> None:
        """Go on from a saved place; open sessions only make sense to the version that opened them."""
        self.rest = place.rest
        if place.version == self._version:
            self._stream.load_state_dict(place.stream)

    def _end_sessions(self) -> None:
        if self._ending:
            self._tell(self._stream.end(self._ending))
            self._ending = []

    def _tell(self, frame: pl.DataFrame) -> None:
        self.counts.rows += len(frame)
        for record in alarms.records(frame, self._version):
            self.counts.alarms += 1
            if self._alarm_log is not None:
                self._alarm_log.add(record)
            if self._folder.is_news(record):
                # click.echo flushes: an alarm that waits in a buffer is none.
                click.echo(alarms.line(record) if self._as_json else alarms.headline(record))

    def _tell_repeats(self, repeats: Iterable[Repeats]) -> None:
        for one in repeats:
            if self._as_json:
                short = {"cause": one.record["cause"], "repeats": one.times, "seconds": round(one.since, 1)}
                click.echo(json.dumps({**short, "why": one.record["why"]}, ensure_ascii=False))
            else:
                within = told.duration(max(one.since, 1.0))
                click.echo(told.plain(f"… {one.times:,} more in the last {within}: {one.record['why']}"))


class Ends:
    """Finds lines that end their session."""

    def __init__(self, pattern: str, sessions_of: Callable[[Sequence[bytes]], list[str | None]]) -> None:
        try:
            self._search = re.compile(pattern.encode())
        except re.error as wrong:
            raise InputError(f"--group-end {pattern!r} is no regular expression: {wrong}") from wrong
        self._sessions_of = sessions_of

    def names(self, lines: bytes) -> list[str]:
        """Give the sessions that these whole lines end."""
        ending = [line for line in lines.split(b"\n") if self._search.search(line)]
        return [name for name in self._sessions_of(ending) if name is not None] if ending else []

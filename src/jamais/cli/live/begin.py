"""How is a watch begun and ended: follower, stream and place put together, signals, a pipe nobody reads?"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import click

from jamais.cli.live.alarm_log import AlarmLog
from jamais.cli.live.place import PlaceFile
from jamais.cli.live.watching import LONGEST_LINE, Ends, Watch
from jamais.errors import InputError
from jamais.settings import as_tree, microseconds
from jamais.sources.assembler import RecordAssembler
from jamais.sources.follow import follow
from jamais.stream import Stream

if TYPE_CHECKING:
    from jamais.sources.follow import Follower, Pipe
    from jamais.watcher import Watcher

POLL_SECONDS = 0.1
_WATCHED = ("logs", "series")


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    folder: str
    log: str
    resume: bool
    from_start: bool
    idle: str
    format: str
    alarms: str | None
    group_end: str | None


def watch(watcher: Watcher, wanted: Wanted) -> None:
    """Watch until the end of the pipe, a signal, or until nobody reads standard output."""
    _check(watcher, wanted)
    with ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        place = PlaceFile(wanted.folder, wanted.log) if wanted.resume else None
        saved = place.load() if place is not None else None
        position = saved.position if saved is not None else None
        follower = follow(
            wanted.log, poll_seconds=POLL_SECONDS, from_start=wanted.from_start, position=position, stop=stop
        )
        assembler = watcher.recipe.assembler()

        def number_from(lines: int) -> None:
            if isinstance(assembler, RecordAssembler):
                assembler.counts["lines"] = lines

        watching = Watch(
            Stream(assembler, watcher.recipe.scorer(microseconds(wanted.idle))),
            watcher.version,
            as_json=wanted.format == "json",
            alarm_log=stack.enter_context(AlarmLog(wanted.alarms)) if wanted.alarms else None,
            ends=_ends(watcher, wanted.group_end),
            place=place,
            position=lambda: follower.position,
            lines_before=lambda: follower.lines_before,
            number_from=number_from,
        )
        if saved is not None:
            watching.restore(saved)
        named = getattr(assembler, "head", None)  # of what has columns
        if named is not None and wanted.log != "-":
            named(_first_line(wanted.log))
        stack.callback(lambda: _say(f"{watching.counts.rows:,} rows, {watching.counts.alarms:,} alarms"))
        watching.run(_begun(follower, watcher, wanted.log))
        watching.finish(ended=not stop())
        watching.save()


def _first_line(path: str) -> bytes:
    """Read the line that names the columns: a watch begins further below."""
    try:
        with open(path, "rb") as file:
            return file.readline(LONGEST_LINE)
    except OSError:
        return b""


def _check(watcher: Watcher, wanted: Wanted) -> None:
    """Raise InputError for what cannot be watched."""
    if watcher.kind not in _WATCHED:
        raise InputError(
            f"watch reads lines as they are written, this is a watcher of {watcher.kind}: jamais score {wanted.folder} "
            "FILE, or in Python watcher.stream().push(rows)"
        )
    if wanted.resume and wanted.log == "-":
        raise InputError("standard input has no place to resume at: name a file, or leave --resume out")


def _begun(follower: Follower | Pipe, watcher: Watcher, log: str) -> Iterator[bytes | None]:
    """Find the place to begin at, then get ready while nothing waits, then say so."""
    blocks = iter(follower)
    first = next(blocks, b"")
    if first is None and watcher.kind == "logs":
        warm = watcher.stream()
        warm.push(["getting ready to read what was never seen"])
        warm.pause()
    _say(f"watching {'standard input' if log == '-' else log}, stop with Ctrl-C")
    if getattr(follower, "lost", False):
        _say("the saved place was in a file that is gone: some lines may never have been looked at")
    return chain([first], blocks)


def _ends(watcher: Watcher, group_end: str | None) -> Ends | None:
    if group_end is None:
        return None
    group_by = as_tree(watcher.settings).get("group_by")
    if not group_by:
        raise InputError("this watcher knows no sessions that could end: --group-end goes with fit --group-by")
    from jamais.recipes.logs.reading.groups import Grouper

    grouper = Grouper(group_by)

    def sessions_of(lines: Sequence[bytes]) -> list[str | None]:
        assembler = watcher.recipe.assembler()
        parts = (assembler.push(lines), assembler.flush())
        found = [name for part in parts for name in grouper.names(part)]
        return [None if name is None else name.decode(errors="replace") for name in found]

    return Ends(group_end, sessions_of)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Turn signals, and a standard output that nobody reads any more, into a wish to stop."""
    asked: list[int] = []
    before = {
        one: signal.signal(one, lambda number, _: asked.append(number)) for one in (signal.SIGINT, signal.SIGTERM)
    }
    gone = _reader_gone()
    try:
        yield lambda: bool(asked) or gone()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _reader_gone() -> Callable[[], bool]:
    try:
        descriptor = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, ValueError):
        is_pipe = False
    if not is_pipe:
        return lambda: False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors only
    return lambda: bool(poll.poll(0))


def _say(sentence: str) -> None:
    click.echo(f"jamais: {sentence}", err=True)

"""What must be known of whole files before they are read: order among files, names and order of long lines?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.sources.formats.keyed import MESSAGE_KEYS
from jamais.sources.series.block import Piece
from jamais.sources.series.choosing import TEXT
from jamais.sources.series.intake import Intake, names_of
from jamais.sources.series.opened.opening import opened
from jamais.sources.series.opened.source import Numbers, Part, SeriesSource
from jamais.sources.series.settings import SeriesReading
from jamais.types import NO_TIME

_LOOK_LINES = 50
_MOST_LINES = 5_000_000
"""Lines that are sorted in memory at most: some 150 MB."""


@dataclass
class Survey:
    """What a look over everything found."""

    sources: list[SeriesSource]
    names: tuple[str, ...] = ()
    """Names of the channels of a long layout."""
    said: str = ""


def in_order_of_time(sources: list[SeriesSource], options: SeriesReading) -> list[SeriesSource]:
    """Sort the files of a glob by their first stamp, then by name; without stamps by name."""
    if len(sources) < 2 or not all(source.from_glob and source.again for source in sources):
        return sources
    return sorted(sources, key=lambda source: (_first_stamp(source, options), source.name))


def survey(sources: list[SeriesSource], options: SeriesReading, channels: tuple[str, ...] | None) -> Survey:
    """Read what is of the long layout once before: all its names, and sorted by time where it is not.

    Nothing is read before of a wide layout, of arrays, and of what can be read but once.
    """
    if options.layout == "wide" or not all(source.again for source in sources):
        return Survey(sources)
    names: dict[str, None] = {}
    latest, in_order, n_lines = NO_TIME, True, 0
    for frame in _long_frames(sources, options, channels):
        if frame is None:
            return Survey(sources)
        names.update(dict.fromkeys(names_of(frame.to_series(1), sources[0].name)))
        times = frame.to_series(0).drop_nulls().to_physical().to_numpy()
        in_order &= bool((np.diff(times, prepend=times[:1] if latest == NO_TIME else latest) >= 0).all())
        latest = max(latest, int(times.max(initial=latest)))
        n_lines += len(frame)
    if in_order:
        return Survey(sources, tuple(names))
    if n_lines > _MOST_LINES:
        raise InputError(
            f"{sources[0].name}: its {n_lines:,} lines of (time, name, value) go back in time, at most {_MOST_LINES:,} "
            "are sorted here: sort them by time"
        )
    return Survey([_sorted(sources, options, channels)], tuple(names), "lines were sorted by time")


def is_over_time(data: Any) -> bool:
    """Say whether a table (a path, paths or a DataFrame) has a column of stamps and numbers beside it, and no texts
    that are read as messages."""
    try:
        source = opened(data, SeriesReading())[0]
        held = next(iter(source.parts(SeriesReading()))).held
        if isinstance(held, Numbers):
            return False
        chosen, kinds = Intake(SeriesReading(), None).look(held)
    except (InputError, IndexError, StopIteration):
        return False
    messages = any(kind == TEXT and name.strip().lower() in MESSAGE_KEYS for name, kind in kinds.items())
    return chosen is not None and chosen.time is not None and not messages


def _long_frames(
    sources: list[SeriesSource], options: SeriesReading, channels: tuple[str, ...] | None
) -> Iterator[pl.DataFrame | None]:
    """Give all long lines; None, and no more, as soon as something is not of the long layout."""
    intake = Intake(options, channels)
    for source in sources:
        intake.begin(source.name)
        for part in source.parts(options):
            if isinstance(part.held, Numbers):
                yield None
                return
            frame = intake.long_lines(part.held)
            yield frame
            if frame is None:
                return


def _sorted(sources: list[SeriesSource], options: SeriesReading, channels: tuple[str, ...] | None) -> SeriesSource:
    whole = pl.concat([frame for frame in _long_frames(sources, options, channels) if frame is not None])
    whole = whole.sort(whole.columns[0], maintain_order=True, nulls_last=True)

    def parts(options: SeriesReading) -> Iterator[Part]:
        for start in range(0, len(whole), options.block_rows):
            yield Part(whole[start : start + options.block_rows], min(1.0, (start + options.block_rows) / len(whole)))

    return SeriesSource(sources[0].name, sources[0].format, parts, sum(source.size for source in sources))


def _first_stamp(source: SeriesSource, options: SeriesReading) -> float:
    intake = Intake(options, None, source.name)
    for part in source.parts(options):
        piece = _head(intake, part)
        if piece is None:
            break
        known = piece.times[piece.times != NO_TIME]
        if len(known):
            return float(known[0])
        if len(piece):
            break
    return np.inf


def _head(intake: Intake, part: Part) -> Piece | None:
    """Take the first rows of a part; None where there are no stamps beside them."""
    if isinstance(part.held, bytes):
        piece = intake.lines(b"\n".join(part.held.split(b"\n", _LOOK_LINES)[:_LOOK_LINES]))
    elif isinstance(part.held, Numbers):
        if part.held.times is None:
            return None
        return Piece(intake.stamps(part.held.times[:1]), np.zeros((1, 0)))
    else:
        piece = intake.table(part.held.head(_LOOK_LINES))
    return piece if len(piece) else intake.flush()

"""How is a series read, whatever holds it, in blocks and with bounded memory?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from jamais.errors import InputError
from jamais.settings import microseconds
from jamais.sources.series.block import Piece, SeriesBlock, cut, joined, joined_pieces
from jamais.sources.series.intake import Intake
from jamais.sources.series.opened.opening import opened
from jamais.sources.series.opened.source import Numbers, SeriesSource
from jamais.sources.series.settings import SeriesReading
from jamais.sources.series.stamps.grid import Grid
from jamais.sources.series.stamps.line import TimeLine, keeps_no_step, repeats, usual_step
from jamais.sources.series.survey import in_order_of_time, survey
from jamais.types import NO_TIME

_CELLS = 4 << 20
"""Values held at once: rows of very many channels come in smaller blocks."""


def open_series(
    data: Any, options: SeriesReading | None = None, channels: tuple[str, ...] | None = None, step: int | None = None
) -> SeriesReader:
    """Open paths, a glob, "-", a DataFrame, an array [time, channel] or rows for reading; raises InputError.

    `channels` are those that were fitted; None: all there are. `step`: microseconds between rows, as it was fitted;
    None: the median among the first rows.
    """
    options = options or SeriesReading()
    return SeriesReader(in_order_of_time(opened(data, options), options), options, channels, step)


class SeriesReader:
    """Iterate over the blocks of a series, once."""

    def __init__(
        self,
        sources: list[SeriesSource],
        options: SeriesReading,
        channels: tuple[str, ...] | None,
        step: int | None,
    ) -> None:
        self._sources, self._options = sources, options
        self._intake = Intake(options, channels)
        self._given_step = step
        self.files = [source.name for source in sources]
        self.format = sources[0].format if sources else ""
        self.bytes_done = 0
        self.bytes_total = sum(source.size for source in sources)
        self.n_rows = 0
        """Rows that were given out, without empty ones."""
        self.step = step or 0
        """Microseconds between rows, 0 without stamps or where they keep no step."""
        self._line: TimeLine | Grid | None = None
        self._told: list[str] = []

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels; known from the first block on."""
        return self._intake.channels or ()

    @property
    def counts(self) -> dict[str, int]:
        """What was met, and how often."""
        counted = Counter(self._intake.counts)
        if self._line is not None:
            counted.update(self._line.counts)
        return {name: n for name, n in counted.items() if n}

    @property
    def said(self) -> list[str]:
        """Sentences worth telling the user once."""
        return [*self._intake.said, *self._told, *(f"{name}: {n:,}" for name, n in self.counts.items())]

    def __iter__(self) -> Iterator[SeriesBlock]:
        held: list[SeriesBlock] = []
        n_held = 0
        for block in self._laid():
            held.append(block)
            n_held += len(block.rows)
            size = self._block_rows()
            if n_held >= size:
                *whole, rest = cut(joined(held, len(self.channels)), size)
                for one in whole if len(rest.rows) < size else [*whole, rest]:
                    yield self._given(one)
                held = [rest] if len(rest.rows) < size else []
                n_held = sum(len(one.rows) for one in held)
        if n_held:
            yield self._given(joined(held, len(self.channels)))

    def _given(self, block: SeriesBlock) -> SeriesBlock:
        self.n_rows += len(block)
        return block

    def _block_rows(self) -> int:
        return max(1, min(self._options.block_rows, _CELLS // max(len(self.channels), 1)))

    def _laid(self) -> Iterator[SeriesBlock]:
        """Lay pieces on the line of time; the first ones wait until the step is known."""
        waiting: list[Piece] = []
        n_waiting = 0
        for piece in self._pieces():
            if self._line is None:
                waiting.append(piece)
                n_waiting += len(piece)
                if self._given_step is None and n_waiting < self._options.block_rows:
                    continue
                piece, waiting = self._begun(waiting), []
            yield from self._put(piece)
        if waiting:
            yield from self._put(self._begun(waiting))
        if self._line is not None:
            yield self._line.flush()

    def _put(self, piece: Piece) -> Iterator[SeriesBlock]:
        """Lay down so few rows at once that a gap before each of them could be held."""
        assert self._line is not None
        size = max(1, _CELLS // (max(len(self.channels), 1) * (self._options.max_gap_rows + 1)))
        for start in range(0, len(piece), size):
            yield self._line.put(piece.times[start : start + size], piece.values[start : start + size])

    def _begun(self, waiting: list[Piece]) -> Piece:
        """Settle the step by the first rows."""
        first = joined_pieces(waiting, len(self.channels))
        options = self._options
        if options.resample is not None:
            self.step = microseconds(options.resample)
            self._told.append(f"values are averaged over {options.resample}")
            self._line = Grid(len(self.channels), self.step, options.max_gap_rows)
            return first
        if self._given_step is None:
            head = first.times[: max(options.block_rows, 2)]
            _refuse_newest_first(head[head != NO_TIME], self._sources[0].name)
            self.step = usual_step(head)
            if 2 * repeats(head) > len(head):
                self._told.append(
                    "most rows repeat the stamp before: lines of (time, name, value) want name_column and value_column"
                )
            if keeps_no_step(head):
                self._told.append('stamps keep no step, so no gaps are marked; resample="60s" would lay a grid')
        self._line = TimeLine(len(self.channels), self.step, options.max_gap_rows)
        return first

    def _pieces(self) -> Iterator[Piece]:
        done = 0
        found = survey(self._sources, self._options, self._intake.channels)
        self._told += [found.said] if found.said else []
        if self._intake.channels is None and found.names:
            self._intake.channels = self._options.columns or found.names
        for source in found.sources:
            self._intake.begin(source.name)
            for part in source.parts(self._options):
                piece = self._taken(part.held)
                self.bytes_done = done + round(source.size * part.share)
                if len(piece):
                    yield piece
            done += source.size
            self.bytes_done = done
        last = self._intake.flush()
        if len(last):
            yield last

    def _taken(self, held: Any) -> Piece:
        if isinstance(held, bytes):
            return self._intake.lines(held)
        if isinstance(held, Numbers):
            times = None if held.times is None else self._intake.stamps(held.times)
            return self._intake.array(held.values, times, held.names)
        return self._intake.table(held)


def _refuse_newest_first(times: Any, whose: str) -> None:
    apart = np.diff(times)
    if len(apart) > 1 and (apart < 0).sum() > (apart > 0).sum():
        raise InputError(f"{whose}: stamps run backwards, newest first: sort the rows by time")

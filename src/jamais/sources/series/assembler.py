"""How does a series that comes in pieces become the rows that the whole would give?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jamais.errors import InputError
from jamais.settings import microseconds
from jamais.sources.inputs import LINE_BYTES
from jamais.sources.series.block import Piece, SeriesBlock, joined
from jamais.sources.series.intake import Intake
from jamais.sources.series.opened.tables import pandas_frame
from jamais.sources.series.settings import SeriesReading
from jamais.sources.series.stamps.grid import Grid
from jamais.sources.series.stamps.line import TimeLine

_PUSHED = "lines of text, rows of numbers, mappings {channel: value} or a DataFrame"


class SeriesAssembler:
    """Takes lines, chunks of bytes, rows, mappings and tables as they come.

    Rows are numbered on from push to push, and gaps between pushes are filled as within one. A row is given at once,
    save in the long layout (when the next stamp comes) and resampled (when its cell is over).
    """

    def __init__(self, options: SeriesReading, channels: tuple[str, ...], step: int) -> None:
        self._intake = Intake(options, channels, "stream", streams=True)
        width = len(channels)
        self._line: TimeLine | Grid = (
            TimeLine(width, step, options.max_gap_rows)
            if options.resample is None
            else Grid(width, microseconds(options.resample), options.max_gap_rows)
        )
        self._width = width
        self._pending = b""

    @property
    def counts(self) -> dict[str, int]:
        """What was met, and how often."""
        return {name: n for name, n in (self._intake.counts + self._line.counts).items() if n}

    @property
    def said(self) -> list[str]:
        """Sentences worth telling the user once."""
        return [*self._intake.said, *(f"{name}: {n:,}" for name, n in self.counts.items())]

    def push(self, lines_or_rows: Any) -> SeriesBlock:
        """Take lines, one row [channels] or some [n, channels], mappings, or a table; raises InputError."""
        given = lines_or_rows
        if isinstance(given, str | bytes):
            given = [given]
        if hasattr(given, "iloc"):
            return self._laid(self._intake.table(pandas_frame(given)))
        if hasattr(given, "columns"):
            return self._laid(self._intake.table(given.collect() if hasattr(given, "collect") else given))
        if isinstance(given, Mapping):
            given = [given]
        if not hasattr(given, "shape"):
            given = list(given) if isinstance(given, Iterable) else _refuse(given)
        if not len(given):
            return SeriesBlock.none(self._width)
        first = given[0]
        if isinstance(first, str | bytes):
            return self.push_chunk(b"".join(map(_ended, given)))
        if isinstance(first, Mapping):
            return self._laid(self._intake.records(given))
        one_row = np.ndim(first) == 0 and (self._width > 1 or len(given) == 1)
        return self._laid(self._intake.array([given] if one_row else given))

    def head(self, line: bytes) -> None:
        """Look at the first line of a file that is read from further below: it may name the columns."""
        self._intake.head(line)

    def push_chunk(self, data: bytes) -> SeriesBlock:
        """Take bytes of lines that may end in the middle of one; its beginning is kept."""
        data = self._pending + bytes(data)
        end = data.rfind(b"\n")
        if len(data) - end > LINE_BYTES:
            raise InputError(f"a line of more than {LINE_BYTES:,} bytes is no row of a table: drop it")
        block = self._laid(self._intake.lines(data[:end])) if end >= 0 else SeriesBlock.none(self._width)
        self._pending = data[end + 1 :]
        return block

    def pause(self) -> SeriesBlock:
        """Give the open stamp of a long layout: what belongs to one moment comes in one go. Cells stay open."""
        return self._laid(self._intake.flush())

    def flush(self) -> SeriesBlock:
        """Give all that is held back: a last line without its end, an open stamp, an open cell."""
        pending, self._pending = self._pending, b""
        blocks = [self._laid(self._intake.lines(pending))] if pending.strip() else []
        blocks += [self._laid(self._intake.flush()), self._line.flush()]
        return joined(blocks, self._width)

    def state_dict(self) -> dict[str, Any]:
        """Give all that is needed to go on exactly, as JSON values."""
        return {
            "pending": self._pending.decode("latin-1"),
            "intake": self._intake.state_dict(),
            "line": self._line.state_dict(),
            "counts": dict(self._line.counts),
        }

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        """Go on where the assembler stood whose `state_dict` this is."""
        self._pending = str(tree["pending"]).encode("latin-1")
        self._intake.load_state_dict(tree["intake"])
        self._line.load_state_dict(tree["line"])
        self._line.counts = Counter({str(name): int(n) for name, n in tree["counts"].items()})

    def _laid(self, piece: Piece) -> SeriesBlock:
        return self._line.put(piece.times, piece.values) if len(piece) else SeriesBlock.none(self._width)


def _ended(line: str | bytes) -> bytes:
    if not isinstance(line, str | bytes):
        raise InputError(f"expected lines of text, got {type(line).__name__}: give one kind at a time")
    text = line.encode("utf-8", "replace") if isinstance(line, str) else line
    return text if text.endswith(b"\n") else text + b"\n"


def _refuse(given: Any) -> Any:
    raise InputError(f"cannot take {type(given).__name__} for a piece of a series: push {_PUSHED}")

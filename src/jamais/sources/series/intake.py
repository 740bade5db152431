"""How do lines, tables and arrays become rows of the same channels?"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series.block import Piece, no_piece
from jamais.sources.series.choosing import NUMBER, Chosen, choose, listed, unnamed
from jamais.sources.series.few import MOST, few_lines, few_records
from jamais.sources.series.opened.delimited import MISSING, Delimited
from jamais.sources.series.opened.numbers import column_kind, float_rows
from jamais.sources.series.opened.tables import records_frame
from jamais.sources.series.pivot import Pivot
from jamais.sources.series.settings import SeriesReading
from jamais.sources.series.stamps.columns import StampColumn
from jamais.types import NO_TIME, Floats, Ints

_LOOK_ROWS = 1_000
_MOST_NAMES = 100_000
_NO_LINES = pl.DataFrame(schema={"time": pl.Datetime("us", "UTC"), "name": pl.String, "value": pl.Float64})
_UNSTAMPED = "rows without a stamp"


class Intake:
    """Takes what was found, piece by piece, and gives rows in the order of the channels.

    Channels are those that were fitted, or else what the first piece has. Cutting the same lines into other pieces
    changes nothing (what columns hold is looked at only where no channels are fitted).
    """

    def __init__(
        self, options: SeriesReading, channels: tuple[str, ...] | None, whose: str = "", *, streams: bool = False
    ) -> None:
        self._options, self._whose = options, whose
        self.channels = channels
        self.said: list[str] = []
        self.counts: Counter[str] = Counter()
        self._at = 0
        self._delimited: Delimited | None = None
        self._chosen: Chosen | None = None
        self._kinds: dict[str, str] = {}
        self._tables: tuple[tuple[str, ...], Chosen] | None = None
        counted = options.unreadable == "missing" or (streams and options.unreadable == "auto")
        self._unread = self.counts if counted else None
        """Where is counted what cannot be read; None: it is refused."""
        self._stamps = StampColumn(options.timezone, options.time_format, self._unread)
        self._pivot: Pivot | None = None

    @property
    def layout(self) -> str:
        """Say "wide" or "long", as far as one knows."""
        return "long" if self._pivot is not None else "wide"

    def begin(self, whose: str) -> None:
        """Begin another file: its columns may stand in another order."""
        self._whose, self._at = whose, 0
        self._delimited = self._chosen = None
        self._tables = None
        self._stamps.form = None

    def head(self, line: bytes) -> None:
        """Look at a line that stands above those that come; where it names channels, it names the columns."""
        if self._delimited is not None or not line.strip():
            return
        try:
            found = Delimited.of(line.strip(b"\r\n"), self.channels, self._whose)
            self._choose(dict.fromkeys(found.names, NUMBER))
        except (InputError, ShapeMismatchError):
            return  # what comes next is read by itself, or says so
        if found.has_names:
            self._delimited = found

    def lines(self, body: bytes) -> Piece:
        """Take whole lines, the last without its line feed. Where it raises, nothing was taken."""
        body = body.removeprefix(BOM_UTF8).lstrip(b"\r\n") if self._delimited is None else body
        delimited = self._delimited_of(body)
        if delimited is None:
            return self._nothing()
        body = self._whole(delimited, body)
        if not body:
            self._delimited = delimited
            return self._nothing()
        chosen, kinds = self._chosen, self._kinds
        if chosen is None:
            kinds = delimited.kinds(body, self._whose, 1 if self.channels is not None else _LOOK_ROWS)
            chosen = self._choose(kinds)
        piece = self._few_lines(body, delimited, chosen)
        if piece is None:
            piece = self._taken(delimited.frame(body, chosen, self._whose), chosen)
        self._delimited, self._chosen, self._kinds = delimited, chosen, kinds
        self._settle(chosen)
        return piece

    def table(self, frame: pl.DataFrame) -> Piece:
        """Take rows of a table."""
        if not len(frame):
            return self._nothing()
        names = tuple(frame.columns)
        if self._tables is None or self._tables[0] != names:
            look = frame.head(1 if self.channels is not None else _LOOK_ROWS)
            self._tables = names, self._choose({name: column_kind(look[name]) for name in names})
        chosen = self._tables[1]
        piece = self._taken(frame, chosen)
        self._settle(chosen)
        return piece

    def records(self, records: Sequence[Mapping[str, Any]]) -> Piece:
        """Take mappings {channel: value, "time": …}."""
        if len(records) <= MOST and self._tables is not None and self.channels is not None:
            names = tuple(dict.fromkeys(name for one in records for name in one))
            chosen = self._tables[1]
            if names == self._tables[0] and not chosen.is_long:
                read = few_records(records, chosen)
                piece = None if read is None else self._few(*read, stamped=chosen.time is not None)
                if piece is not None:
                    return piece
        return self.table(records_frame(records))

    def array(self, values: Any, times: Ints | None = None, names: tuple[str, ...] | None = None) -> Piece:
        """Take values [n, channels], or [n] of a single one, with stamps in microseconds or without."""
        rows = float_rows(values, self._whose, self._at)
        if self.channels is None:
            self.channels = names or unnamed(rows.shape[1])
        elif names is not None and set(names) & set(self.channels):
            rows = self._by_name(rows, names, self.channels)
        if self._options.resample is not None and times is None:
            raise InputError(f"{self._whose} has no stamps, so it cannot be resampled: give a table with a time column")
        if rows.shape[1] != len(self.channels):
            raise ShapeMismatchError(
                f"{self._whose}: rows have {rows.shape[1]} values, wanted the {len(self.channels)} channels that were "
                f"fitted ({listed(self.channels)}): give a value for each, NaN where it is missing"
            )
        self._at += len(rows)
        return Piece(np.full(len(rows), NO_TIME, np.int64) if times is None else times, self._finite(rows))

    def stamps(self, column: pl.Series) -> Ints:
        """Read stamps that came beside an array."""
        return self._stamps.read(column, self._whose, self._at)

    def look(self, held: bytes | pl.DataFrame) -> tuple[Chosen | None, dict[str, str]]:
        """Say where in a first piece stamps and values are, and what its columns hold; nothing of it is taken."""
        if not isinstance(held, bytes):
            kinds = {name: column_kind(held[name].head(_LOOK_ROWS)) for name in held.columns}
            return self._choose(kinds), kinds
        body = held.removeprefix(BOM_UTF8).lstrip(b"\r\n") if self._delimited is None else held
        self._delimited = self._delimited_of(body)
        body = self._whole(self._delimited, body) if self._delimited is not None else b""
        if self._delimited is None or not body:
            return None, {}
        kinds = self._delimited.kinds(body, self._whose, _LOOK_ROWS)
        return self._choose(kinds), kinds

    def long_lines(self, held: bytes | pl.DataFrame) -> pl.DataFrame | None:
        """Read lines of the long layout as a table of moments, names and values; None where the layout is wide."""
        chosen = self._chosen = self._chosen or self.look(held)[0]
        if chosen is None or not chosen.is_long:
            return None
        frame = held
        if isinstance(held, bytes):
            assert self._delimited is not None
            body = self._whole(self._delimited, held.removeprefix(BOM_UTF8))
            if not body:
                return _NO_LINES
            frame = self._delimited.frame(body, chosen, self._whose)
        assert isinstance(frame, pl.DataFrame)
        if chosen.time is None or chosen.name is None or chosen.value is None:
            return None
        times = self._moments(frame, chosen.time, chosen.clock)
        values = self._floats(frame[chosen.value])
        self._at += len(frame)
        return pl.DataFrame(
            [
                pl.Series("time", times).set(pl.Series(times == NO_TIME), None),
                frame[chosen.name].cast(pl.String).alias("name"),
                pl.Series("value", values),
            ]
        ).with_columns(pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))

    def flush(self) -> Piece:
        """Give the row that was held back because more of its values might have come."""
        return self._pivot.flush() if self._pivot is not None else self._nothing()

    def say(self, sentence: str) -> None:
        """Keep a sentence worth telling the user once."""
        if sentence not in self.said:
            self.said.append(sentence)

    def state_dict(self) -> dict[str, Any]:
        return {
            "at": self._at,
            "text": self._delimited.state_dict() if self._delimited is not None else None,
            "kinds": self._kinds if self._chosen is not None else None,
            "stamps": self._stamps.state_dict(),
            "pivot": self._pivot.state_dict() if self._pivot is not None else None,
            "said": list(self.said),
            "counts": dict(self.counts),
        }

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self._at = int(tree["at"])
        self._delimited = Delimited.from_state(tree["text"]) if tree["text"] is not None else None
        self._tables = None
        if tree["kinds"] is not None:
            self._kinds = dict(tree["kinds"])
            self._chosen = self._choose(self._kinds)
        self._stamps.load_state_dict(tree["stamps"])
        if tree["pivot"] is not None:
            self._pivot = Pivot(self.channels or ())
            self._pivot.load_state_dict(tree["pivot"])
        self.said = [str(one) for one in tree["said"]]
        self.counts.clear()
        self.counts.update({str(name): int(n) for name, n in tree["counts"].items()})

    def _delimited_of(self, body: bytes) -> Delimited | None:
        if self._delimited is not None or not body.strip():
            return self._delimited
        return Delimited.of(body.split(b"\n", 1)[0], self.channels, self._whose)

    def _whole(self, delimited: Delimited, body: bytes) -> bytes:
        """Give the lines of a body that are rows."""
        body = delimited.clean(body)
        return delimited.whole(body, self._whose, self._at, self._unread) if body.strip() else b""

    def _choose(self, kinds: dict[str, str]) -> Chosen:
        chosen = choose(kinds, self._options, self.channels, self._whose)
        if self._options.resample is not None and chosen.time is None:
            raise InputError(f"{self._whose} has no stamps, so it cannot be resampled: name them with time_column")
        return chosen

    def _settle(self, chosen: Chosen) -> None:
        """Keep what was chosen, now that some of it could be read."""
        for sentence in chosen.said:
            self.say(sentence)
        if self.channels is None and not chosen.is_long:
            self.channels = chosen.channels

    def _few_lines(self, body: bytes, delimited: Delimited, chosen: Chosen) -> Piece | None:
        if body.count(b"\n") >= MOST or self.channels is None or chosen.is_long:
            return None
        read = few_lines(body, delimited.names, delimited.separator, chosen)
        return None if read is None else self._few(*read, stamped=chosen.time is not None)

    def _few(self, stamps: list[str], values: Floats, stamped: bool) -> Piece | None:
        times = self._stamps.few(stamps)
        if times is None:
            return None
        return self._rows(times, values, stamped)

    def _taken(self, frame: pl.DataFrame, chosen: Chosen) -> Piece:
        times = np.full(len(frame), NO_TIME, np.int64)
        if chosen.time is not None:
            times = self._moments(frame, chosen.time, chosen.clock)
        if chosen.name is not None and chosen.value is not None:
            values = self._floats(frame[chosen.value])
            return self._pivoted(times, frame[chosen.name], values, chosen)
        columns = [(i, one) for i, one in enumerate(chosen.columns) if one is not None]
        values = np.full((len(frame), len(chosen.columns)), np.nan)
        if all(frame.schema[one] == pl.Float64 for _, one in columns):
            values[:, [i for i, _ in columns]] = frame.select([one for _, one in columns]).to_numpy()
        else:
            for i, one in columns:
                values[:, i] = self._floats(frame[one])
        return self._rows(times, values, chosen.time is not None)

    def _moments(self, frame: pl.DataFrame, time: str, clock: str | None) -> Ints:
        column = frame[time]
        if clock is not None:
            hours = frame[clock]
            hours = hours.dt.to_string("%H:%M:%S%.f") if hours.dtype == pl.Time else hours.cast(pl.String)
            column = (column.cast(pl.String) + " " + hours).alias(f"{time} {clock}")
        return self._stamps.read(column, self._whose, self._at)

    def _rows(self, times: Ints, values: Floats, stamped: bool) -> Piece:
        if stamped:
            self.counts[_UNSTAMPED] += int((times == NO_TIME).sum())
        self._at += len(times)
        return Piece(times, self._finite(values))

    def _pivoted(self, times: Ints, names: pl.Series, values: Floats, chosen: Chosen) -> Piece:
        self._at += len(times)
        self.counts[_UNSTAMPED] += int((times == NO_TIME).sum())
        texts = names.cast(pl.String)
        if self.channels is None:
            self.channels = chosen.channels or names_of(texts, self._whose)
        if self._pivot is None:
            self._pivot = Pivot(self.channels)
        return self._pivot.put(times, texts, self._finite(values), self.counts)

    def _by_name(self, rows: Floats, names: tuple[str, ...], channels: tuple[str, ...]) -> Floats:
        """Put columns that have names in the order of the channels."""
        chosen = choose(dict.fromkeys(names, NUMBER), SeriesReading(time_column=""), channels, self._whose)
        self._settle(chosen)
        out = np.full((len(rows), len(channels)), np.nan)
        for i, column in enumerate(chosen.columns):
            if column is not None:
                out[:, i] = rows[:, names.index(column)]
        return out

    def _floats(self, column: pl.Series) -> Floats:
        """Give a column as float64 [n], NaN where nothing stands."""
        kind = column.dtype
        if kind == pl.Null:
            return np.full(len(column), np.nan)
        if kind == pl.String:
            text = column.str.strip_chars()
            read = text.cast(pl.Float64, strict=False)
            bad = read.is_null() & text.is_not_null() & ~text.is_in(MISSING)
            if bad.any() and self._unread is None:
                row = int(bad.arg_max() or 0)
                raise InputError(
                    f"{self._whose}: row {self._at + row:,}, column {column.name!r}: {str(column[row])[:40]!r} is no "
                    "number: mend it, leave the column out with reading.columns, or set reading.unreadable"
                )
            if self._unread is not None:
                self._unread["cells that are no numbers, taken for missing"] += int(bad.sum())
            column = read
        elif not (kind.is_numeric() or kind == pl.Boolean):
            raise InputError(f"{self._whose}: column {column.name!r} of {kind} holds no numbers: leave it out")
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()

    def _finite(self, values: Floats) -> Floats:
        infinite = np.isinf(values)
        if infinite.any():
            self.counts["infinite values taken for missing"] += int(infinite.sum())
            return np.where(infinite, np.nan, values)
        return values

    def _nothing(self) -> Piece:
        return no_piece(len(self.channels or ()))


def names_of(texts: pl.Series, whose: str) -> tuple[str, ...]:
    """Give the names of a long layout in the order of their first appearance."""
    names = tuple(texts.drop_nulls().unique(maintain_order=True).to_list())
    if len(names) > _MOST_NAMES:
        raise InputError(
            f"{whose}: column {texts.name!r} has {len(names):,} names of channels: set reading.name_column"
        )
    return names

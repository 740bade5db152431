"""How is text in columns cut into a table, the same whatever pieces it comes in?"""

from __future__ import annotations

import csv
import io
import re
from codecs import BOM_UTF8
from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series.choosing import CLOCK, EMPTY, NUMBER, STAMP, TEXT, Chosen, are_unnamed, unnamed
from jamais.sources.series.stamps.columns import looks_like_stamp
from jamais.types import Ints

MISSING = ["", "NaN", "nan", "NAN", "null", "NULL", "Null", "None", "none", "NA", "N/A", "n/a", "#N/A", "-", "?"]
_CLOCK = re.compile(r"\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?")
_QUOTED = re.compile(rb'"[^"\n]*"')
_MOST_COLUMNS = 100_000


class Delimited:
    """Lines of columns: their names, what parts them, and how they are read as numbers."""

    def __init__(self, names: tuple[str, ...], separator: str, header: bytes) -> None:
        self.names, self.separator, self._header = names, separator, header

    @classmethod
    def of(cls, first: bytes, channels: tuple[str, ...] | None, whose: str) -> Delimited:
        """Look at the first line: names, or values already? Raises InputError for what is neither."""
        line = first.decode("utf-8", "replace").strip("\r\n").removeprefix("\ufeff")
        separator = max(",\t;|", key=line.count)
        fields = [one.strip() for one in _fields(line, separator)]
        if len(fields) > _MOST_COLUMNS:
            raise InputError(f"{whose}: the first line has {len(fields):,} columns: wanted at most {_MOST_COLUMNS:,}")
        if _is_header(fields):
            return cls(_names(fields, whose), separator, first.removeprefix(BOM_UTF8).strip(b"\r"))
        return cls(_places(fields, channels, whose), separator, b"")

    @property
    def has_names(self) -> bool:
        """Say whether the first line has names."""
        return bool(self._header)

    def state_dict(self) -> dict[str, Any]:
        return {"names": list(self.names), "separator": self.separator, "header": self._header.decode("latin-1")}

    @classmethod
    def from_state(cls, tree: dict[str, Any]) -> Delimited:
        return cls(tuple(tree["names"]), tree["separator"], tree["header"].encode("latin-1"))

    def clean(self, body: bytes) -> bytes:
        """Drop empty lines and the line of names, wherever it comes again."""
        body = body.replace(b"\r\n", b"\n") if b"\r" in body else body
        odd = body.startswith(b"\n") or b"\n\n" in body or body.endswith((b"\n", b"\r"))
        if odd or (self._header and self._header in body):
            lines = (line for line in body.split(b"\n") if line.strip())
            body = b"\n".join(line for line in lines if not self._header or line.strip(b"\r") != self._header)
        # a comma between semicolons is the comma of a number
        return body.replace(b",", b".") if self.separator == ";" else body

    def kinds(self, body: bytes, whose: str, rows: int) -> dict[str, str]:
        """Say what the columns hold, by the first rows of a body of whole lines."""
        few = b"\n".join(body.split(b"\n", rows)[:rows])
        table = self._texts(few, list(self.names), whose)
        return {name: _kind(table[name]) for name in self.names}

    def whole(self, body: bytes, whose: str, at: int, counts: Counter[str] | None = None) -> bytes:
        """Refuse lines of more or fewer columns, as polars fills up the shorter ones in silence; or leave them out of
        a body that was cleaned, and count them. `at` numbers the first row."""
        wanted = len(self.names)
        widths = _widths(_QUOTED.sub(b"", body) if b'"' in body else body, self.separator)
        if (widths == wanted).all():
            return body
        lines = body.split(b"\n")
        odd = np.flatnonzero(widths != wanted).tolist()
        if odd and counts is None:
            i = odd[0]
            raise InputError(
                f"{whose}: row {at + i:,} has {widths[i]} columns, wanted {wanted} as in the first line: "
                f"{lines[i][:60].decode('utf-8', 'replace')!r}: mend or drop it, or set reading.unreadable"
            )
        if counts is not None:
            counts["lines left out, they have another number of columns"] += len(odd)
        return b"\n".join(line for line, width in zip(lines, widths.tolist(), strict=True) if width == wanted)

    def frame(self, body: bytes, chosen: Chosen, whose: str) -> pl.DataFrame:
        """Read a body of whole lines: numbers as such where all can be read, the rest as text."""
        try:
            return self._read(body, chosen.wanted, set(chosen.numbers))
        except (pl.exceptions.PolarsError, ValueError):
            return self._texts(body, chosen.wanted, whose)

    def _read(self, body: bytes, wanted: list[str], numbers: set[str]) -> pl.DataFrame:
        kinds = {name: pl.Float64 if name in numbers else pl.String for name in self.names}
        table = pl.read_csv(
            io.BytesIO(body),
            has_header=False,
            schema=kinds,
            columns=sorted(self.names.index(name) for name in wanted),
            separator=self.separator,
            null_values=MISSING,
        )
        return table.select(wanted)

    def _texts(self, body: bytes, wanted: list[str], whose: str) -> pl.DataFrame:
        try:
            return self._read(body, wanted, set())
        except (pl.exceptions.PolarsError, ValueError) as wrong:
            said = str(wrong).splitlines()[0][:160]
            raise InputError(f"{whose} is no table of columns ({said}): wanted .csv with one row a line") from wrong


def _widths(body: bytes, separator: str) -> Ints:
    """Count the columns of each line [n]."""
    text = np.frombuffer(body, np.uint8)
    ends = np.concatenate([[0], np.flatnonzero(text == ord("\n")), [len(text)]])
    return np.diff(np.searchsorted(np.flatnonzero(text == ord(separator)), ends)) + 1


def _fields(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _is_header(fields: list[str]) -> bool:
    numbered = fields[1:] if fields[:1] == [""] else fields
    if len(numbered) > 1 and numbered == [str(i) for i in range(len(numbered))]:
        return True
    if any(kind_of_text(one) != TEXT for one in fields):
        return False
    return any(one not in MISSING and not _is_number(one) for one in fields)


def _names(fields: list[str], whose: str) -> tuple[str, ...]:
    names = tuple(one or (f"column {i}" if i else "") for i, one in enumerate(fields))
    twice = next((one for i, one in enumerate(names) if one in names[:i]), None)
    if twice is not None:
        raise InputError(f"{whose}: column {twice!r} stands twice in the first line: rename one")
    return names


def _places(fields: list[str], channels: tuple[str, ...] | None, whose: str) -> tuple[str, ...]:
    """Name the columns of lines without a header."""
    width = len(fields)
    if channels is None or (are_unnamed(channels) and set(channels) <= set(unnamed(width))):
        return unnamed(width)
    if width == len(channels):
        return channels
    if width == len(channels) + 1:
        at = next((i for i, one in enumerate(fields) if looks_like_stamp(one)), 0)
        return (*channels[:at], "time", *channels[at:])
    raise ShapeMismatchError(
        f"{whose}: the first line has {width} columns and no names, wanted {len(channels)} channels, with or without a "
        "stamp before them: begin with a line of names"
    )


def _kind(column: pl.Series) -> str:
    known = column.drop_nulls().str.strip_chars()
    if not len(known):
        return EMPTY
    if known.cast(pl.Float64, strict=False).null_count() == 0:
        return NUMBER
    return kind_of_text(known[0])


def kind_of_text(text: str) -> str:
    """Say what a text in a column is: a stamp, a time of a day, or neither."""
    if looks_like_stamp(text):
        return STAMP
    return CLOCK if _CLOCK.fullmatch(text.strip()) else TEXT


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

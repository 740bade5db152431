"""In which forms are stamps written as text?"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from jamais.types import NO_TIME, Bools, Ints

_TIMES = (" %H:%M:%S%.f", " %H:%M", "")
_COMPACT_TIMES = (" %H%M%S%.f", " %H%M", *_TIMES)
_DATES = {
    "iso": "%Y-%m-%d",
    "slashes": "%Y/%m/%d",
    "dots": "%d.%m.%Y",
    "month first": "%m/%d/%Y",
    "day first": "%d/%m/%Y",
    "compact": "%Y%m%d",
    "day name year": "%d-%b-%Y",
    "day name  year": "%d %b %Y",
}
FORMS = tuple(_DATES)
"""Names of the forms; of two that could be meant, the first is."""
AMBIGUOUS = ("month first", "day first")
_EARLIEST = -30_000_000_000_000_000
"""Microseconds to the year 1019: an earlier one is two digits that were taken for a year."""
_ZONE = r"(?:Z| ?UTC| ?GMT| ?[+-]\d\d:?\d\d| ?[+-]\d\d)$"
_SHAPE = re.compile(
    r"(?:\d{4}[-/]\d\d?[-/]\d\d?|\d\d?[./]\d\d?[./]\d{4}|\d\d?[- ][A-Z][a-z]{2}[- ]\d{4}|\d{8}(?=[T ]\d))"
    r"(?:$|[T_ ](?:\d\d?(?::\d\d)*|\d{4}|\d{6})(?:[.,]\d+)?(?:" + _ZONE[:-1] + r")?$)"
)


def is_stamp(text: str) -> bool:
    """Say whether a text has the shape of a date, or of a date and a time."""
    return len(text) < 64 and _SHAPE.match(text) is not None


def in_form(written: pl.Series, form: str) -> tuple[Ints, Bools]:
    """Read stamps of a form: microseconds [n], NO_TIME where one is none; whether a zone is written [n]."""
    plain = written.str.replace(r"^(\S{8,11}|\d\d? [A-Z][a-z]{2} \d{4})[T_]", "$1 ").str.replace(",", ".", literal=True)
    plain = plain.str.replace(r"^(.* \d\d?)$", "$1:00") if form != "day name  year" else plain
    date = _DATES[form]
    # a date alone ends in "-dd", as a zone does
    has_zone = plain.str.contains(r"[ T]\d\d?(?::\d\d)*(?:\.\d+)?" + _ZONE).fill_null(False)
    is_utc = has_zone.to_numpy()
    bare, marked = plain, None
    if is_utc.any():
        marked = plain.str.replace(r"(?:Z| ?UTC| ?GMT)$", "+0000").str.replace(r" ([+-]\d\d:?\d?\d?)$", "$1")
        bare = pl.select(pl.when(~pl.lit(has_zone)).then(pl.lit(plain))).to_series()
        marked = pl.select(pl.when(pl.lit(has_zone)).then(pl.lit(marked))).to_series()
    micros = np.full(len(written), NO_TIME, np.int64)
    for time in _COMPACT_TIMES if form == "compact" else _TIMES:
        left = micros == NO_TIME
        if not left.any():
            break
        found = _read(bare, date + time)
        micros = np.where(left & (found != NO_TIME), found, micros)
        if marked is not None and time:
            found = _read(marked, date + time + "%#z")
            micros = np.where(left & (found != NO_TIME), found, micros)
    return micros, is_utc


def zoned(written: pl.Series, time_format: str) -> tuple[Ints, Bools]:
    """Read stamps as a format of strptime has them: microseconds [n], NO_TIME; whether a zone is written [n]."""
    has_zone = "%z" in time_format or "%:z" in time_format or "%#z" in time_format
    if "%H" in time_format and "%M" not in time_format:  # hours alone are no time to polars
        written, time_format = written + " 00", time_format + " %M"
    return _read(written, time_format), np.full(len(written), has_zone)


def _read(written: pl.Series, time_format: str) -> Ints:
    read = written.str.to_datetime(time_format, strict=False, time_unit="us")
    micros = read.to_physical().fill_null(NO_TIME).to_numpy()
    return np.where(micros < _EARLIEST, NO_TIME, micros)

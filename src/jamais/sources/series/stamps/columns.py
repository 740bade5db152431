"""What moments does a column of stamps say, whatever it is written as?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.sources.series.stamps.few import few_moments
from jamais.sources.series.stamps.forms import AMBIGUOUS, FORMS, in_form, is_stamp, zoned
from jamais.sources.times.clock import LOCAL, Clock
from jamais.types import NO_TIME, Bools, Floats, Ints

_UNITS = ((1e11, "s", 1_000_000.0), (1e14, "ms", 1_000.0), (1e17, "us", 1.0), (np.inf, "ns", 0.001))
_FACTORS = {name: factor for _, name, factor in _UNITS}
_LARGEST = 250_000_000_000_000_000
"""Microseconds to the year 9892: what is beyond is no moment."""
_DAY = 86_400_000_000
_UNREAD = "stamps that cannot be read"


class StampColumn:
    """Read the stamps of one column, piece by piece; how they are written is settled by the first."""

    def __init__(self, timezone: str, time_format: str | None, counts: Counter[str] | None = None) -> None:
        """`counts`: where unreadable stamps are counted; None: they are refused."""
        self._time_format, self._counts = time_format, counts
        self._utc = timezone in ("UTC", "Etc/UTC", "GMT")
        self._clock = Clock(timezone, 0.0)
        self.form: str | None = None
        """How stamps are written: "s", "ms", "us", "ns" since 1970, or the name of a form of text."""

    def read(self, column: pl.Series, whose: str, at: int) -> Ints:
        """Give microseconds since 1970 UTC [n], NO_TIME where nothing is written; `at` numbers the first row."""
        if column.null_count() == len(column):
            return np.full(len(column), NO_TIME, np.int64)
        kind = column.dtype
        if kind == pl.Date or isinstance(kind, pl.Datetime):
            return self._moments(column)
        if kind.is_numeric():
            return self._epochs(column)
        if kind in (pl.String, pl.Categorical, pl.Enum):
            return self._texts(column.cast(pl.String), whose, at)
        raise InputError(f"{whose}: column {column.name!r} of {kind} holds no stamps: set reading.time_column")

    def few(self, stamps: list[str]) -> Ints | None:
        """Read a few stamps ("" for none) in the form that is settled; None where that takes a whole look."""
        if not any(stamps):
            return np.full(len(stamps), NO_TIME, np.int64)
        if self.form is None or self._time_format is not None:
            return None
        read = few_moments(stamps, self.form, _FACTORS.get(self.form))
        return None if read is None else self._in_utc(np.array(read[0], np.int64), np.array(read[1]))

    def state_dict(self) -> dict[str, Any]:
        return {"form": self.form, "clock": self._clock.state_dict()}

    def load_state_dict(self, tree: dict[str, Any]) -> None:
        self.form = tree["form"]
        self._clock.load_state_dict(tree["clock"])

    def _moments(self, column: pl.Series) -> Ints:
        aware = isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None
        if aware:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        micros = column.cast(pl.Datetime("us")).to_physical().fill_null(NO_TIME).to_numpy().astype(np.int64)
        return micros if aware else self._from_wall(micros)

    def _epochs(self, column: pl.Series) -> Ints:
        if self.form not in _FACTORS:
            first = column.drop_nulls()
            self.form = _unit_of(abs(float(first[0]))) if len(first) else "s"
        return _scaled(column, self.form)

    def _texts(self, column: pl.Series, whose: str, at: int) -> Ints:
        written = column.str.strip_chars()
        empty = (written.is_null() | (written == "")).to_numpy()
        form = self.form
        if self._time_format is not None:
            micros, is_utc = zoned(written, self._time_format)
        else:
            form = form or _form_of(written.filter(pl.Series(~empty)), whose, column.name, self._counts is None)
            if form is None:
                self._settle(column, ~empty, whose, at, form)
                return np.full(len(column), NO_TIME, np.int64)
            if form in _FACTORS:
                micros, is_utc = _numbers(written, form), np.ones(len(column), np.bool_)
            else:
                micros, is_utc = in_form(written, form)
        self._settle(column, ~empty & (micros == NO_TIME), whose, at, form)
        return self._in_utc(micros, is_utc)

    def _settle(self, column: pl.Series, bad: Bools, whose: str, at: int, form: str | None) -> None:
        """Keep the form, or refuse stamps that are none."""
        if self._counts is None:
            _refuse(column, bad, whose, at, form)
        else:
            self._counts[_UNREAD] += int(bad.sum())
        self.form = form

    def _in_utc(self, micros: Ints, is_utc: Bools) -> Ints:
        local = ~is_utc & (micros != NO_TIME)
        if self._utc or not local.any():
            return micros
        return np.where(local, self._from_wall(np.where(local, micros, NO_TIME)), micros)

    def _from_wall(self, micros: Ints) -> Ints:
        """Turn what the clock on the wall shows into UTC; NO_TIME stays."""
        if self._utc:
            return micros
        known = micros != NO_TIME
        wall = micros[known]
        days = wall.astype("datetime64[us]").astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        month = months.astype(np.int64)
        keys = (1970 + month // 12) * 10_000 + (month % 12 + 1) * 100 + (days - months).astype(np.int64) + 1
        out = micros.copy()
        out[known] = self._clock.resolve(keys.astype(np.int32), wall % _DAY, np.full(len(wall), LOCAL, np.int32))
        return out


def looks_like_stamp(text: str | None) -> bool:
    """Say whether a text is a date, or a date and a time (a mere number is none)."""
    return text is not None and is_stamp(text.strip())


def _numbers(written: pl.Series, unit: str) -> Ints:
    """Read numbers that are written as text."""
    micros = _scaled(written.cast(pl.Int64, strict=False), unit)
    left = micros == NO_TIME
    return np.where(left, _scaled(written.cast(pl.Float64, strict=False), unit), micros) if left.any() else micros


def _scaled(column: pl.Series, unit: str) -> Ints:
    """Read numbers since 1970; whole ones exactly, others to the microsecond."""
    factor = _FACTORS[unit]
    if column.dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        known = whole.is_not_null().to_numpy()
        numbers = whole.fill_null(0).to_numpy()
        fits = np.abs(numbers.astype(np.float64)) * factor <= _LARGEST
        exact = np.where(fits, numbers, 0)
        scaled = exact // 1_000 if unit == "ns" else exact * int(factor)
        return np.where(known & fits, scaled, NO_TIME)
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        return _rounded(values * factor)


def _unit_of(number: float) -> str:
    return next(name for limit, name, _ in _UNITS if not number >= limit)


def _form_of(written: pl.Series, whose: str, name: str, strict: bool) -> str | None:
    """Name the form of the first stamp, or of the first that has one; None where there is none."""
    for text in written:
        form = _form(text)
        if form is not None:
            return form
        if strict:
            raise InputError(
                f"{whose}: {text[:40]!r} in column {name!r} is no stamp that is known: set reading.time_format "
                "(such as %d.%m.%y %H:%M), or reading.time_column"
            )
    return None


def _form(text: str) -> str | None:
    try:
        return _unit_of(abs(float(text)))
    except ValueError:
        forms = FORMS if is_stamp(text) else ()
    return next((form for form in forms if in_form(pl.Series([text]), form)[0][0] != NO_TIME), None)


def _refuse(column: pl.Series, bad: Bools, whose: str, at: int, form: str | None) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    written = str(column[row])[:40]
    hint = " (month or day first?)" if form in AMBIGUOUS else ""
    raise InputError(
        f"{whose}: row {at + row:,}, column {column.name!r}: {written!r} is no stamp like those before{hint}: mend it, "
        "or set reading.time_format"
    )


def _rounded(micros: Floats) -> Ints:
    known = np.isfinite(micros) & (np.abs(micros) <= _LARGEST)
    return np.where(known, np.rint(np.where(known, micros, 0)).astype(np.int64), NO_TIME)

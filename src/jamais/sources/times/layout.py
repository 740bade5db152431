"""How are the time stamps of thousands of lines read at once, when they all look like one that was seen?

A layout is a place in the line and a mask learned from one real stamp: digits where it had digits, the same
separators where it had separators. Lines are gathered as a [width, n] table of bytes and checked and added up
column by column; whatever does not fit goes to the slow path.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.sources.times.clock import ANY_DAY, EPOCH_DAY, LOCAL
from jamais.sources.times.shapes import zone_minutes
from jamais.types import Bools, Ints

Bytes = NDArray[np.uint8]
Keys = NDArray[np.int32]
Numbers = NDArray[np.signedinteger[Any]]

_MONTHS = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"]
MONTH_NUMBER = {name: at + 1 for at, name in enumerate(_MONTHS)}
_MONTH_CODES = np.array([(name[0] << 16) + (name[1] << 8) + name[2] for name in _MONTHS])


class Layout:
    """One stamp's place and mask; `read` applies it to many lines."""

    def __init__(self, match: re.Match[bytes], line: bytes) -> None:
        start, end = match.span()
        self.offset = start
        self.end = end + 1  # the byte after the stamp is part of the mask: it tells 12:00:01 from 12:00:01.5
        self.fields = {
            name: (match.start(name) - start, match.end(name) - start)
            for name, value in match.groupdict().items()
            if value is not None
        }
        self.zone = zone_minutes(match["z"]) if "z" in self.fields else LOCAL
        self.afternoon = match["ap"] if "ap" in self.fields else None
        text = line[start : end + 1].ljust(end + 1 - start, b"\n")
        self.key = (
            start,
            bytes(48 if 48 <= c <= 57 else c for c in text),
            tuple(sorted(self.fields.items())),
        )
        numbers = [name for name in self.fields if name not in ("b", "z", "ap")]
        digits = [at for name in numbers for at in range(*self.fields[name])]
        self._padded = [at for at in digits if text[at] == 32]
        month = range(*self.fields["b"]) if "b" in self.fields else range(0)
        self._digits = np.array([at for at in digits if text[at] != 32])
        literal = [at for at in range(len(text)) if at not in digits and at not in month]
        if 48 <= text[-1] <= 57 or not literal:
            literal = [at for at in literal if at != len(text) - 1]
        self._literal = np.array(literal + self._padded, dtype=np.int64)
        self._separators = np.frombuffer(text, np.uint8)[self._literal][:, None]
        if start:  # a stamp inside the line counts only behind the same byte and in a line that is not indented
            self.before = line[start - 1]

    def read(self, body: Bytes, starts: Ints) -> tuple[Bools, Keys, Ints]:
        """Read the stamps of lines at `starts` [n]: fits [n], date keys [n], micros of the day [n]."""
        n = len(starts)
        width = self.end - self.offset
        usable = int(np.searchsorted(starts, len(body) - self.end, side="right"))
        fits = np.zeros(n, np.bool_)
        keys = np.zeros(n, np.int32)
        micros = np.zeros(n, np.int64)
        if usable <= 0:
            return fits, keys, micros
        at = starts[:usable]
        windows = np.ndarray((len(body) - width + 1,), dtype=f"V{width}", buffer=body, strides=(1,))
        rows = windows[at + self.offset].view(np.uint8).reshape(usable, width)
        table = np.ascontiguousarray(rows.T)
        values = table - 48
        fit = values[self._digits].max(axis=0) <= 9
        if len(self._literal):
            fit &= (table[self._literal] == self._separators).all(axis=0)
        if self.offset:
            fit &= body[at + (self.offset - 1)] == self.before
            fit &= body[at] > 32
        fits[:usable], keys[:usable], micros[:usable] = self._add_up(table, values, fit)
        return fits, keys, micros

    def _add_up(self, table: Bytes, values: Bytes, fit: Bools) -> tuple[Bools, Keys, Ints]:
        for name, factor in (("e", 1_000_000), ("e3", 1000), ("e6", 1)):
            if name in self.fields:
                micros = self._number(values, name).astype(np.int64) * factor + self._fraction(values)
                return fit, np.full(len(micros), EPOCH_DAY, np.int32), micros
        if "e9" in self.fields:
            return fit, np.full(len(fit), EPOCH_DAY, np.int32), self._number(values, "e9") // 1000
        hour = self._number(values, "H")
        if self.afternoon is not None:
            hour = hour % 12 + (12 if self.afternoon == b"PM" else 0)
        minute, second = self._number(values, "M"), self._number(values, "S")
        fit = fit & (hour < 24) & (minute < 60) & (second <= 60)
        micros = (hour * 3600 + minute * 60 + second).astype(np.int64) * 1_000_000 + self._fraction(values)
        if "d" not in self.fields:
            return fit, np.full(len(micros), ANY_DAY, np.int32), micros
        month = self._month(table) if "b" in self.fields else self._number(values, "m")
        day = self._number(values, "d")
        fit &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        key = month * 100 + day
        if "Y" in self.fields:
            key = key + self._number(values, "Y") * 10000
        elif "y" in self.fields:
            short = self._number(values, "y")
            key = key + np.where(short < 70, short + 2000, short + 1900) * 10000
        return fit, key.astype(np.int32), micros

    def _number(self, values: Bytes, name: str) -> Numbers:
        start, end = self.fields[name]
        columns = [at for at in range(start, end) if at not in self._padded]
        kind = np.int64 if len(columns) > 9 else np.int32
        total: Numbers = values[columns[0]].astype(kind)
        for at in columns[1:]:
            total *= 10
            total += values[at]
        return total

    def _fraction(self, values: Bytes) -> Ints | int:
        if "ms" in self.fields:
            return self._number(values, "ms").astype(np.int64) * 1000
        if "f" not in self.fields:
            return 0
        start, end = self.fields["f"]
        number = self._number(values, "f")
        length = end - start
        scaled: Ints = number * 10 ** (6 - length) if length <= 6 else number // 10 ** (length - 6)
        return scaled

    def _month(self, table: Bytes) -> Numbers:
        start, _ = self.fields["b"]
        code = (table[start].astype(np.int32) << 16) + (table[start + 1].astype(np.int32) << 8) + table[start + 2]
        if (code == code[0]).all():
            found = np.flatnonzero(code[0] == _MONTH_CODES)
            return np.full(len(code), found[0] + 1 if len(found) else 0, np.int32)
        month = np.zeros(len(code), np.int32)
        for number, known in enumerate(_MONTH_CODES):
            month[code == known] = number + 1
        return month


def read_one(match: re.Match[bytes]) -> tuple[int, int, int] | None:
    """Read one stamp the slow way: date key, micros of the day, zone; None if its numbers are out of range."""
    part = match.groupdict()
    fraction = int((part["f"] or b"0").ljust(6, b"0")[:6]) if part.get("f") else 0
    for name, factor in (("e", 1_000_000), ("e3", 1000), ("e6", 1)):
        if part.get(name):
            return EPOCH_DAY, int(part[name]) * factor + fraction, 0
    if part.get("e9"):
        return EPOCH_DAY, int(part["e9"]) // 1000, 0
    hour, minute, second = int(part["H"]), int(part["M"]), int(part["S"])
    if part.get("ap"):
        hour = hour % 12 + (12 if part["ap"] == b"PM" else 0)
    if hour > 23 or minute > 59 or second > 60:
        return None
    micros = (hour * 3600 + minute * 60 + second) * 1_000_000 + fraction + int(part.get("ms") or 0) * 1000
    zone = zone_minutes(part["z"]) if part.get("z") else LOCAL
    if not part.get("d"):
        return ANY_DAY, micros, zone
    month = MONTH_NUMBER[part["b"]] if part.get("b") else int(part["m"])
    day = int(part["d"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    year = int(part.get("Y") or 0)
    if part.get("y"):
        year = int(part["y"]) + (2000 if int(part["y"]) < 70 else 1900)
    return year * 10000 + month * 100 + day, micros, zone

"""Which physical lines make one record?"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jamais.sources.continuation import (
    TRACEBACK,
    continues,
    ends_traceback,
    is_exception,
    is_postgres_more,
    is_traceback_body,
    likely_to_continue,
    speaks_of_failure,
)
from jamais.sources.formats.detect import Profile
from jamais.sources.records import LINE_JOIN
from jamais.sources.times.stamps import StampReader, Stamps
from jamais.types import Bools, Ints

RECORD_BYTES = 1 << 16
"""A record is cut here: longer ones are dumps, and one of them must not fill the memory."""
_LOOK_BACK = 60
"""A further line looks so many lines back for the record of its process."""
_SECOND = 1_000_000
_TAG = re.compile(rb"([^\s\[\]]*)\[(\d+)(?:-\d+)?\](?:: \[(\d+)\](?= ))?")
_INNER = re.compile(rb"(\S*\[\d+\]): ?(?:\[\d+-\d+\] )?(.*)", re.S)
_SHAPE = bytes.maketrans(b"0123456789", b"          ")
_MOST_SHAPES = 10_000
# first bytes that a continuation in a log without time stamps can have
_SUSPECT = np.zeros(256, np.bool_)
_SUSPECT[list(b" \t#.CSTD[") + list(range(ord("a"), ord("z") + 1))] = True
# the two bytes behind ": " that a further line carried by syslog, or PostgreSQL's own, can begin with
_INNER_SUSPECT = np.zeros(1 << 16, np.bool_)
for _pair in (
    b"at",
    b"Ca",
    b"Su",
    b"Tr",
    b"Th",
    b"Du",
    b"..",
    b"#0",
    b"DE",
    b"HI",
    b"ST",
    b"CO",
    b"QU",
    b"go",
    b"cr",
    b"ex",
):
    _INNER_SUSPECT[_pair[0] << 8 | _pair[1]] = True
for _second in range(256):
    _INNER_SUSPECT[[ord(" ") << 8 | _second, ord("\t") << 8 | _second]] = True
for _digit in b"123456789":
    _INNER_SUSPECT[ord("[") << 8 | _digit] = True


@dataclass(frozen=True)
class Lines:
    """Physical lines of a chunk, none of them empty: joined by line feeds, with places [n] and numbers [n]."""

    text: bytes
    body: NDArray[np.uint8]
    starts: Ints
    ends: Ints
    numbers: Ints

    @classmethod
    def of(cls, text: bytes, first_number: int) -> tuple[Lines, int]:
        """Find the lines of `text`; also give how many blank ones were dropped."""
        body = np.frombuffer(text, np.uint8)
        breaks = np.flatnonzero(body == 10)
        starts = np.empty(len(breaks) + 1, np.int64)
        starts[0] = 0
        np.add(breaks, 1, out=starts[1:])
        ends = np.append(breaks, len(text))
        numbers = np.arange(first_number, first_number + len(starts))
        filled = ends > starts
        if filled.all():
            return cls(text, body, starts, ends, numbers), 0
        kept = b"\n".join([line for line in text.split(b"\n") if line])
        blank = int(len(starts) - filled.sum())
        if not kept:
            return cls(b"", body[:0], starts[:0], ends[:0], numbers[:0]), blank
        again, _ = cls.of(kept, 0)
        return cls(kept, again.body, again.starts, again.ends, numbers[filled]), blank

    def line(self, i: int) -> bytes:
        return self.text[self.starts[i] : self.ends[i]]

    def __len__(self) -> int:
        return len(self.starts)


class Grouper:
    """Decide where records start, by time stamp, by pattern, or by what lines look like."""

    def __init__(self, profile: Profile, record_start: str | None) -> None:
        self.profile = profile
        self._start = re.compile(record_start.encode()) if record_start else None
        self._stamps = StampReader(profile.finder)
        self._carried = profile.outer == "syslog"
        self._postgres = False
        self.continued: set[bytes] = set()

    def stamps(self, lines: Lines) -> Stamps:
        """Read the time stamps of lines."""
        if not self.profile.finder.order and not self.profile.stamped and self.profile.lines >= 100:
            return Stamps.none(len(lines))
        return self._stamps.read(lines.text, lines.body, lines.starts, lines.ends)

    def owners(self, lines: Lines, stamps: Stamps, micros: Ints) -> Ints:
        """Give for each line the index of the line that starts its record: [n]."""
        n = len(lines)
        if self._start is not None:
            start = np.fromiter((self._start.search(lines.line(i)) is not None for i in range(n)), np.bool_, n)
        elif self.profile.stamped:
            start = stamps.found
        else:
            start = self._by_looks(lines, stamps)
        start = start.copy() if not start.all() or not start.flags.writeable else start
        elsewhere = self._further_lines(lines, start, micros)
        if start.all() and not elsewhere:
            return np.arange(n)
        start[0] = True
        here = np.arange(n)
        anchors = start.copy()
        record = here.copy()
        for line, tagged in elsewhere:
            anchors[line] = True
            record[line] = record[tagged]
            if not start[tagged]:  # an unmarked line before it: ask that line's own anchor
                record[line] = record[int(np.flatnonzero(anchors[: tagged + 1])[-1])]
        return record[np.maximum.accumulate(np.where(anchors, here, 0))]

    def begins(self, line: bytes) -> bool:
        """Say whether a line alone would start a record."""
        if self._start is not None:
            return self._start.search(line) is not None
        if is_postgres_more(line):
            return False
        if self.profile.stamped:
            return line[:1] > b" " and self.profile.finder.find(line) is not None and not self._inner_continues(line)
        return not continues(line)

    def may_go_on(self, first: bytes, last: bytes, n_lines: int) -> bool:
        """Say whether more lines are likely for a record of n lines."""
        return n_lines > 1 or likely_to_continue(last) or _shape(first) in self.continued

    def remember(self, firsts: list[bytes]) -> None:
        """Keep the shapes of first lines that were continued."""
        if len(self.continued) < _MOST_SHAPES:
            self.continued.update(map(_shape, firsts))

    def _by_looks(self, lines: Lines, stamps: Stamps) -> Bools:
        start = np.ones(len(lines), np.bool_)
        suspects = np.flatnonzero(_SUSPECT[lines.body[lines.starts]] & ~stamps.found)
        for i in suspects.tolist():
            line = lines.line(i)
            if continues(line) or (i and is_exception(line) and speaks_of_failure(lines.line(i - 1))):
                start[i] = False
        if TRACEBACK in lines.text:
            self._end_tracebacks(lines, start)
        return start

    def _end_tracebacks(self, lines: Lines, start: Bools) -> None:
        so_far: list[bytes] = []
        for i in range(len(lines)):
            line = lines.line(i)
            if start[i] and so_far and is_traceback_body(so_far, line):
                start[i] = False
            so_far = [line] if start[i] else [*so_far[-200:], line]

    def _further_lines(self, lines: Lines, start: Bools, micros: Ints) -> list[tuple[int, int]]:
        """Find stamped lines that continue an earlier record: unmark them, give (line, line of that record)."""
        found: list[tuple[int, int]] = []
        for i in self._suspects(lines):
            if not start[i]:
                continue
            line = lines.line(i)
            more = is_postgres_more(line)
            if not more and not self._inner_continues(line):
                continue
            owner = self._look_back(lines, i, line, micros, any_time=more)
            if owner is not None:
                start[i] = False
                found.append((i, owner))
            if TRACEBACK in line:
                end = self._traceback_end(lines, i)
                if end is not None:
                    start[end] = False
                    found.append((end, i))
        return sorted(found)

    def _traceback_end(self, lines: Lines, i: int) -> int | None:
        """Find the exception line of a traceback whose every line syslog gave a header of its own."""
        tag = _tag(lines.line(i))
        for j in range(i + 1, min(len(lines), i + 1 + 4 * _LOOK_BACK)):
            line = lines.line(j)
            inner = _INNER.search(line, 0, 400) if _tag(line) == tag else None
            if inner is not None and not continues(inner[2]):
                return j if ends_traceback(inner[2]) else None
        return None

    def _suspects(self, lines: Lines) -> list[int]:
        if not self._postgres:
            step = max(1, len(lines) // 300)
            self._postgres = any(b":  " in lines.line(i)[:200] for i in range(0, len(lines), step))
        if not self._postgres and not self._carried:
            return []
        body = lines.body
        if len(body) < 4:
            return []
        at = _colon_blanks(body[:-2])
        at = at[_INNER_SUSPECT[body[at + 2].astype(np.int32) << 8 | body[at + 3]]]
        bracket = np.flatnonzero(body[at + 2] == ord("["))
        if len(bracket):  # "[5-2] " is PostgreSQL's count of a message's lines, "[812] " only a process
            ahead = np.minimum(at[bracket, None] + np.arange(4, 11), len(body) - 1)
            at = np.delete(at, bracket[~(body[ahead] == ord("-")).any(axis=1)])
        return np.unique(np.searchsorted(lines.starts, at, side="right") - 1).tolist()  # type: ignore[no-any-return]

    def _inner_continues(self, line: bytes) -> bool:
        if not self._carried:
            return False
        inner = _INNER.search(line, 0, 400)
        return inner is not None and continues(inner[2])

    def _look_back(self, lines: Lines, i: int, line: bytes, micros: Ints, *, any_time: bool) -> int | None:
        tag = _tag(line)
        for j in range(i - 1, max(-1, i - 1 - _LOOK_BACK), -1):
            if tag == _tag(lines.line(j)):
                return j if any_time or abs(int(micros[i] - micros[j])) <= _SECOND else None
        return i - 1 if i and not tag else None


def _colon_blanks(body: NDArray[np.uint8]) -> Ints:
    """Find every ": ", two bytes at a time."""
    even, odd = body[: len(body) & ~1].view("<u2"), body[1 : 1 + (len(body) - 1 & ~1)].view("<u2")
    pair = 0x203A
    return np.concatenate([np.flatnonzero(even == pair) * 2, np.flatnonzero(odd == pair) * 2 + 1])


def join(lines: Lines, owners: Ints, numbers: Ints) -> tuple[bytes, Ints, int]:
    """Join the lines of each record: blob, index [m] of each record's first line, number of records cut."""
    n = len(lines)
    firsts = np.flatnonzero(owners == np.arange(n))
    in_order = bool((owners[1:] >= owners[:-1]).all())
    lengths = np.diff(np.append(lines.starts[firsts], len(lines.text) + 1)) - 1 if in_order else None
    if lengths is not None and (not len(lengths) or lengths.max() <= RECORD_BYTES):
        if len(firsts) == n:
            return lines.text, firsts, 0
        joined = bytearray(lines.text)
        inside = np.ones(n, np.bool_)
        inside[firsts] = False
        np.frombuffer(joined, np.uint8)[lines.starts[inside] - 1] = LINE_JOIN[0]
        return bytes(joined), firsts, 0
    parts: dict[int, list[bytes]] = {int(first): [] for first in firsts}
    for i, owner in enumerate(owners.tolist()):
        parts[owner].append(lines.line(i))
    whole = [LINE_JOIN.join(parts[int(first)]) for first in firsts]
    cut = sum(len(one) > RECORD_BYTES for one in whole)
    return b"\n".join([one[:RECORD_BYTES] for one in whole]), firsts, cut


def _tag(line: bytes) -> bytes | None:
    found = _TAG.search(line, 0, 200)
    return b"%s %s %s" % (found[1], found[2], found[3] or b"") if found else None


def _shape(line: bytes) -> bytes:
    return line[:200].translate(_SHAPE).replace(b" ", b"")[:60]

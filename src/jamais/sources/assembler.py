"""How do bytes that come in pieces of any size become records?"""

from __future__ import annotations

import re
import time as wall
from collections.abc import Iterable
from typing import Any

import numpy as np

from jamais.sources.formats.detect import SAMPLE_LINES, Profile, detect
from jamais.sources.formats.header import TextHeads, severity_words
from jamais.sources.formats.journal import split_entries
from jamais.sources.formats.keyed import NO_STAMP, KeyedView, Row, Stamp, json_row, logfmt_row, row_of
from jamais.sources.formats.wrapped import Unwrapper
from jamais.sources.grouping import RECORD_BYTES, Grouper, Lines, join
from jamais.sources.inputs import LINE_BYTES
from jamais.sources.records import LINE_JOIN, Records, View
from jamais.sources.settings import ReadingSettings
from jamais.sources.times.clock import Clock
from jamais.sources.times.stamps import Stamps
from jamais.types import NO_TIME, Ints

LINE_FORMATS = {"text", "syslog", "access"}
FEW_LINES = 50
"""Below it, what was found in more data of the same kind is a better guide than these lines."""
COUNTERS = (
    "lines", "records", "blank", "undecodable", "nul_bytes", "over_long", "no_time", "out_of_order", "unparsed",
    "truncated",
)  # fmt: skip
_RETURNS = re.compile(rb"\r+\n")


class RecordAssembler:
    """Make records of pushed lines or bytes; what may still go on is kept until it is complete."""

    def __init__(
        self,
        options: ReadingSettings,
        format: Profile | str | None = None,
        *,
        reference: float | None = None,
        file: int = 0,
        expected: Profile | None = None,
    ) -> None:
        """`format`: a profile from a reader (best), a name, or None to look at the first lines pushed.

        `expected` is the profile of more data of this kind: few lines of the same format are read as it says.
        """
        self._expected = expected
        self.options = options
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.file = file
        self._clock = Clock(options.timezone, wall.time() if reference is None else reference)
        self._wanted = format if isinstance(format, str) else options.input
        self._pending = b""
        self._skipping = False
        self._held: list[tuple[bytes, int, Stamp]] = []
        self._sample: list[bytes] = []
        self._n_sampled = 0
        self._judged = 0
        self._last_time = NO_TIME
        self._set_profile(format if isinstance(format, Profile) else None)

    @property
    def format(self) -> str:
        """The format's name as the user would write it; "auto" before anything was read."""
        return self.profile.outer if self.profile else self._wanted

    @property
    def missing(self) -> set[str]:
        """What time stamps lacked so far: "zone", "year", "date"."""
        return self._clock.met

    def push(self, lines: Iterable[str | bytes]) -> Records:
        """Take whole lines (with or without line feeds) and give the records that are complete."""
        encoded = [one.encode("utf-8", "surrogateescape") if isinstance(one, str) else one for one in lines]
        return self.push_chunk(b"".join([one if one.endswith(b"\n") else one + b"\n" for one in encoded]))

    def push_chunk(self, data: bytes) -> Records:
        """Take bytes cut anywhere and give the records that are complete."""
        if self._skipping:
            end = data.find(b"\n")
            if end < 0:
                return self._nothing()
            data, self._skipping = data[end:], False
        data = self._pending + data if self._pending else data
        if self.profile is not None and self.profile.inner == "journal-export":
            return self._export(data)
        if self.profile is None and data.startswith(b"__CURSOR="):
            self._set_profile(detect(data[: 1 << 16].split(b"\n"), self._wanted))
            if self.profile is not None and self.profile.inner == "journal-export":
                return self._export(data)
        end = data.rfind(b"\n")
        self._pending = data[end + 1 :]
        if len(self._pending) > LINE_BYTES:
            self._pending, self._skipping = self._pending[:LINE_BYTES], True
        return self.take(data[:end]) if end >= 0 else self._nothing()

    def flush(self) -> Records:
        """Give whatever is still held as if the log ended here."""
        data, self._pending = self._pending, b""
        if self.profile is not None and self.profile.inner == "journal-export":
            return self._export(data + b"\n\n") if data else self._nothing()
        if data:
            return self.take(data, final=True)
        left = self._left_of(self._unwrapper) if self._unwrapper else []
        return self._text(left, None, final=True)

    pause = flush  # silence ends a record as the end of the log does

    def take(self, body: bytes, following: bytes | None = None, *, final: bool = False) -> Records:
        """Take whole lines without the last line feed; `following` is the next line where it is known."""
        if self.profile is None or (self._n_sampled < SAMPLE_LINES and self._fixed is None):
            self._look(body)
        assert self.profile is not None
        if self.profile.inner == "journal-export":
            pending, self._pending = self._pending, b""
            return self._export(pending + body + b"\n" + (b"\n" if final else b""))
        first = self.counts["lines"] + 1
        body = self._clean(body)
        lines, blank = Lines.of(body, first)
        self.counts["lines"] += len(lines) + blank
        self.counts["blank"] += blank
        if self.profile.inner in ("json", "logfmt", "journal") and not self._unwrapper:
            return self._keyed([(lines.line(i), int(lines.numbers[i]), NO_STAMP) for i in range(len(lines))])
        if self._unwrapper:
            return self._unwrapped(lines, following, final)
        if self._held:
            fresh = [(lines.line(i), int(lines.numbers[i]), NO_STAMP) for i in range(len(lines))]
            return self._text(fresh, following, final=final)
        return self._grouped(lines, None, following, final)

    def restart(self, reference: float, file: int) -> None:
        """Begin another file: line numbers from 1, its own anchor for missing years."""
        self.file = file
        self.counts["lines"] = 0
        self._clock.restart(reference)

    def state_dict(self) -> dict[str, Any]:
        """Give all that is needed to go on exactly, as JSON values."""
        return {
            "pending": self._pending.decode("latin-1"),
            "skipping": self._skipping,
            "held": [[line.decode("latin-1"), number, list(stamp)] for line, number, stamp in self._held],
            "sample": [line.decode("latin-1") for line in self._sample],
            "n_sampled": self._n_sampled,
            "judged": self._judged,
            "counts": dict(self.counts),
            "clock": self._clock.state_dict(),
            "last_time": self._last_time,
            "profile": self.profile.state_dict() if self.profile else None,
            "fixed": self._fixed is not None,
            "split": self._unwrapper.state_dict() if self._unwrapper else {},
            "continued": sorted(shape.decode("latin-1") for shape in self._grouper.continued) if self._grouper else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the assembler stood whose `state_dict` this is."""
        profile = Profile.from_state(state["profile"]) if state["profile"] else None
        self._set_profile(profile)
        self._fixed = profile if state["fixed"] else None
        self._pending = str(state["pending"]).encode("latin-1")
        self._skipping = bool(state["skipping"])
        self._held = [
            (str(line).encode("latin-1"), int(number), (int(stamp[0]), int(stamp[1]), int(stamp[2])))
            for line, number, stamp in state["held"]
        ]
        self._sample = [str(line).encode("latin-1") for line in state["sample"]]
        self._n_sampled, self._judged = int(state["n_sampled"]), int(state["judged"])
        self.counts = {**dict.fromkeys(COUNTERS, 0), **{str(k): int(v) for k, v in state["counts"].items()}}
        self._clock.load_state_dict(state["clock"])
        self._last_time = int(state["last_time"])
        if self._unwrapper:
            self._unwrapper.load_state_dict(state["split"])
        if self._grouper:
            self._grouper.continued.update(str(shape).encode("latin-1") for shape in state["continued"])

    def _set_profile(self, profile: Profile | None) -> None:
        self._fixed = profile
        self.profile = profile
        self._unwrapper = Unwrapper(profile.outer) if profile and profile.outer in ("cri", "docker") else None
        self._grouper = Grouper(profile, self.options.record_start) if profile else None
        self._view: View | None = TextHeads(profile.inner, profile.finder) if profile else None

    def _left_of(self, unwrapper: Unwrapper) -> list[tuple[bytes, int, Stamp]]:
        left = unwrapper.rest()
        self.counts["blank"] += sum(not line.strip() for line, _ in left)
        return [(line, number, NO_STAMP) for line, number in left if line.strip()]

    def _look(self, body: bytes) -> None:
        """Judge the format by what has come so far, until a full sample was seen."""
        fresh = [line.rstrip(b"\r") for line in body[: 1 << 20].split(b"\n", 4 * SAMPLE_LINES)[: 4 * SAMPLE_LINES]]
        self._sample = (self._sample + [line[:4096] for line in fresh if line.strip()])[:SAMPLE_LINES]
        self._n_sampled = len(self._sample)
        if self.profile is not None and self._n_sampled < min(2 * self._judged, SAMPLE_LINES):
            return
        self._judged = self._n_sampled
        before = self._unwrapper
        continued = self._grouper.continued if self._grouper else set()
        self._set_profile(self._found())
        self._fixed = None
        if before and self._unwrapper:
            self._unwrapper.load_state_dict(before.state_dict())
        elif before:
            self._held += self._left_of(before)
        assert self._grouper is not None
        self._grouper.continued |= continued
        if self._n_sampled >= SAMPLE_LINES:
            self._sample = []

    def _found(self) -> Profile:
        """Give the format of the sample: the expected one, unless the lines are clearly of another kind."""
        found = detect(self._sample, self._wanted)
        expected = self._expected or found
        if {found.outer, expected.outer} <= LINE_FORMATS:
            # The same words mean other columns in another of these, so a changed mixture must not change the reading.
            fits = sum(expected.finder.find(line) is not None for line in self._sample)
            best = sum(found.finder.find(line) is not None for line in self._sample)
            return expected if 2 * fits >= best else found
        same = (found.outer, found.inner) == (expected.outer, expected.inner) and self._n_sampled < FEW_LINES
        return expected if same else found

    def _clean(self, body: bytes) -> bytes:
        """Count and mend what text should not have, at the price of a few scans of the chunk."""
        if b"\0" in body:
            self.counts["nul_bytes"] += body.count(b"\0")
            body = body.replace(b"\0", b"")
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n").rstrip(b"\r")
            if b"\r" in body:
                body = _RETURNS.sub(b"\n", body)
        if LINE_JOIN in body:
            body = body.replace(LINE_JOIN, b" ")
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError:
                self.counts["undecodable"] += sum(not _decodable(line) for line in body.split(b"\n"))
        return body

    def _unwrapped(self, lines: Lines, following: bytes | None, final: bool) -> Records:
        assert self._unwrapper is not None
        assert self.profile is not None
        inner: list[tuple[bytes, int, Stamp]] = []
        for i in range(len(lines)):
            found = self._unwrapper.unwrap(lines.line(i), int(lines.numbers[i]))
            if found is None:
                continue
            if found[0].strip():
                inner.append(found)
            else:
                self.counts["blank"] += 1
        if self.profile.inner in ("json", "logfmt"):
            return self._keyed(inner)
        below = Unwrapper(self.profile.outer).unwrap(following) if following else None
        return self._text(inner, below[0] if below else None, final=final)

    def _text(self, fresh: list[tuple[bytes, int, Stamp]], following: bytes | None, *, final: bool) -> Records:
        """Group lines that are at hand one by one, those held back first."""
        rows, self._held = self._held + fresh, []
        if not rows:
            return self._nothing()
        lines, _ = Lines.of(b"\n".join([line.replace(b"\n", b" ") for line, _, _ in rows]), 0)
        numbers = np.array([number for _, number, _ in rows], np.int64)
        lines = Lines(lines.text, lines.body, lines.starts, lines.ends, numbers)
        outer = [stamp for _, _, stamp in rows]
        return self._grouped(lines, outer if any(one != NO_STAMP for one in outer) else None, following, final)

    def _grouped(self, lines: Lines, outer: list[Stamp] | None, following: bytes | None, final: bool) -> Records:
        assert self._grouper is not None
        if not len(lines):
            return self._nothing()
        stamps = self._grouper.stamps(lines)
        if outer is not None:
            stamps = _overlay(stamps, outer)
        owners = self._grouper.owners(lines, stamps, stamps.micros)
        end = self._hold_back(lines, owners, outer, following, final)
        if end == 0:
            return self._nothing()
        if end < len(lines):
            text = lines.text[: lines.ends[end - 1]]
            lines = Lines(text, lines.body[: len(text)], lines.starts[:end], lines.ends[:end], lines.numbers[:end])
            owners = owners[:end]
        blob, firsts, cut = join(lines, owners, lines.numbers)
        self.counts["over_long"] += cut
        if len(firsts) < len(lines):
            several = firsts[np.bincount(owners, minlength=len(lines))[firsts] > 1]
            self._grouper.remember([lines.line(i) for i in several[:100].tolist()])
        time = self._clock.resolve(stamps.keys[firsts], stamps.micros[firsts], stamps.zones[firsts])
        if self.profile is not None and self.profile.inner == "syslog" and blob.startswith(b"<"):
            blob = severity_words(blob)
        assert self._view is not None
        return self._records(blob, time, lines.numbers[firsts], self._view)

    def _hold_back(
        self, lines: Lines, owners: Ints, outer: list[Stamp] | None, following: bytes | None, final: bool
    ) -> int:
        """Keep the lines of the last record if more may come; give how many lines are left."""
        assert self._grouper is not None
        if final:
            return len(lines)
        start = int(owners[-1])
        if following is not None:
            if self._grouper.begins(following):
                return len(lines)
        elif not self._grouper.may_go_on(lines.line(start), lines.line(len(lines) - 1), len(lines) - start):
            return len(lines)
        if lines.ends[-1] - lines.starts[start] > 4 * RECORD_BYTES:  # it will be cut anyway
            return len(lines)
        if (owners[start:] != start).any():  # lines of several records are interleaved: let them go
            return len(lines)
        self._held = [
            (lines.line(i), int(lines.numbers[i]), outer[i] if outer else NO_STAMP) for i in range(start, len(lines))
        ]
        return start

    def _keyed(self, rows: list[tuple[bytes, int, Stamp]]) -> Records:
        assert self.profile is not None
        parse = logfmt_row if self.profile.inner == "logfmt" else json_row
        rows, self._held = self._held + rows, []  # held while the format was still taken for text
        done: list[Row] = []
        numbers: list[int] = []
        for line, number, outer in rows:
            if not line.strip():
                self.counts["blank"] += 1
                continue
            row = parse(line, self.options.message_key)
            if row is None:
                self.counts["unparsed"] += 1
                row = self._plain_row(line)
            if row.stamp == NO_STAMP and outer != NO_STAMP:
                row = _with_stamp(row, outer)
            done.append(row)
            numbers.append(number)
        return self._rows(done, numbers)

    def _plain_row(self, line: bytes) -> Row:
        """Make do with a line that is not in the format: its text is its message."""
        head = TextHeads("text", self.profile.finder).split(line) if self.profile else None
        assert head is not None
        return Row(head.message, head.level, head.source, head.host, NO_STAMP, {}, frozenset(), line)

    def _export(self, data: bytes) -> Records:
        """Read the entries of `data` that are whole; `data` begins with what was pending."""
        entries, used = split_entries(data)
        self._pending = data[used:]
        rows, numbers = [], []
        for fields, n_lines in entries:
            if fields:
                rows.append(row_of(fields, fields.get("MESSAGE", "").encode(), self.options.message_key))
                numbers.append(self.counts["lines"] + 1)
            else:
                self.counts["blank"] += 1
            self.counts["lines"] += n_lines
        return self._rows(rows, numbers)

    def _rows(self, rows: list[Row], numbers: list[int]) -> Records:
        if not rows:
            return self._nothing()
        stamps = np.array([row.stamp for row in rows], np.int64)
        time = self._clock.resolve(stamps[:, 0].astype(np.int32), stamps[:, 1].copy(), stamps[:, 2].astype(np.int32))
        keys = [row.key() for row in rows]
        self.counts["over_long"] += sum(len(key) > RECORD_BYTES for key in keys)
        blob = b"\n".join([key[:RECORD_BYTES] for key in keys])
        return self._records(blob, time, np.array(numbers, np.int64), KeyedView(rows))

    def _records(self, blob: bytes, time: Ints, line: Ints, view: View) -> Records:
        sure = time[time != NO_TIME]
        self.counts["records"] += len(time)
        self.counts["no_time"] += len(time) - len(sure)
        if len(sure):
            self.counts["out_of_order"] += int((sure[1:] < sure[:-1]).sum()) + int(sure[0] < self._last_time)
            self._last_time = int(sure[-1])
        return Records(blob, time, line.astype(np.int64), np.full(len(time), self.file, np.int32), view)

    def _nothing(self) -> Records:
        none = np.zeros(0, np.int64)
        return Records(b"", none, none, np.zeros(0, np.int32), KeyedView([]))


def _overlay(stamps: Stamps, outer: list[Stamp]) -> Stamps:
    """Take the runtime's times where it gave one: they are exact and have a zone."""
    table = np.array(outer, np.int64)
    given = table[:, 0] != NO_STAMP[0]
    stamps.keys[given], stamps.micros[given], stamps.zones[given] = table[given].T
    return stamps


def _with_stamp(row: Row, stamp: Stamp) -> Row:
    return Row(row.message, row.level, row.source, row.host, stamp, row.data, row.used, row.shown)


def _decodable(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True

"""How is a whole log read, in batches, with bounded memory?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jamais.sources.assembler import COUNTERS, RecordAssembler
from jamais.sources.formats.detect import Profile
from jamais.sources.inputs import Source, open_sources, text_blocks, whole_lines
from jamais.sources.records import Records
from jamais.sources.settings import ReadingSettings
from jamais.types import NO_TIME

CHUNK_BYTES = 8 << 20
"""Large enough that work per chunk disappears beside work per line, small enough to hold a few."""
_KEYED_BYTES = 1 << 20
"""JSON takes ten times its size in memory while its keys are held."""


def open_records(
    data: Any, *, options: ReadingSettings, chunk_bytes: int = CHUNK_BYTES, expected: Profile | None = None
) -> RecordReader:
    """Open a path, glob, list of paths, '-', file, lines or DataFrame for reading; raises InputError."""
    return RecordReader(open_sources(data), options, chunk_bytes, expected)


class RecordReader:
    """Iterate over the batches of a log, once."""

    def __init__(
        self,
        sources: list[Source],
        options: ReadingSettings,
        chunk_bytes: int = CHUNK_BYTES,
        expected: Profile | None = None,
    ) -> None:
        self._options = options
        self._expected = expected
        self._chunk_bytes = chunk_bytes
        self._sources = self._in_order(sources)
        self.files = [source.name for source in self._sources]
        self.counts: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.said: list[str] = []
        """Sentences worth telling the user once."""
        self.format = options.input
        self.profile: Profile | None = None
        """What was found out about the first file; give it to `RecordAssembler` to read more of the same."""
        self.bytes_done = 0
        self.bytes_total = sum(source.size for source in sources)

    def __iter__(self) -> Iterator[Records]:
        for at, source in enumerate(self._sources):
            yield from self._one(at, source)

    def _one(self, at: int, source: Source) -> Iterator[Records]:
        assembler = RecordAssembler(self._options, reference=source.written, file=at, expected=self._expected)
        before, done = self.bytes_done, 0
        waiting: bytes | None = None
        for body in self._bodies(source):
            if waiting is not None:
                yield from self._read(assembler, waiting, body[: 1 << 16].split(b"\n", 1)[0])
                done += len(waiting) + 1
                self.bytes_done = before + min(done, source.size)
            waiting = body
        if waiting is not None:
            yield from self._read(assembler, waiting, None)
        last = assembler.flush()
        self._learn(assembler)
        if len(last):
            yield last
        self._add_up(assembler, source)
        self.bytes_done = before + source.size

    def _read(self, assembler: RecordAssembler, body: bytes, following: bytes | None) -> Iterator[Records]:
        """Read one body, in smaller parts where the format needs much memory."""
        for part, behind in _parts(assembler, body, following):
            records = assembler.take(part, behind, final=behind is None)
            self._learn(assembler)
            if len(records):
                yield records

    def _bodies(self, source: Source) -> Iterator[bytes]:
        if source.bodies is not None:
            return source.bodies(self._chunk_bytes)
        return whole_lines(text_blocks(source, self._chunk_bytes))

    def _learn(self, assembler: RecordAssembler) -> None:
        if self.profile is None and assembler.profile is not None:
            self.profile = assembler.profile
            self.format = assembler.profile.outer
            self.said.append(assembler.profile.sentence())
        self._say_missing(assembler.missing)

    def _say_missing(self, missing: set[str]) -> None:
        sentences = {
            "zone": f"times without a zone are read in {self._options.timezone}",
            "year": "times without a year get the one that fits the file's last change, then go on from there",
            "date": "times without a date are counted from 1970-01-01, a new day at each midnight",
        }
        self.said += [sentences[what] for what in sorted(missing) if sentences[what] not in self.said]

    def _add_up(self, assembler: RecordAssembler, source: Source) -> None:
        for name, count in assembler.counts.items():
            self.counts[name] += count
        for note in source.notes:
            self.counts["truncated"] += note.startswith("truncated")
            self.said.append(note)

    def _in_order(self, sources: list[Source]) -> list[Source]:
        """Order what a glob found by first time stamp, then name; leave lists as they were given."""
        if len(sources) < 2 or not all(source.from_glob for source in sources):
            return sources
        return sorted(sources, key=lambda source: (self._first_time(source), source.name))

    def _first_time(self, source: Source) -> int:
        assembler = RecordAssembler(self._options, reference=source.written)
        body = next(whole_lines(text_blocks(source, 1 << 16)), b"")
        times = assembler.take(body, final=True).time
        known = times[times != NO_TIME]
        return int(known[0]) if len(known) else -NO_TIME - 1


def _parts(assembler: RecordAssembler, body: bytes, following: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
    at = 0
    while assembler.profile is not None and assembler.profile.takes_memory and len(body) - at > 2 * _KEYED_BYTES:
        end = body.find(b"\n", at + _KEYED_BYTES)
        if end < 0:
            break
        yield body[at:end], body[end + 1 : end + (1 << 16)].split(b"\n", 1)[0]
        at = end + 1
    yield (body[at:] if at else body), following

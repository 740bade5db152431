"""What is one batch of log records, once it has been read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, overload

import numpy as np

from jamais.types import Codes, Ints

LINE_JOIN = b"\x1f"
"""Stands for a line break inside a record, so that one record is one line of `Records.blob`."""

TEXT_CHARACTERS = 500
"""`Records.text` is cut to this many characters: enough to recognise a line, little enough to print."""


@dataclass(frozen=True, slots=True)
class Head:
    """What leaves the text of a record for columns of its own; "" where a record has no such thing."""

    message: str
    level: str = ""
    source: str = ""
    host: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)


class View(Protocol):
    """How one format looks at the records of a batch; `raw` is the record with `LINE_JOIN` inside."""

    def head(self, i: int, raw: bytes) -> Head: ...

    def text(self, i: int, raw: bytes) -> str: ...

    def field(self, name: str) -> list[str | None] | None: ...


class Records:
    """Hold one batch of n records in reading order: `time`, `line`, `file` are [n].

    `blob` is all records joined by a line feed, with `LINE_JOIN` for line feeds inside a record. The digits
    deleted from a record determine its head up to digits, so a memo may be keyed by them.
    """

    def __init__(self, blob: bytes, time: Ints, line: Ints, file: Codes, view: View) -> None:
        self.blob = blob
        self.time = time
        self.line = line
        self.file = file
        self._view = view

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def raw(self) -> list[bytes]:
        """One bytes object per record, line feeds inside restored; made on first use (it costs a copy)."""
        if not len(self):
            return []
        whole = self.blob.split(b"\n")
        if LINE_JOIN in self.blob:
            whole = [one.replace(LINE_JOIN, b"\n") for one in whole]
        return whole

    @property
    def each(self) -> Sequence[bytes]:
        """The records as `raw` has them, cut out one by one when asked for: for whoever looks at few of them."""
        return _Each(self)

    def head(self, i: int) -> Head:
        """Split record `i` into message, level, source, host and fields."""
        return self._view.head(i, self._record(i))

    def text(self, i: int) -> str:
        """Give the first line of record `i` as its writer wrote it, cut for showing."""
        return self._view.text(i, self._record(i))[:TEXT_CHARACTERS]

    def field(self, name: str) -> list[str | None] | None:
        """Give the value of a (dotted) key per record, or None where the format has no keys."""
        return self._view.field(name)

    @cached_property
    def _starts(self) -> Ints:
        breaks = np.flatnonzero(np.frombuffer(self.blob, np.uint8) == 10) + 1
        return np.concatenate([np.zeros(1, np.int64), breaks, [len(self.blob) + 1]]).astype(np.int64)

    def _record(self, i: int) -> bytes:
        if not 0 <= i < len(self):
            raise IndexError(f"this batch holds {len(self)} records, asked for number {i}")
        return self.blob[int(self._starts[i]) : int(self._starts[i + 1]) - 1]


class _Each(Sequence[bytes]):
    def __init__(self, records: Records) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, i: int) -> bytes: ...

    @overload
    def __getitem__(self, i: slice) -> Sequence[bytes]: ...

    def __getitem__(self, i: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(i, slice):
            return self._records.raw[i]
        return self._records._record(i).replace(LINE_JOIN, b"\n")

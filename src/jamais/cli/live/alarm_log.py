"""What if the file of alarms cannot be written to while the watch goes on?"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import IO

import click

from jamais.cli import alarms
from jamais.errors import InputError


class AlarmLog:
    """Appends alarm records to a file at once; on a full disk it warns once and the watch goes on."""

    def __init__(self, path: str) -> None:
        """Open the file; raises InputError."""
        self._path = path
        self._closing = ExitStack()
        try:
            self._file: IO[bytes] = self._closing.enter_context(open(path, "ab", buffering=0))  # noqa: SIM115
        except OSError as wrong:
            raise InputError(f"cannot write {path}: {wrong.strerror or wrong}") from wrong
        self._left = b""
        """What of a record begun in the file is still to be written."""
        self.n_lost = 0

    def __enter__(self) -> AlarmLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
        if self.n_lost:
            click.echo(f"jamais: {self.n_lost:,} alarms could not be written to {self._path}", err=True)

    def add(self, record: alarms.Record) -> None:
        """Append one record, or count it as lost."""
        line = alarms.line(record).encode("utf-8", "replace") + b"\n"
        try:
            self._write(self._left)  # a line cut by a full disk is ended first, or two would become none
            self._left = b""
            self._write(line)
        except OSError as wrong:
            if not self.n_lost:
                reason = wrong.strerror or wrong
                click.echo(
                    f"jamais: cannot write alarms to {self._path}: {reason}; they are told on standard output only",
                    err=True,
                )
            self.n_lost += 1

    def _write(self, data: bytes) -> None:
        left = data
        while left:
            try:
                left = left[self._file.write(left) :]
            except OSError:
                self._left = b"\n" if len(left) < len(data) else self._left
                raise

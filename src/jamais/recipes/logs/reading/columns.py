"""Where does encoded fit data wait until all of it has been read? On disk, sixteen bytes a record."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from jamais.errors import StateError
from jamais.types import Bools, Codes, Ints


@dataclass(frozen=True)
class Columns:
    """Encoded records in reading order: `events: [n]`, `times: [n]` (microseconds), `groups: [n]` (-1 = none)."""

    events: Codes
    times: Ints
    groups: Codes
    group_names: list[bytes]
    held: Bools | None = None
    """[n] records that must not be learned; None = all may. Where they stand still tells windows from one another."""
    held_windows: tuple[int, ...] = ()
    """Windows, numbered from the first, that must not be learned: empty ones, too, may be abnormal."""

    def __len__(self) -> int:
        return len(self.events)


class Spool:
    """Collects encoded batches in unnamed temporary files, so that memory stays bounded by one batch."""

    def __init__(self) -> None:
        with _room():
            self._files: list[IO[bytes]] = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 closed below
        # Reading may end in an error anywhere: the files go when nobody holds the spool any more.
        self._closing = weakref.finalize(self, _close, self._files)
        self._group_numbers: dict[bytes, int] = {}
        self.n_records = 0

    def add(self, events: Codes, times: Ints, groups: list[bytes | None] | None) -> None:
        """Append one batch; `groups` is None when records are not grouped."""
        numbers = np.full(len(events), -1, dtype=np.int32)
        if groups is not None:
            known = self._group_numbers
            numbers[:] = [-1 if name is None else known.setdefault(name, len(known)) for name in groups]
        columns = (events.astype(np.int32).tobytes(), times.tobytes(), numbers.tobytes())
        with _room():
            for file, column in zip(self._files, columns, strict=True):
                file.write(column)
        self.n_records += len(events)

    def columns(self) -> Columns:
        """Give all that was added, mapped from disk rather than read."""
        arrays = []
        for file, dtype in zip(self._files, (np.int32, np.int64, np.int32), strict=True):
            with _room():
                file.flush()
            arrays.append(np.memmap(file, dtype=dtype, mode="r") if self.n_records else np.empty(0, dtype))
        return Columns(arrays[0], arrays[1], arrays[2], list(self._group_numbers))

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing()


@contextlib.contextmanager
def _room() -> Iterator[None]:
    """Say what to do when the disk is full."""
    try:
        yield
    except OSError as wrong:
        place = tempfile.tempdir or "any folder for temporary files"
        raise StateError(
            f"no room in {place} for what is read, sixteen bytes a record ({wrong.strerror or wrong}): nothing was "
            "changed; free some, or name another folder in TMPDIR"
        ) from wrong


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()

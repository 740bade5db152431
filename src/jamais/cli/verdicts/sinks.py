"""Where do verdicts go: a table for people, lines for machines, a file that is whole or not there?"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from jamais.cli import alarms
from jamais.errors import InputError

if TYPE_CHECKING:
    import polars as pl

FORMATS = ("table", "json", "csv", "parquet")
_SUFFIXES = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "table",
}
_TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"
_PART_ROWS = 200_000


class Sink(Protocol):
    """Takes frames of verdicts, one after the other."""

    def add(self, frame: pl.DataFrame) -> None: ...

    def close(self) -> None: ...


def format_of(format: str | None, out: str | None) -> str:
    """Choose the format: as asked for, else by the name of the file, else a table."""
    if format is None:
        suffix = Path(out).suffix.lower() if out else ".txt"
        if suffix not in _SUFFIXES:
            raise InputError(f"cannot tell a format from the name {out}: add --format csv")
        return _SUFFIXES[suffix]
    if format == "parquet" and out is None:
        raise InputError("parquet is no text: say where to with --out FILE.parquet")
    return format


class JsonLines:
    """One JSON object per row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, frame: pl.DataFrame) -> None:
        # Through memory: polars would write past Python's buffer, and past its errors.
        text = io.BytesIO()
        _textual(frame).write_ndjson(text)
        self._file.write(text.getbuffer())

    def close(self) -> None: ...


class Csv:
    """One header, then one line per row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._header = True

    def add(self, frame: pl.DataFrame) -> None:
        text = io.BytesIO()
        _textual(frame).write_csv(text, include_header=self._header)
        self._file.write(text.getbuffer())
        self._header = False

    def close(self) -> None: ...


class Parquet:
    """Parts on disk first, then one file: a parquet file cannot be written row by row."""

    def __init__(self, file: IO[bytes], near: Path) -> None:
        self._file = file
        # Where the result will lie there is room for its parts; not so beside a device.
        folder = None if near.exists() and not near.is_file() else near.absolute().parent
        self._folder = Path(tempfile.mkdtemp(dir=folder, prefix=".jamais-parts-"))
        self._parts: list[Path] = []
        self._waiting: list[pl.DataFrame] = []

    def add(self, frame: pl.DataFrame) -> None:
        self._waiting.append(frame)
        if sum(map(len, self._waiting)) >= _PART_ROWS:
            self._write_part()

    def close(self) -> None:
        import polars as pl

        if self._waiting:
            self._write_part()
        pl.scan_parquet(self._parts).sink_parquet(self._file)
        self.discard()

    def discard(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_part(self) -> None:
        import polars as pl

        self._parts.append(self._folder / f"{len(self._parts):06d}.parquet")
        pl.concat(self._waiting).write_parquet(self._parts[-1], compression="lz4")
        self._waiting = []


class Top:
    """Passes on the rows with the highest scores only, the highest first."""

    def __init__(self, n: int, inner: Sink) -> None:
        self._n, self._inner = n, inner
        self._kept: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame) -> None:
        import polars as pl

        both = frame if self._kept is None else pl.concat([self._kept, frame])
        self._kept = both.sort("score", descending=True, maintain_order=True).head(self._n)

    def close(self) -> None:
        if self._kept is not None:
            self._inner.add(self._kept)
        self._inner.close()


class Abnormal:
    """Passes on abnormal rows only."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    def add(self, frame: pl.DataFrame) -> None:
        import polars as pl

        self._inner.add(frame.filter(pl.col("abnormal")))

    def close(self) -> None:
        self._inner.close()


class WithoutVectors:
    """Passes on all but the rows of numbers themselves, which only alarm records hold: there, answers need them."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    def add(self, frame: pl.DataFrame) -> None:
        self._inner.add(frame.drop("vector", "window", strict=False))

    def close(self) -> None:
        self._inner.close()


class AlarmFile:
    """Alarm records, one per line."""

    def __init__(self, file: IO[bytes], version: int | None) -> None:
        self._file, self._version = file, version

    def add(self, frame: pl.DataFrame) -> None:
        for record in alarms.records(frame, self._version):
            self._file.write(alarms.line(record).encode("utf-8", "replace") + b"\n")

    def close(self) -> None: ...


def _textual(frame: pl.DataFrame) -> pl.DataFrame:
    """Write times as ISO 8601 and lists as text: neither csv nor JSON has them."""
    import polars as pl

    changes: list[Any] = []
    for name, kind in frame.schema.items():
        if kind == pl.Datetime:
            changes.append(pl.col(name).dt.strftime(_TIME))
        elif kind == pl.List:
            changes.append(pl.col(name).cast(pl.List(pl.String)).list.join(" "))
    return frame.with_columns(changes)

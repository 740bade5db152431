"""Which way is data opened: text, tables or arrays?"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jamais.errors import InputError
from jamais.sources.inputs import Source, open_sources, text_blocks, whole_lines
from jamais.sources.series.opened.arrays import array_source, npy_series, npz_series
from jamais.sources.series.opened.source import Part, SeriesSource
from jamais.sources.series.opened.tables import parquet_series, records_source, table_series
from jamais.sources.series.settings import SeriesReading

_CSV_BYTES = 4 << 20
_PACKED = (".gz", ".xz", ".zst")
_TEXT = (".csv", ".tsv", ".txt")
_ARRAYS = {".npy": npy_series, ".npz": npz_series, ".parquet": parquet_series}
KNOWN = "a path (.csv, .tsv, .parquet, .npz, .npy), '-', a DataFrame, an array [time, channel] or rows of numbers"


def opened(data: Any, options: SeriesReading) -> list[SeriesSource]:
    """Turn what a user calls data into sources, in reading order; raises InputError."""
    if isinstance(data, os.PathLike) or (isinstance(data, str) and "\n" not in data):
        return _paths(os.fspath(data))
    if isinstance(data, str):
        return [_lines(data.splitlines())]
    if isinstance(data, list | tuple) and data and all(_is_path(one) for one in data):
        return [source for one in data for source in _paths(os.fspath(one))]
    if hasattr(data, "read"):
        return [_text(source) for source in open_sources(data)]
    if hasattr(data, "collect_schema") or hasattr(data, "columns"):
        return [table_series(data)]
    if hasattr(data, "shape"):
        return [array_source(data)]
    if isinstance(data, Mapping):
        return [records_source(data)]
    if isinstance(data, Sequence) and not isinstance(data, bytes):
        if not len(data):
            return []
        if isinstance(data[0], str | bytes):
            return [_lines(data)]
        return [records_source(data) if isinstance(data[0], Mapping) else array_source(data)]
    if isinstance(data, Iterable) and not isinstance(data, bytes):
        return [_rows(data)]
    raise InputError(f"cannot read a series from {type(data).__name__}: give {KNOWN}")


def _is_path(one: Any) -> bool:
    if isinstance(one, os.PathLike):
        return True
    return isinstance(one, str) and "\n" not in one and (_suffix(one) in (*_TEXT, *_ARRAYS) or os.path.exists(one))


def _suffix(text: str) -> str:
    name = text.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return os.path.splitext(name)[1]


def _paths(text: str) -> list[SeriesSource]:
    if text == "-":
        return [_text(source) for source in open_sources("-")]
    if os.path.exists(text) or not any(c in text for c in "*?["):
        return [_file(text)]
    found = [one for one in sorted(glob.glob(text, recursive=True)) if not os.path.isdir(one)]
    if not found:
        raise InputError(f"no file matches {text}: check the pattern, and quote it in a shell")
    sources = [_file(one) for one in found]
    for source in sources:
        source.from_glob = True
    return sources


def _file(text: str) -> SeriesSource:
    suffix = _suffix(text)
    if os.path.isdir(text):
        raise InputError(f"{text} is a directory, wanted a file: give a pattern such as '{text}/*.csv'")
    if suffix not in _ARRAYS:
        (source,) = open_sources(Path(text))
        return _text(source)
    try:
        with open(text, "rb"):
            pass
    except FileNotFoundError as wrong:
        raise InputError(f"no such file: {text}") from wrong
    except OSError as wrong:
        raise InputError(f"cannot read {text}: {wrong.strerror or wrong}") from wrong
    return _ARRAYS[suffix](Path(text))


def _text(source: Source) -> SeriesSource:
    def parts(options: SeriesReading) -> Iterator[Part]:
        done = 0
        source.notes.clear()
        for body in whole_lines(text_blocks(source, _CSV_BYTES)):
            _refuse_damage(source)
            done += len(body) + 1
            yield Part(body, min(1.0, done / max(source.size, 1)))
        _refuse_damage(source)

    return SeriesSource(source.name, "csv", parts, source.size, again=source.size > 0)


def _refuse_damage(source: Source) -> None:
    damage = next((one for one in source.notes if one.startswith("truncated")), None)
    if damage is not None:
        said = damage.removeprefix("truncated: ").partition(";")[0]
        raise InputError(f"{said}: copy it again")


def _lines(lines: Iterable[str | bytes]) -> SeriesSource:
    again = isinstance(lines, Sequence)

    def parts(options: SeriesReading) -> Iterator[Part]:
        (source,) = open_sources(iter(lines))
        for body in whole_lines(text_blocks(source, _CSV_BYTES)):
            yield Part(body, 0.0)

    return SeriesSource("lines", "csv", parts, again=again)


def _rows(rows: Iterable[Any]) -> SeriesSource:
    """Open an iterable of lines, rows, or mappings; it is read in small lots."""

    def parts(options: SeriesReading) -> Iterator[Part]:
        lot: list[Any] = []
        for one in rows:
            lot.append(one)
            if len(lot) == options.block_rows:
                yield from _lot(lot, options)
                lot = []
        if lot:
            yield from _lot(lot, options)

    return SeriesSource("rows", "rows", parts, again=False)


def _lot(lot: list[Any], options: SeriesReading) -> Iterator[Part]:
    for source in opened(lot, options):
        yield from source.parts(options)

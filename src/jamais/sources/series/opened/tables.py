"""How are tables of polars and pandas, .parquet and mappings read as a series?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.sources.series.opened.source import Part, SeriesSource
from jamais.sources.series.settings import SeriesReading
from jamais.sources.vectors.tables import batches


def parquet_series(path: Path) -> SeriesSource:
    """Open a .parquet file; it is read in batches."""
    return _lazy(lambda: pl.scan_parquet(path), str(path), "parquet", path.stat().st_size)


def table_series(table: Any) -> SeriesSource:
    """Open a polars or pandas table, or a lazy one of polars."""
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        return _lazy(lambda: table, "table", "table", 0)
    if hasattr(table, "iloc"):
        return _pandas(table)

    def parts(options: SeriesReading) -> Iterator[Part]:
        for start in range(0, len(table), options.block_rows):
            yield Part(table[start : start + options.block_rows], min(1.0, (start + options.block_rows) / len(table)))

    return SeriesSource("table", "table", parts, int(table.estimated_size()))


def records_source(records: Any) -> SeriesSource:
    """Open rows {channel: value, "time": …}, or a mapping of columns."""
    if isinstance(records, Mapping):
        return table_series(frame_of(records))

    def parts(options: SeriesReading) -> Iterator[Part]:
        for start in range(0, len(records), options.block_rows):
            yield Part(records_frame(records[start : start + options.block_rows]), 0.0)

    return SeriesSource("rows", "rows", parts)


def frame_of(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Make a table of a mapping of columns."""
    try:
        return pl.DataFrame({str(name): np.asarray(column) for name, column in columns.items()})
    except (pl.exceptions.PolarsError, ValueError, TypeError) as wrong:
        raise InputError(f"columns do not make a table ({str(wrong).splitlines()[0][:120]})") from wrong


def records_frame(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Make a table of rows {name: value}; a name that a row lacks is missing there."""
    names = list(dict.fromkeys(str(name) for one in records for name in one))
    columns = {name: [one.get(name) for one in records] for name in names}
    return pl.DataFrame([_series(name, column) for name, column in columns.items()])


def pandas_frame(table: Any) -> pl.DataFrame:
    """Make a polars table of a pandas one, its DatetimeIndex as the column `time`."""
    names = [str(name) for name in table.columns]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"table: column {twice!r} stands twice: rename one")
    columns = []
    if getattr(table.index, "dtype", None) is not None and table.index.dtype.kind == "M":
        index = str(table.index.name or "time")
        while index in names:
            index = f"{index} of the index"
        columns.append(pl.Series(index, _moments(table.index)))
    columns += [_of_pandas(name, table.iloc[:, i]) for i, name in enumerate(names)]
    return pl.DataFrame(columns)


def _lazy(scan: Any, name: str, form: str, size: int) -> SeriesSource:
    def parts(options: SeriesReading) -> Iterator[Part]:
        try:
            table = scan()
            n = int(table.select(pl.len()).collect().item())
            done = 0
            for frame in batches(table, options.block_rows, n):
                done += len(frame)
                yield Part(frame, min(1.0, done / max(n, 1)))
        except (pl.exceptions.PolarsError, OSError) as wrong:
            raise InputError(f"cannot read {name}: {str(wrong).splitlines()[0][:160]}") from wrong

    return SeriesSource(name, form, parts, size)


def _pandas(table: Any) -> SeriesSource:
    def parts(options: SeriesReading) -> Iterator[Part]:
        for start in range(0, len(table), options.block_rows):
            frame = pandas_frame(table.iloc[start : start + options.block_rows])
            yield Part(frame, min(1.0, (start + options.block_rows) / len(table)))

    return SeriesSource("table", "table", parts, int(table.memory_usage(deep=False).sum()))


def _of_pandas(name: str, column: Any) -> pl.Series:
    kind = getattr(column.dtype, "kind", "O")
    if kind == "M":
        return pl.Series(name, _moments(column))
    if kind in "biuf" and isinstance(column.dtype, np.dtype):
        return pl.Series(name, column.to_numpy())
    if kind in "biuf":  # pandas' own numbers, which know of missing ones
        return pl.Series(name, column.to_numpy(dtype="float64", na_value=np.nan))
    return _series(name, [None if one is None or one != one else one for one in column.tolist()])


def _moments(column: Any) -> Any:
    """Give moments of pandas as datetime64: those with a zone in UTC."""
    stamps = getattr(column, "dt", column)
    if getattr(stamps, "tz", None) is not None:
        zoned = stamps.tz_convert("UTC")
        naive = zoned.dt.tz_localize(None) if hasattr(zoned, "dt") else zoned.tz_localize(None)
        return pl.Series(naive.to_numpy().astype("datetime64[us]")).dt.replace_time_zone("UTC")
    return column.to_numpy().astype("datetime64[us]")


def _series(name: str, values: list[Any]) -> pl.Series:
    """Make a column of values: numbers where all are, else moments or texts."""
    known = [one for one in values if one is not None]
    if all(isinstance(one, int | float | np.number) for one in known):
        whole = known and all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in known)
        fits = whole and len(known) == len(values) and all(abs(int(one)) < 1 << 62 for one in known)
        return pl.Series(name, values if fits else [None if one is None else float(one) for one in values])
    try:
        return pl.Series(name, values, strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if one is None else str(one) for one in values])

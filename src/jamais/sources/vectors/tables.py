"""Which columns of a table are the rows, and how are they taken out of polars, pandas and parquet?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import InputError
from jamais.sources.vectors.choosing import label_name
from jamais.sources.vectors.parts import Part, VectorSource, rows_at_once
from jamais.sources.vectors.settings import VectorSettings

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 5


@dataclass(frozen=True)
class Picked:
    """Where in a table the rows are: columns of numbers, or one column of lists."""

    names: tuple[str, ...]
    lists: str | None
    label: str | None
    said: list[str]

    @property
    def columns(self) -> list[str]:
        """All columns that must be read."""
        found = [self.lists] if self.lists is not None else list(self.names)
        return found + ([self.label] if self.label is not None and self.label not in found else [])

    def part(self, frame: pl.DataFrame, share: float) -> Part:
        """Take the rows out of a polars frame."""
        rows = _of_lists(frame[self.lists]) if self.lists is not None else frame.select(self.names).to_numpy()
        return Part(rows, None if self.label is None else frame[self.label].to_numpy(), share)


def picked(schema: Mapping[str, Any], options: VectorSettings, name: str, labelled: bool) -> Picked:
    """Choose the columns of a table with this schema; raise InputError naming what there is."""
    names = list(schema)
    label = label_name(names, options, name) if labelled else None
    lists = [one for one, kind in schema.items() if _is_list(kind)]
    if options.columns:
        missing = [one for one in options.columns if one not in names]
        if missing:
            raise InputError(
                f"{name} has no column {_listed(missing)}: the rows are made of {_listed(options.columns)}"
            )
        texts = [one for one in options.columns if not _is_numeric(schema[one])]
        if texts and not (len(options.columns) == 1 and options.columns[0] in lists):
            raise InputError(f"{name}: column {_listed(texts)} holds no numbers: leave it out of reading.columns")
        return _picked(list(options.columns), lists, names, label)
    if options.array is not None:
        if options.array not in lists:
            raise InputError(f"{name} has no column {options.array!r} of lists, it has {_listed(names)}")
        return _picked([options.array], lists, names, label)
    if len(lists) == 1:
        return _picked(lists, lists, names, label)
    if lists:
        raise InputError(f"{name} has several columns of lists ({_listed(lists)}): say which one with reading.array")
    numbers = [one for one in names if _is_numeric(schema[one]) and one != options.label_column]
    if not numbers:
        raise InputError(f"{name} has no column of numbers and none of lists, it has {_listed(names) or 'nothing'}")
    return _picked(numbers, lists, names, label)


def _picked(chosen: list[str], lists: list[str], names: list[str], label: str | None) -> Picked:
    left = [one for one in names if one not in chosen and one != label]
    said = [f"columns left out: {_listed(left)}"] if left else []
    inner = chosen[0] if len(chosen) == 1 and chosen[0] in lists else None
    return Picked(tuple(chosen), inner, label, said)


def parquet_source(path: Path) -> VectorSource:
    """Open a .parquet file; it is read in batches."""
    import polars as pl

    try:
        return lazy_source(pl.scan_parquet(path), str(path), path.stat().st_size)
    except (pl.exceptions.PolarsError, OSError) as wrong:
        raise _unreadable(str(path), wrong) from wrong


def table_source(table: Any) -> VectorSource:
    """Open a polars or pandas table, or a lazy one of polars."""
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        return lazy_source(table, "table", 0)
    if hasattr(table, "iloc"):
        return _pandas_source(table)
    source = VectorSource("table", "table", lambda options, labelled: iter(()), int(table.estimated_size()))

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        chosen = picked(table.schema, options, source.name, labelled)
        source.columns, source.said = chosen.names, chosen.said
        step = rows_at_once(options, len(chosen.names))
        for start in range(0, len(table), step):
            frame = table.select(chosen.columns)[start : start + step]
            yield chosen.part(frame, min(1.0, (start + step) / len(table)))

    source.parts = parts
    return source


def lazy_source(table: pl.LazyFrame, name: str, size: int) -> VectorSource:
    """Open a lazy table of polars."""
    import polars as pl

    source = VectorSource(name, "parquet" if size else "table", lambda options, labelled: iter(()), size)

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        try:
            chosen = picked(table.collect_schema(), options, name, labelled)
            source.columns, source.said = chosen.names, chosen.said
            wanted = table.select(chosen.columns)
            n = int(wanted.select(pl.len()).collect().item())
            done = 0
            for frame in batches(wanted, options.block_rows, n):
                done += len(frame)
                yield chosen.part(frame, min(1.0, done / max(n, 1)))
        except (pl.exceptions.PolarsError, OSError) as wrong:
            raise _unreadable(name, wrong) from wrong

    source.parts = parts
    return source


def batches(table: pl.LazyFrame, step: int, n: int) -> Iterator[pl.DataFrame]:
    """Give a lazy table of n rows in batches of about `step` rows."""
    if hasattr(table, "collect_batches"):
        yield from table.collect_batches(chunk_size=step, maintain_order=True)
        return
    for start in range(0, n, 4 * step):  # an older polars: each slice is looked up anew
        yield table.slice(start, 4 * step).collect()


def _pandas_source(table: Any) -> VectorSource:
    size = int(table.memory_usage(deep=False).sum())
    source = VectorSource("table", "table", lambda options, labelled: iter(()), size)

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        kinds = {str(name): _pandas_kind(table.iloc[:, i]) for i, name in enumerate(table.columns)}
        chosen = picked(kinds, options, source.name, labelled)
        source.columns, source.said = chosen.names, chosen.said
        place = {str(name): i for i, name in enumerate(table.columns)}
        step = rows_at_once(options, len(chosen.names))
        for start in range(0, len(table), step):
            part = table.iloc[start : start + step]
            if chosen.lists is not None:
                rows: Any = _stacked(part.iloc[:, place[chosen.lists]].tolist())
            else:
                rows = part.iloc[:, [place[one] for one in chosen.names]].to_numpy()
            labels = None if chosen.label is None else part.iloc[:, place[chosen.label]].to_numpy()
            yield Part(rows, labels, min(1.0, (start + step) / len(table)))

    source.parts = parts
    return source


def _pandas_kind(column: Any) -> str:
    """Say "number", "list" or "other" of a column of pandas."""
    if column.dtype.kind in "biuf":
        return "number"
    first = column.iloc[0] if len(column) else None
    return "list" if isinstance(first, list | tuple | np.ndarray) else "other"


def _is_numeric(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind == "number"
    return bool(kind.is_numeric() or str(kind) == "Boolean")


def _is_list(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind == "list"
    return str(kind).startswith(("List", "Array"))


def _of_lists(column: pl.Series) -> Any:
    """Give a column of lists of one length as an array [n, width]."""
    if str(column.dtype).startswith("Array"):
        return column.to_numpy()
    lengths = column.list.len()
    width = lengths[0]
    if lengths.null_count() or width is None or not bool((lengths == width).all()):
        odd = next(i for i, n in enumerate(lengths) if n is None or n != width)
        raise InputError(f"column {column.name}: the list in row {odd:,} has {lengths[odd]} numbers, not {width}")
    return column.explode().to_numpy().reshape(len(column), int(width))


def _stacked(lists: list[Any]) -> NDArray[Any]:
    try:
        return np.stack([np.asarray(one) for one in lists])
    except ValueError as wrong:
        raise InputError(f"the lists in this column are not all of one length ({wrong})") from wrong


def _unreadable(name: str, wrong: Exception) -> InputError:
    return InputError(f"cannot read {name}: {str(wrong).splitlines()[0][:160]}")


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more

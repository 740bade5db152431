"""How are arrays read as a series, in memory or from .npy and .npz?"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series.choosing import TIME_NAMES
from jamais.sources.series.opened.source import Numbers, Part, SeriesSource
from jamais.sources.series.settings import SeriesReading
from jamais.sources.vectors.stored import Head, array_head, entry_head, refusals, whole_array

_NAME_KEYS = ("channels", "columns", "names")
_WHOLE_BYTES = 2 << 30
"""An array by columns must be read whole; beyond this it is refused."""
_PART_BYTES = 32 << 20


def array_source(rows: Any) -> SeriesSource:
    """Open an array, a tensor or nested lists: [time, channel], or [time] of a single channel."""
    shape = getattr(rows, "shape", None)
    if shape is not None and len(shape) not in (1, 2):
        raise ShapeMismatchError(f"wanted a series [time, channel] or [time], got an array of shape {tuple(shape)}")

    def parts(options: SeriesReading) -> Iterator[Part]:
        yield from _sliced(rows, options)

    size = getattr(rows, "nbytes", 0)
    return SeriesSource("array", "array", parts, size if isinstance(size, int) else 0)


def npy_series(path: Path) -> SeriesSource:
    """Open an .npy file."""
    name, size = str(path), path.stat().st_size

    def parts(options: SeriesReading) -> Iterator[Part]:
        with path.open("rb") as file:
            head = _checked(array_head(file, name), name)
            if size < head.at + head.n_bytes:
                raise InputError(
                    f"{name} is cut short: its header promises {list(head.shape)} {head.dtype}, it has {size:,} bytes: "
                    "copy it again"
                )
            if head.by_columns and len(head.shape) == 2:
                yield from _sliced(np.load(path, mmap_mode="r", allow_pickle=False), options)
            else:
                yield from _read(file, head, name, options)

    return SeriesSource(name, "npy", parts, size)


def npz_series(path: Path) -> SeriesSource:
    """Open an .npz file: values, and perhaps stamps (`time`, `timestamp`, …) and names (`channels`)."""
    name = str(path)

    def parts(options: SeriesReading) -> Iterator[Part]:
        with refusals(name), zipfile.ZipFile(path) as packed:
            heads = {
                entry.filename.removesuffix(".npy"): (
                    entry_head(packed, entry.filename.removesuffix(".npy"), name),
                    entry.file_size,
                )
                for entry in packed.infolist()
                if entry.filename.endswith(".npy")
            }
            for key, (head, held) in heads.items():
                if held < head.n_bytes:
                    raise InputError(f"{name}, array {key}: its header promises more than it has: save it again")
            shapes = {key: head.shape for key, (head, _) in heads.items()}
            key = _values_key(shapes, options, name)
            head = _checked(heads[key][0], f"{name}, array {key}")
            n, width = head.shape[0], head.shape[1] if len(head.shape) == 2 else 1
            times = _times(packed, shapes, options, n, name)
            names = _names(packed, shapes, width, name)
            if head.by_columns and len(head.shape) == 2:
                if head.n_bytes > _WHOLE_BYTES:
                    raise InputError(
                        f"{name}, array {key}: {head.n_bytes:,} bytes lie column by column and would have to be read "
                        "at once: save it with numpy.ascontiguousarray"
                    )
                yield from _sliced(whole_array(packed, key, name), options, times, names)
                return
            with packed.open(f"{key}.npy") as file:
                yield from _read(file, array_head(file, name), name, options, times, names)

    return SeriesSource(name, "npz", parts, path.stat().st_size)


def _checked(head: Head, name: str) -> Head:
    if len(head.shape) not in (1, 2):
        raise ShapeMismatchError(f"{name} has shape {list(head.shape)}, wanted a series [time, channel] or [time]")
    if head.dtype.kind not in "biuf":
        raise InputError(f"{name} is an array of {head.dtype}: wanted numbers [time, channel]")
    return head


def _values_key(shapes: dict[str, tuple[int, ...]], options: SeriesReading, name: str) -> str:
    shown = ", ".join(f"{key} {list(shape)}" for key, shape in shapes.items()) or "none"
    if options.array is not None:
        if options.array not in shapes:
            raise InputError(f"{name} has no array {options.array!r}, it has {shown}: set reading.array")
        return options.array
    tables = [key for key, shape in shapes.items() if len(shape) == 2]
    beside = (*TIME_NAMES, *_NAME_KEYS, "label", "labels")
    flat = [key for key, shape in shapes.items() if len(shape) == 1 and key.lower() not in beside]
    found = tables or flat
    if len(found) != 1:
        problem = "several arrays could be the series" if found else "no array is a series"
        raise InputError(f"{name}: {problem} ({shown}): say which one with reading.array")
    return found[0]


def _times(
    packed: zipfile.ZipFile, shapes: dict[str, tuple[int, ...]], options: SeriesReading, n: int, name: str
) -> pl.Series | None:
    """Give the stamps beside the values; None without. Those of another length belong to something else."""
    key = options.time_column
    if key is None:
        key = next((one for one in shapes if one.lower() in TIME_NAMES and shapes[one] == (n,)), "")
    if not key:
        return None
    if shapes.get(key) != (n,):
        raise InputError(f"{name}: stamps {key!r} have shape {list(shapes.get(key, ()))}, wanted one for each of {n:,}")
    stamps = whole_array(packed, key, name)
    if stamps.dtype.kind == "M":
        stamps = stamps.astype("datetime64[us]")
    elif stamps.dtype.kind not in "iufU":
        raise InputError(f"{name}: stamps {key!r} are {stamps.dtype}: wanted numbers, datetime64 or text")
    return pl.Series(key, stamps.astype(str).tolist() if stamps.dtype.kind == "U" else stamps)


def _names(
    packed: zipfile.ZipFile, shapes: dict[str, tuple[int, ...]], width: int, name: str
) -> tuple[str, ...] | None:
    for key in _NAME_KEYS:
        if shapes.get(key) == (width,):
            names = tuple(str(one) for one in whole_array(packed, key, name))
            return names if len(set(names)) == width else None
    return None


def _read(
    file: IO[bytes],
    head: Head,
    name: str,
    options: SeriesReading,
    times: pl.Series | None = None,
    names: tuple[str, ...] | None = None,
) -> Iterator[Part]:
    """Read row after row from where the file stands."""
    n, width = head.shape[0], head.shape[1] if len(head.shape) == 2 else 1
    step = _at_once(options, width)
    for start in range(0, n, step):
        stop = min(start + step, n)
        wanted = (stop - start) * width * head.dtype.itemsize
        read = file.read(wanted)
        if len(read) < wanted:
            raise InputError(f"{name} ends in row {start + len(read) * (stop - start) // max(wanted, 1):,} of {n:,}")
        rows = np.frombuffer(read, dtype=head.dtype).reshape(stop - start, width)
        yield Part(Numbers(rows, None if times is None else times[start:stop], names), stop / n)


def _sliced(
    rows: Any, options: SeriesReading, times: pl.Series | None = None, names: tuple[str, ...] | None = None
) -> Iterator[Part]:
    n = len(rows)
    width = int(np.shape(rows[:1])[-1]) if np.ndim(rows[:1]) == 2 else 1
    step = _at_once(options, width)
    for start in range(0, n, step):
        stop = min(start + step, n)
        yield Part(Numbers(rows[start:stop], None if times is None else times[start:stop], names), stop / n)


def _at_once(options: SeriesReading, width: int) -> int:
    return max(1, min(options.block_rows, _PART_BYTES // (8 * max(width, 1))))

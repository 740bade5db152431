"""How are .npy, .npz and .csv read piece by piece, without pickles and with one sentence for what is damaged?"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.inputs import open_sources, text_blocks, whole_lines
from jamais.sources.vectors.choosing import chosen_array, label_name
from jamais.sources.vectors.parts import Part, VectorSource, rows_at_once
from jamais.sources.vectors.settings import VectorSettings
from jamais.sources.vectors.stored import Head, array_head, entry_head, refusals, whole_array
from jamais.sources.vectors.tables import Picked, picked

if TYPE_CHECKING:
    import polars as pl

_CSV_BYTES = 4 << 20


def npy_source(path: Path) -> VectorSource:
    """Open an .npy file."""
    name, size = str(path), path.stat().st_size

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        if labelled and options.label_column is not None:
            raise InputError(f"{name}: an .npy has no labels {options.label_column!r}: put both into an .npz")
        with path.open("rb") as file:
            head = _two_dimensions(array_head(file, name), name)
            if size < head.at + head.n_bytes:
                raise InputError(
                    f"{name} is cut short: its header promises {list(head.shape)} {head.dtype}, "
                    f"{head.at + head.n_bytes:,} bytes, it has {size:,}: copy it again"
                )
            if head.by_columns:
                # Rows of such a file lie scattered: pages are mapped in as they are needed.
                yield from _mapped(np.load(path, mmap_mode="r", allow_pickle=False), options)
            else:
                yield from _read(file, head, name, options, None)

    return VectorSource(name, "npy", parts, size)


def npz_source(path: Path) -> VectorSource:
    """Open an .npz file: the rows are read as they are unpacked."""
    name = str(path)

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        with refusals(name), zipfile.ZipFile(path) as packed:
            keys = [entry.removesuffix(".npy") for entry in packed.namelist() if entry.endswith(".npy")]
            shapes = {key: entry_head(packed, key, name).shape for key in keys}
            key = chosen_array(shapes, options, name)
            label = label_name(keys, options, name) if labelled else None
            labels = None if label is None else whole_array(packed, label, name)
            with packed.open(f"{key}.npy") as file:
                head = _two_dimensions(array_head(file, name), name)
                if head.by_columns:
                    yield from _mapped(whole_array(packed, key, name), options, labels)
                else:
                    yield from _read(file, head, name, options, labels)

    return VectorSource(name, "npz", parts, path.stat().st_size)


def csv_source(path: Path) -> VectorSource:
    """Open a .csv or .tsv file, plain or packed, with a line of names or without."""
    (text,) = open_sources(Path(path))
    source = VectorSource(str(path), "csv", lambda options, labelled: iter(()), text.size)

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        chosen: Picked | None = None
        layout: _Layout | None = None
        at, done = 0, 0
        for body in whole_lines(text_blocks(text, _CSV_BYTES)):
            done += len(body) + 1
            if layout is None:
                layout = _Layout.of(body)
                body = body[layout.at :]
            if not body.strip():
                continue
            frame = layout.frame(body, source.name, at)
            if chosen is None:
                chosen = picked(frame.schema, options, source.name, labelled)
                source.columns, source.said = chosen.names, chosen.said
                layout.fix(chosen)
                frame = layout.frame(body, source.name, at)
            at += len(frame)
            yield chosen.part(frame, min(1.0, done / max(text.size, 1)))
        if text.notes:
            raise InputError(f"{source.name}: {text.notes[0]}")

    source.parts = parts
    return source


class _Layout:
    """How the lines of a csv are cut into columns."""

    def __init__(self, names: list[str], separator: str, at: int) -> None:
        self._names, self._separator, self.at = names, separator, at
        self._fixed: dict[str, Any] = {}

    @classmethod
    def of(cls, body: bytes) -> _Layout:
        """Look at the first line: names, or numbers already?"""
        first, feed, _ = body.partition(b"\n")
        line = first.decode("utf-8", "replace").strip("\r\n")
        separator = max("\t,;", key=line.count)
        fields = [field.strip().strip('"') for field in line.split(separator)]
        if all(_is_number(field) for field in fields if field):
            return cls([f"column {i}" for i in range(len(fields))], separator, 0)
        return cls(fields, separator, len(first) + len(feed))

    def fix(self, chosen: Picked) -> None:
        """Read the columns that were chosen as numbers from now on, whatever a block looks like."""
        import polars as pl

        self._fixed = dict.fromkeys(chosen.names, pl.Float64)
        if chosen.label is not None:
            self._fixed[chosen.label] = pl.String

    def frame(self, body: bytes, name: str, at: int) -> pl.DataFrame:
        import polars as pl

        try:
            return pl.read_csv(
                io.BytesIO(body),
                has_header=False,
                new_columns=self._names,
                separator=self._separator,
                schema_overrides=self._fixed or None,
                infer_schema_length=1_000,
                truncate_ragged_lines=False,
            )
        except (pl.exceptions.PolarsError, ValueError) as wrong:
            said = str(wrong).splitlines()[0][:160]
            raise InputError(f"{name}: no table of numbers at row {at:,} or soon after ({said})") from wrong


def _two_dimensions(head: Head, name: str) -> Head:
    if len(head.shape) != 2:
        raise ShapeMismatchError(f"{name} has shape {list(head.shape)}, wanted rows [n, width]")
    if head.dtype.names is not None:
        raise InputError(f"{name} has named fields {', '.join(head.dtype.names)}: save plain numbers [n, width]")
    return head


def _read(
    file: IO[bytes], head: Head, name: str, options: VectorSettings, labels: NDArray[Any] | None
) -> Iterator[Part]:
    """Read row after row from where the file stands."""
    n, width = head.shape
    if labels is not None and len(labels) != n:
        raise InputError(f"{name}: {n:,} rows and {len(labels):,} labels: give one for each row")
    step = rows_at_once(options, width)
    for start in range(0, n, step):
        stop = min(start + step, n)
        wanted = (stop - start) * width * head.dtype.itemsize
        read = file.read(wanted)
        if len(read) < wanted:
            raise InputError(f"{name} ends in row {start + len(read) * (stop - start) // max(wanted, 1):,} of {n:,}")
        rows = np.frombuffer(read, dtype=head.dtype).reshape(stop - start, width)
        yield Part(rows, None if labels is None else labels[start:stop], stop / n)


def _mapped(rows: NDArray[Any], options: VectorSettings, labels: NDArray[Any] | None = None) -> Iterator[Part]:
    step = rows_at_once(options, rows.shape[1])
    for start in range(0, len(rows), step):
        stop = min(start + step, len(rows))
        yield Part(rows[start:stop], None if labels is None else labels[start:stop], stop / len(rows))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

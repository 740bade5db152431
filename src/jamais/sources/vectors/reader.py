"""How are rows of numbers read, whatever holds them, in blocks of one size and with bounded memory?"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.vectors.files import csv_source, npy_source, npz_source
from jamais.sources.vectors.held import array_source, arrays_source, iterable_source
from jamais.sources.vectors.parts import Part, VectorSource
from jamais.sources.vectors.settings import VectorSettings
from jamais.sources.vectors.tables import parquet_source, table_source
from jamais.types import Vectors

_FORMATS = {
    ".npy": npy_source,
    ".npz": npz_source,
    ".parquet": parquet_source,
    ".csv": csv_source,
    ".tsv": csv_source,
}
_PACKED = (".gz", ".xz", ".zst")
RowCheck = Callable[[Any, int | None, str], Vectors]
"""Turns rows as they were found into finite float32 [n, width], or raises InputError: (rows, width, whose)."""
_KNOWN = "an array [n, width], a DataFrame, rows of numbers, or a path: .npy, .npz, .parquet or .csv"


@dataclass(frozen=True)
class Block:
    """Some rows that come one after the other."""

    rows: Vectors
    """Finite float32 [n, width]."""
    labels: NDArray[Any] | None = None
    """What the label column says of each [n], where one was asked for."""

    def __len__(self) -> int:
        return len(self.rows)


def open_vectors(
    data: Any,
    check: RowCheck,
    options: VectorSettings | None = None,
    width: int | None = None,
    *,
    labelled: bool = False,
) -> VectorReader:
    """Open an array, table, path, glob, list of paths or iterable of rows for reading; raises InputError.

    Rows of another width than `width` are refused. The label column is read where `labelled` is set.
    """
    return VectorReader(_sources(data), check, options or VectorSettings(), width, labelled)


class VectorReader:
    """Iterate over the blocks of rows, once. All but the last hold `block_rows`, wherever one source ends."""

    def __init__(
        self,
        sources: list[VectorSource],
        check: RowCheck,
        options: VectorSettings,
        width: int | None,
        labelled: bool = False,
    ) -> None:
        self._sources, self._check, self._options, self.width = sources, check, options, width
        self._labelled = labelled
        self.files = [source.name for source in sources]
        self.counts: dict[str, int] = {}
        self.said: list[str] = []
        """Sentences worth telling the user once."""
        self.columns: tuple[str, ...] = ()
        """Names of the columns, where a table has them."""
        self.format = ""
        self.n_rows = 0
        self.bytes_done = 0
        self.bytes_total = sum(source.size for source in sources)

    def __iter__(self) -> Iterator[Block]:
        held: list[Block] = []
        size = self._options.block_rows
        for block in self._each():
            held.append(block)
            while (n := sum(map(len, held))) >= size:
                whole = _joined(held)
                held = [_part(whole, slice(size, None))] if n > size else []
                yield _part(whole, slice(0, size))
        if held:
            yield _joined(held)

    def _each(self) -> Iterator[Block]:
        done = 0
        for source in self._sources:
            at = 0
            for part in source.parts(self._options, self._labelled):
                block = self._checked(part, source.name, at)
                at += len(block)
                self.n_rows += len(block)
                self._note(source)
                self.bytes_done = done + round(source.size * part.share)
                if len(block):
                    yield block
            self._note(source)
            done += source.size
            self.bytes_done = done

    def _note(self, source: VectorSource) -> None:
        self.format = self.format or source.format
        self.columns = self.columns or source.columns
        self.said += [said for said in source.said if said not in self.said]

    def _checked(self, part: Part, name: str, at: int) -> Block:
        rows = part.rows
        try:
            checked = self._check(rows, self.width, name)
        except ShapeMismatchError:
            raise
        except InputError as wrong:
            bad = _not_finite(rows)
            if bad is None:
                raise
            raise InputError(
                f"{name}: row {at + bad:,} holds NaN, infinity or more than 3e38: drop or fill such rows"
            ) from wrong
        self.width = checked.shape[1]
        if part.labels is not None and len(part.labels) != len(checked):
            raise InputError(f"{name}: {len(checked):,} rows and {len(part.labels):,} labels: give one for each row")
        return Block(checked, part.labels)


def _sources(data: Any) -> list[VectorSource]:
    if isinstance(data, str | os.PathLike):
        return _paths(os.fspath(data))
    if isinstance(data, list | tuple) and data and all(isinstance(one, str | os.PathLike) for one in data):
        return [source for one in data for source in _paths(os.fspath(one))]
    if isinstance(data, Mapping):
        return [arrays_source(data)]
    if hasattr(data, "collect_schema") or hasattr(data, "columns"):  # asking a lazy table for its columns costs
        return [table_source(data)]
    if hasattr(data, "shape"):
        return [array_source(data)]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [array_source(data)] if len(data) else []
    if isinstance(data, Iterable) and not isinstance(data, bytes):
        return [iterable_source(data)]
    raise InputError(f"cannot read rows of numbers from {type(data).__name__}: give {_KNOWN}")


def _paths(text: str) -> list[VectorSource]:
    if os.path.exists(text) or not any(c in text for c in "*?["):
        return [_file(Path(text))]
    found = [Path(one) for one in sorted(glob.glob(text, recursive=True)) if not os.path.isdir(one)]
    if not found:
        raise InputError(f"no file matches {text}: check the pattern, and quote it in a shell")
    return [_file(path) for path in found]


def _file(path: Path) -> VectorSource:
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    if suffix not in _FORMATS:
        raise InputError(f"{path} has no name of a file with rows of numbers: wanted {', '.join(_FORMATS)}")
    if path.is_dir():
        raise InputError(f"{path} is a directory, wanted a file: give a pattern such as '{path}/*.npy'")
    try:
        path.open("rb").close()
    except FileNotFoundError as wrong:
        raise InputError(f"no such file: {path}") from wrong
    except OSError as wrong:
        raise InputError(f"cannot read {path}: {wrong.strerror or wrong}") from wrong
    return _FORMATS[suffix](path)


def _not_finite(rows: Any) -> int | None:
    """Name the first row that is not finite as float32; None where that is not what is wrong."""
    try:
        given = np.asarray(rows)
        if given.dtype.kind not in "fO":
            return None
        with np.errstate(over="ignore"):
            numbers = given.astype(np.float32)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    bad = np.flatnonzero(~np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1))
    return int(bad[0]) if len(bad) else None


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    labels = [block.labels for block in blocks if block.labels is not None]
    rows = np.concatenate([block.rows for block in blocks])
    return Block(rows, np.concatenate(labels) if len(labels) == len(blocks) else None)


def _part(block: Block, part: slice) -> Block:
    return Block(block.rows[part], None if block.labels is None else block.labels[part])

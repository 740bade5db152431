"""How are rows read that are in memory already: an array, a mapping of arrays, an iterable of rows?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.vectors.choosing import chosen_array, label_name
from jamais.sources.vectors.parts import Part, VectorSource, as_labels, rows_at_once
from jamais.sources.vectors.settings import VectorSettings


def array_source(rows: Any) -> VectorSource:
    """Open an array, a tensor or nested lists [n, width]."""
    shape = getattr(rows, "shape", None)
    if shape is not None and len(shape) != 2:
        hint = ", one row alone is X[None, :]" if len(shape) == 1 else ""
        raise ShapeMismatchError(f"wanted rows [n, width], got an array of shape {tuple(shape)}{hint}")
    if "sparse" in str(getattr(rows, "layout", "")):
        raise InputError(f"wanted dense rows [n, width], got a tensor of {rows.layout}: pass X.to_dense()")

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        if labelled and options.label_column is not None:
            raise InputError(
                f"label_column {options.label_column!r}: an array has none; give labels=… or a mapping of arrays"
            )
        return sliced(rows, None, options)

    return VectorSource("array", "array", parts, _n_bytes(rows))


def arrays_source(arrays: Mapping[str, Any], name: str = "mapping", format_: str = "arrays") -> VectorSource:
    """Open a mapping of arrays, as an .npz is one: rows, and perhaps labels."""
    shapes = {str(key): tuple(np.shape(array)) for key, array in arrays.items()}

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        key = chosen_array(shapes, options, name)
        label = label_name(list(shapes), options, name) if labelled else None
        return sliced(arrays[key], None if label is None else as_labels(arrays[label]), options)

    return VectorSource(name, format_, parts, sum(_n_bytes(one) for one in arrays.values()))


def iterable_source(rows: Iterable[Any]) -> VectorSource:
    """Open an iterable of rows [width], of blocks [n, width], or of both."""

    def parts(options: VectorSettings, labelled: bool) -> Iterator[Part]:
        waiting: list[Any] = []
        for one in rows:
            if np.ndim(one) == 2:
                if waiting:
                    yield Part(waiting, None, 0.0)
                waiting = []
                yield Part(one, None, 0.0)
                continue
            waiting.append(one)
            if len(waiting) == options.block_rows:
                yield Part(waiting, None, 0.0)
                waiting = []
        if waiting:
            yield Part(waiting, None, 0.0)

    return VectorSource("rows", "rows", parts)


def sliced(rows: Any, labels: Any, options: VectorSettings) -> Iterator[Part]:
    """Cut rows that can be sliced into parts."""
    n = len(rows)
    if labels is not None and len(labels) != n:
        raise InputError(f"{n:,} rows and {len(labels):,} labels: give one for each row")
    step = rows_at_once(options, int(np.shape(rows[:1])[-1]) if n else 1)
    for start in range(0, n, step):
        stop = min(start + step, n)
        yield Part(rows[start:stop], None if labels is None else labels[start:stop], stop / n)


def _n_bytes(rows: Any) -> int:
    try:
        n_bytes = getattr(rows, "nbytes", None)
    except RuntimeError:  # a sparse tensor; it is refused with a better sentence when it is read
        return 0
    return int(n_bytes) if isinstance(n_bytes, int) else 0

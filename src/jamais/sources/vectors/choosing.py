"""Which array or which columns of a file are the rows, where it holds several?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.vectors.settings import VectorSettings


def chosen_array(shapes: Mapping[str, tuple[int, ...]], options: VectorSettings, name: str) -> str:
    """Name the array that holds the rows: the one asked for, else the only one with two dimensions."""
    listed = ", ".join(f"{key} {list(shape)}" for key, shape in shapes.items())
    if options.array is not None:
        if options.array not in shapes:
            raise InputError(f"{name} has no array {options.array!r}, it has {listed or 'none'}: set reading.array")
        if len(shapes[options.array]) != 2:
            shape = shapes[options.array]
            raise ShapeMismatchError(f"{name}: array {options.array!r} has shape {list(shape)}, wanted rows [n, width]")
        return options.array
    flat = [key for key, shape in shapes.items() if len(shape) == 2 and key != options.label_column]
    if len(flat) == 1:
        return flat[0]
    problem = "several arrays could be the rows" if flat else "no array has two dimensions"
    raise InputError(f"{name}: {problem} ({listed or 'it is empty'}): say which one with reading.array")


def label_name(names: Sequence[str], options: VectorSettings, name: str) -> str | None:
    """Name the labels that were asked for; raise InputError where they are missing."""
    if options.label_column is None:
        return None
    if options.label_column not in names:
        raise InputError(f"{name} has no {options.label_column!r} with labels, it has {', '.join(names) or 'nothing'}")
    return options.label_column

"""What do columns hold, and how do values of any kind become float64?"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.sources.series.choosing import CLOCK, EMPTY, NUMBER, OTHER, STAMP
from jamais.sources.series.opened.delimited import kind_of_text
from jamais.types import Floats


def column_kind(column: pl.Series) -> str:
    """Say what a column of a table holds."""
    kind = column.dtype
    if column.null_count() == len(column):
        return STAMP if kind.is_temporal() else EMPTY
    if kind.is_numeric() or kind == pl.Boolean:
        return NUMBER
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return STAMP
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return kind_of_text(str(column.drop_nulls()[0]))
    if kind == pl.Time:
        return CLOCK
    return OTHER


def float_rows(values: Any, whose: str, at: int) -> Floats:
    """Give values as float64 [n, channels], a copy; raises for what is no table of numbers."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        given: NDArray[Any] = np.asarray(values)
    except ValueError as wrong:
        raise ShapeMismatchError(f"{whose}: rows at {at:,} or after are not all of one width") from wrong
    if given.dtype.kind == "O":
        given = _without_none(given, whose, at)
    if given.dtype.kind not in "biuf":
        raise InputError(f"{whose}: wanted numbers [time, channel], got an array of {given.dtype}")
    if given.ndim == 1:
        given = given[:, None]
    if given.ndim != 2:
        raise ShapeMismatchError(f"{whose}: wanted [time, channel] or [time], got an array of shape {given.shape}")
    return np.array(given, np.float64, order="C")


def _without_none(given: NDArray[Any], whose: str, at: int) -> Floats:
    """Read None as missing and whole numbers of any size; anything else is refused."""
    for place, one in np.ndenumerate(given):
        if one is not None and not isinstance(one, int | float | np.number | np.bool_):
            raise InputError(
                f"{whose}: row {at + place[0]:,} holds {type(one).__name__} {str(one)[:40]!r}: wanted numbers"
            )
    try:
        return np.array([np.nan if one is None else float(one) for one in given.ravel()]).reshape(given.shape)
    except OverflowError as wrong:
        raise InputError(f"{whose}: a number at row {at:,} or after is beyond 1e308") from wrong

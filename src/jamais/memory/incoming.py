"""Are these rows that may enter a memory or be scored?"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Vectors


def checked_rows(X: Any, width: int | None, who: str) -> Vectors:
    """Copy `X` [n, width] (array, tensor, data frame or nested lists) as finite float32; -0.0 becomes 0.0.

    Raise `ShapeMismatchError` on another shape, `InputError` on anything that is not a finite 32-bit number.
    """
    plain = X.detach().cpu().float().numpy() if _is_tensor(X) else X
    if hasattr(plain, "toarray"):
        raise InputError(f"{who} wants dense rows, got {type(plain).__name__}: pass X.toarray()")
    try:
        given = np.asarray(plain)
        if np.iscomplexobj(given):
            raise InputError(f"{who} wants real numbers. Complex data not supported: pass X.real or the magnitudes")
        with np.errstate(over="ignore"):
            rows = np.array(given, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{who} wants rows of numbers [n, {width or 'width'}], got {_said(plain)}: {error}") from None
    if rows.ndim != 2:
        raise ShapeMismatchError(
            f"{who} wants rows [n, {width or 'width'}], got shape {tuple(rows.shape)}: Reshape your data, "
            "one row alone is X[None, :]"
        )
    if rows.shape[1] == 0 or width not in (None, rows.shape[1]):
        raise ShapeMismatchError(f"{who} wants rows [n, {width or 'width'}], got {tuple(rows.shape)}")
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InputError(
            f"{who} wants finite 32-bit numbers, row {bad} holds NaN or infinity (or more than 3e38): "
            "drop or fill such rows"
        )
    rows += 0.0  # -0.0 and 0.0 are one value but two bit patterns
    return rows


def _is_tensor(X: object) -> bool:
    # torch is not imported to find out: a tensor exists only after it was.
    return type(X).__module__.partition(".")[0] == "torch" and hasattr(X, "detach")


def _said(X: object) -> str:
    dtype = getattr(X, "dtype", None)
    return type(X).__name__ if dtype is None else f"{type(X).__name__} of {dtype}"

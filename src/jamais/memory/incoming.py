"""Are these rows that may enter a memory or be scored, and are these whole numbers that may go beside them?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import InputError, ShapeMismatchError
from jamais.types import Ints, Vectors

_NUMBERS = "biuf"  # kinds of NumPy: truth values, whole and real numbers


def checked_rows(X: Any, width: int | None, who: str) -> Vectors:
    """Copy `X` [n, width] (array, tensor, data frame or nested lists) as finite float32; -0.0 becomes 0.0.

    Columns go by their place, not by their names. Raise `ShapeMismatchError` on another shape, `InputError` on
    anything that is not a finite 32-bit number.
    """
    try:
        given = _numbers(X, who)
        with np.errstate(over="ignore"):
            rows = np.array(given, dtype=np.float32, order="C")
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # RuntimeError: tensors that will not
        raise InputError(f"{who} wants rows of numbers [n, {width or 'width'}], got {_said(X)}: {error}") from None
    if rows.ndim != 2:
        raise ShapeMismatchError(
            f"{who} wants rows [n, {width or 'width'}], got shape {tuple(rows.shape)}: Reshape your data, "
            "one row alone is X[None, :]"
        )
    if rows.shape[1] == 0 or width not in (None, rows.shape[1]):
        raise ShapeMismatchError(
            f"{who} wants rows [n, {width or 'width'}], got {tuple(rows.shape)}: give the columns that were learned"
        )
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InputError(
            f"{who} wants finite 32-bit numbers, row {bad} holds NaN or infinity (or more than 3e38): "
            "drop or fill such rows"
        )
    rows += 0.0  # -0.0 and 0.0 are one value but two bit patterns
    return rows


def checked_whole(values: Any, n: int | None, what: str) -> Ints:
    """Copy whole numbers [n], or any number of them, as int64.

    Raise `ShapeMismatchError` on another shape, `InputError` on what is not a whole number.
    """
    given = np.asarray(values)
    if n is None:
        given = np.atleast_1d(given)
    if given.ndim != 1 or n not in (None, len(given)):
        raise ShapeMismatchError(
            f"{what}: wanted one whole number each, [{'m' if n is None else n}], got {given.shape}"
        )
    kind = given.dtype.kind
    if given.size and not (kind in "iu" or (kind == "f" and (np.abs(given) < 2**53).all() and not (given % 1).any())):
        raise InputError(f"{what}: wanted whole numbers, got {_said(values)} {str(values)[:60]}")
    return given.astype(np.int64)


def _numbers(X: Any, who: str) -> NDArray[Any]:
    """Give `X` as an array of real numbers or of objects; refuse what NumPy would turn into numbers in silence."""
    plain = _of_tensor(X, who) if _is_tensor(X) else X
    if isinstance(plain, list | tuple) and plain and _is_tensor(plain[0]):
        plain = [_of_tensor(one, who) if _is_tensor(one) else one for one in plain]
    if hasattr(plain, "toarray"):
        raise InputError(f"{who} wants dense rows, got {type(plain).__name__}: pass X.toarray()")
    if isinstance(plain, np.ma.MaskedArray) and np.ma.is_masked(plain):
        raise InputError(f"{who} wants finite numbers, got masked ones: pass X.filled(...) or drop such rows")
    given = np.asarray(plain)
    if np.iscomplexobj(given):
        raise InputError(f"{who} wants real numbers. Complex data not supported: pass X.real or the magnitudes")
    texts = given.dtype.kind == "O" and any(isinstance(one, str | bytes) for one in given.flat)
    if texts or given.dtype.kind not in _NUMBERS + "O":
        raise InputError(f"{who} wants rows of numbers, got {_said(given)}{' with text' * texts}: convert them first")
    return given


def _is_tensor(X: object) -> bool:
    # torch is not imported to find out: a tensor exists only after it was.
    return type(X).__module__.partition(".")[0] == "torch" and hasattr(X, "detach")


def _of_tensor(X: Any, who: str) -> Any:
    if X.is_complex():
        raise InputError(f"{who} wants real numbers. Complex data not supported: pass X.real or X.abs()")
    if X.layout != type(X)().layout:  # an empty tensor is dense
        raise InputError(f"{who} wants dense rows, got {X.layout}: pass X.to_dense()")
    return X.detach().cpu().float().numpy()


def _said(X: object) -> str:
    dtype = getattr(X, "dtype", None)
    return type(X).__name__ if dtype is None else f"{type(X).__name__} of {dtype}"

"""After how many rows does a series repeat itself?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import InputError, ShapeMismatchError

NO_PERIOD = 125
"""What TSB-AD takes for a series that has no period between 6 and 303 rows."""

_LEAST = 3  # lags left out at the front, where every smooth series agrees with itself
_LAGS = 400
_ROWS = 20_000


def find_period(values: ArrayLike) -> int:
    """Return the lag of the highest peak of the autocorrelation: [n] -> rows, 6..303, or 125 if there is none.

    The same number as `find_length_rank(values, rank=1)` of TSB-AD 1.5, which takes it as the window of VUS: for
    series of many channels, of the first channel (with the train rows in front). Only the first 20,000 rows count.
    Raises InputError on values that are not numbers.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim == 2 and series.shape[1] == 1:
        series = series[:, 0]
    if series.ndim != 1:
        raise ShapeMismatchError(f"a period is that of one channel, [n], got {series.shape}: give values[:, 0]")
    series = series[:_ROWS]
    if not np.isfinite(series).all():
        raise InputError(f"{int((~np.isfinite(series)).sum()):,} values are not finite: fill them before")
    if len(series) < _LEAST + 3 or series.min() == series.max():
        return NO_PERIOD
    centred = series - series.mean()
    spectrum = np.fft.rfft(centred, n=1 << (2 * len(series)).bit_length())
    agreement = np.fft.irfft(spectrum * np.conjugate(spectrum))[: min(len(series), _LAGS + 1)][_LEAST:]
    inner = agreement[1:-1]
    peaks = np.flatnonzero((inner > agreement[:-2]) & (inner > agreement[2:])) + 1
    if not len(peaks):
        return NO_PERIOD
    best = int(peaks[np.argmax(agreement[peaks])])
    # TSB-AD compares the place after the lags left out, not the lag, with its bounds
    return best + _LEAST if 3 <= best <= 300 else NO_PERIOD

"""How does a scored series, read once and never held, become a picture or a page?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.plots.series.page import most_details, page
from jamais.plots.series.picture import figure
from jamais.plots.series.scene import scene
from jamais.plots.series.segments import Segments
from jamais.plots.series.trace import MOST_BUCKETS, Trace
from jamais.types import NO_TIME, Bools, Floats, Ints

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".png", ".svg", ".html")
_LEAST_BUCKETS = 512
_MOST_NUMBERS = 3_000_000  # kept of all channels, low and high: 48 MB


def draw_series(
    path: str | Path,
    times_or_rows: Any,
    values: Floats,
    channels: Sequence[str],
    frame: pl.DataFrame,
    threshold: float,
    truth: Bools | None = None,
    *,
    rate: float | None = None,
    title: str = "",
) -> None:
    """Draw a scored series as a .png or .svg, or as one .html page to look round in.

    `times_or_rows` [n]: datetimes, or whole numbers that the column `row` of the verdicts means, or None for 0, 1, …;
    `values` [n, C], NaN = missing; `frame` has a verdict for each row, or for some, in order; `truth` [n] marks what
    is abnormal in truth. Raises ShapeMismatchError where lengths differ, InputError for a file of another kind.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    n = len(values)
    if len(channels) != values.shape[1]:
        raise ShapeMismatchError(f"{values.shape[1]} channels have {len(channels)} names: give one per channel")
    rows, times = _axis(times_or_rows, n)
    for name, of in (("places", rows), ("marks of truth", truth)):
        if of is not None and len(of) != n:
            raise ShapeMismatchError(f"{n:,} rows have {len(of):,} {name}: give one per row")
    plot = SeriesPlot(path, tuple(channels), threshold=threshold, rate=rate, title=title)
    plot.add_values(rows, times, values)
    plot.add(frame)
    if truth is not None:
        plot.mark(np.asarray(truth, dtype=bool), times if not (times == NO_TIME).any() else rows)
    plot.close()


class SeriesPlot:
    """Takes values and verdicts piece by piece, in bounded memory, and draws them at the end."""

    def __init__(
        self,
        path: str | Path,
        channels: tuple[str, ...],
        *,
        threshold: float,
        rate: float | None = None,
        title: str = "",
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in SUFFIXES:
            raise InputError(f"a picture of a series is a .png, .svg or .html file, got {path}")
        if self.path.suffix.lower() != ".html":
            figure_class()  # before minutes of scoring
        self.channels, self.threshold, self.rate, self.title = channels, threshold, rate, title
        self._trace, self._segments = Trace(len(channels), _most_buckets(len(channels))), Segments()
        self._truth: tuple[Bools | None, Ints | None] = (None, None)

    def add_values(self, rows: Ints, times: Ints, values: Floats) -> None:
        """Take the next rows of the input; their verdicts come later."""
        self._trace.add_values(rows, times, values)

    def add(self, frame: pl.DataFrame) -> None:
        """Take a frame of verdicts, in order of its rows."""
        self._trace.add_verdicts(frame)
        self._segments.add(frame)

    def mark(self, truth: Bools, places: Ints) -> None:
        """Take what is abnormal in truth: marks [n] and where they stand [n], as times or as rows."""
        self._truth = truth, places

    def close(self) -> None:
        """Draw, and write the file whole or not at all."""
        suffix = self.path.suffix.lower()
        seen = scene(
            self._trace, self._segments, self.channels, self.threshold, self.rate, *self._truth,
            details=most_details(len(self.channels)) if suffix == ".html" else 0,
        )  # fmt: skip
        if suffix == ".html":
            write_picture(self.path, page(seen, self.title))
        else:
            write_picture(self.path, drawn(figure(seen, self.title), suffix))


def _most_buckets(n_channels: int) -> int:
    """Give how many buckets are kept: fewer of very many channels, never fewer than a picture has pixels by half."""
    most = MOST_BUCKETS
    while most > _LEAST_BUCKETS and most * n_channels > _MOST_NUMBERS:
        most //= 2
    return most


def _axis(times_or_rows: Any, n: int) -> tuple[Ints, Ints]:
    """Give rows [n] and times [n] in microseconds."""
    nothing = np.full(n, NO_TIME, dtype=np.int64)
    if times_or_rows is None:
        return np.arange(n), nothing
    given = np.asarray(times_or_rows)
    if given.dtype.kind == "O":  # datetimes of Python: in UTC where they know a zone
        given = np.array([_naive(one) for one in given], dtype="datetime64[us]")
    if given.dtype.kind == "M":
        times = given.astype("datetime64[us]").astype(np.int64)
        return np.arange(len(times)), times
    if given.dtype.kind not in "iu":
        raise InputError(f"the axis of a series is datetimes or whole numbers, got {given.dtype}")
    return given.astype(np.int64), np.full(len(given), NO_TIME, dtype=np.int64)


def _naive(time: Any) -> Any:
    from datetime import UTC

    return time.astimezone(UTC).replace(tzinfo=None) if getattr(time, "tzinfo", None) is not None else time

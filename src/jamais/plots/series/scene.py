"""What does a picture of a scored series show: which channels, where are the gaps, what happened, in words?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from jamais.plots.memory_words import legible
from jamais.plots.series.reconstruction import runs
from jamais.plots.series.segments import Segment, Segments
from jamais.plots.series.trace import Buckets, Trace
from jamais.types import NO_TIME, Bools, Floats, Ints

MOST_NAME = 60
_BREAK = 5  # steps without a row that a line does not cross


@dataclass(frozen=True)
class Scene:
    """A scored series, ready to be drawn."""

    channels: tuple[str, ...]
    """Names that cannot hide or move anything."""
    buckets: Buckets
    places: Ints
    """[m, 2] first and last place of each bucket on the axis: microseconds since 1970, or rows."""
    timed: bool
    step: float
    """Places from one row to the next."""
    breaks: Bools
    """[m] nothing was measured for a while before this bucket."""
    segments: tuple[Segment, ...]
    """The worst of them, in order of time."""
    blame: Floats
    """[C] the part of all alarms that a channel is responsible for."""
    ranking: tuple[int, ...]
    """Channels, the most responsible first."""
    threshold: float
    rate: float | None
    truth: tuple[tuple[int, int], ...]
    """First and last place of what is abnormal in truth."""
    n_rows: int
    n_segments: int
    n_alarms: int

    def span(self, segment: Segment) -> tuple[int, int]:
        """Give the first and last place of a segment on the axis."""
        return (segment.first_time, segment.last_time) if self.timed else (segment.first_row, segment.last_row)

    def rank(self) -> dict[int, int]:
        """Give the place of each segment, by its first row, among the segments: 1 is the worst."""
        worst = sorted(self.segments, key=lambda one: (-one.score, one.first_row))
        return {one.first_row: i + 1 for i, one in enumerate(worst)}


def scene(
    trace: Trace,
    segments: Segments,
    channels: tuple[str, ...],
    threshold: float,
    rate: float | None = None,
    truth: Bools | None = None,
    places: Ints | None = None,
    details: int = 0,
) -> Scene:
    """Lay out what was collected; `truth` [n] marks rows that stand at `places` [n] on the axis.

    `details`: shorter runs where something happened, for a page that can be zoomed.
    """
    buckets = trace.buckets(details)
    timed = bool(len(buckets.times)) and not (buckets.times == NO_TIME).any()
    at = buckets.times if timed else buckets.rows
    step = _step(at, buckets.counts)
    worst = tuple(segments.in_order())  # ends the last one, whose blame counts
    worst = tuple(_placed(one, buckets) for one in worst) if timed else worst
    blame, ranking = _ranked(buckets, segments, channels)
    marked = () if truth is None or places is None else tuple((int(places[a]), int(places[b])) for a, b in runs(truth))
    return Scene(
        channels=tuple(legible(str(name), MOST_NAME) or f"channel {i}" for i, name in enumerate(channels)),
        buckets=buckets,
        places=at,
        timed=timed,
        step=step,
        breaks=np.r_[False, at[1:, 0] - at[:-1, 1] > _BREAK * step][: len(at)],
        segments=worst,
        blame=blame,
        ranking=ranking,
        threshold=threshold,
        rate=rate,
        truth=marked,
        n_rows=segments.n_rows,
        n_segments=segments.n_segments,
        n_alarms=segments.n_alarms,
    )


def headline(seen: Scene) -> str:
    """Say in one sentence what was found."""
    alarms = many(seen.n_alarms, "abnormal row")
    found = f"{many(seen.n_segments, 'abnormal segment')} ({alarms})" if seen.n_alarms else "nothing abnormal"
    channels = f" of {many(len(seen.channels), 'channel')}" if seen.channels else ""
    rate = f" at alarm rate {seen.rate:g}" if seen.rate is not None else ""
    return f"{found} in {many(seen.n_rows, 'row')}{channels}{rate}"


def when(seen: Scene) -> str:
    """Say from when to when the series goes."""
    if not len(seen.places):
        return "no rows"
    first, last = int(seen.places[0, 0]), int(seen.places[-1, 1])
    if not seen.timed:
        return f"rows {first:,} to {last:,}"
    return f"{moment(first)} to {moment(last)} UTC ({duration((last - first) / 1e6)})"


def told(seen: Scene, segment: Segment) -> str:
    """Say of a segment when it began, how long it was, how bad, and which channels are responsible."""
    if seen.timed:
        length = duration((segment.last_time - segment.first_time + seen.step) / 1e6)
        begin = moment(segment.first_time)
    else:
        length = many(segment.last_row - segment.first_row + 1, "row")
        begin = f"row {segment.first_row:,}"
    about = "~" if segment.p_extrapolated else ""
    figures = f"score {segment.score:.3g}, p {about}{segment.p_value:.1g}"
    names = ", ".join(f"{legible(name, 40)} {share:.0%}" for name, share in segment.responsible()[:4])
    return f"{begin}, {length}, {figures}{': ' + names if names else ''}"


def moment(microseconds: int) -> str:
    """Write a time, with no more digits than it has."""
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return f"{time:%Y-%m-%d %H:%M:%S}" + (f".{time.microsecond // 1000:03d}" if time.microsecond else "")


def duration(seconds: float) -> str:
    """Write a duration as people do: 90 s, 4 min, 3 h, 2 days."""
    for unit, length in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}" if seconds >= 10 * length else f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def many(n: int, word: str) -> str:
    """Write a number of things."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _placed(segment: Segment, buckets: Buckets) -> Segment:
    """Give a segment whose verdicts bear no times those of the values in its rows."""
    if NO_TIME not in (segment.first_time, segment.last_time):
        return segment
    times = [
        int(np.interp(row, buckets.rows.ravel(), buckets.times.ravel()))
        for row in (segment.first_row, segment.last_row, segment.worst_row)
    ]
    return replace(segment, first_time=times[0], last_time=times[1], worst_time=times[2])


def _step(places: Ints, counts: Ints) -> float:
    """Estimate the usual distance of two rows from that of two buckets."""
    if len(places) < 2:
        return 1.0
    each = (places[1:, 0] - places[:-1, 0]) / np.maximum(counts[:-1], 1)
    return max(float(np.median(each)), 1e-9)


def _ranked(buckets: Buckets, segments: Segments, channels: tuple[str, ...]) -> tuple[Floats, tuple[int, ...]]:
    """Order channels by what they are responsible for, then those that move before those that never do."""
    blame = np.array([segments.blame.get(name, 0.0) for name in channels])
    blame = blame / max(sum(segments.blame.values()), 1e-300)
    low, high = (
        fold.reduce(of, axis=0) for fold, of in ((np.fmin, _some(buckets.low)), (np.fmax, _some(buckets.high)))
    )
    still = ~(high > low)
    order = np.lexsort((np.arange(len(channels)), still, -blame))
    return blame, tuple(int(i) for i in order)


def _some(rows: Floats) -> Floats:
    return rows if len(rows) else np.full((1, rows.shape[1]), np.nan)

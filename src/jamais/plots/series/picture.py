"""How is a scored series drawn: the worst channels one above the other, the score below them?"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.plots.canvas import figure_class
from jamais.plots.memory_words import legible
from jamais.plots.series.scene import MOST_NAME, Scene, headline, told, when
from jamais.plots.series.segments import GUILTY, Segment
from jamais.types import Bools, Floats

MOST_PANELS = 5
MOST_LISTED = 6
BLUE, RED, ORANGE, SLATE, GREY = "#35688f", "#c1272d", "#f0a030", "#4d5b6a", "#8a8a8a"
_LOG_FROM = 25.0  # a highest score so many times the threshold needs a log scale
_LINE = 0.205  # inches per line of text
_LEAST_WIDTH = 0.0025  # of the axis, that a segment takes however short it is


def figure(seen: Scene, title: str = "") -> Any:
    """Draw a scene: channels by responsibility, segments shaded, truth as a thin band, the segments in words."""
    shown = seen.ranking[:MOST_PANELS]
    listed = sorted(seen.segments, key=lambda one: (-one.score, one.first_row))[:MOST_LISTED]
    ratios = [1.0] * len(shown) + [1.35] + ([0.14] if seen.truth else [])
    head, foot = 0.98, 0.62 + _LINE * len(listed)
    height = head + foot + 1.12 * sum(ratios)
    drawn = figure_class()(figsize=(11, height))
    grid = drawn.add_gridspec(
        len(ratios), 1, left=0.07, right=0.985, top=1 - head / height, bottom=foot / height, height_ratios=ratios,
        hspace=0.42,
    )  # fmt: skip
    first: Any = None
    for i in range(len(ratios)):
        axes = drawn.add_subplot(grid[i], sharex=first)
        first = first or axes
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, labelbottom=i == len(ratios) - 1, colors="#444444")
    panels: list[Any] = drawn.axes
    for axes, channel in zip(panels, shown, strict=False):
        _draw_channel(axes, seen, channel)
    _draw_score(panels[len(shown)], seen)
    if seen.truth:
        _draw_truth(panels[-1], seen)
    _number(panels[0], seen)
    _label_axis(panels[-1], seen)
    line = title or headline(seen)
    drawn.text(0.012, 1 - 0.3 / height, line, fontsize=13, weight="bold", parse_math=False)
    second = when(seen) if not title else f"{headline(seen)}; {when(seen)}"
    drawn.text(0.012, 1 - 0.52 / height, second, fontsize=9, color="#555555", parse_math=False)
    ranks = seen.rank()
    for i, segment in enumerate(listed):
        text = f"{ranks[segment.first_row]}   {told(seen, segment)}"
        drawn.text(0.07, (_LINE * (len(listed) - i) - 0.08) / height, text, fontsize=8.5, parse_math=False)
    return drawn


def _places(seen: Scene, places: Any) -> Floats:
    """Give places on the axis as matplotlib counts them: times in days since 1970."""
    return np.asarray(places) / (86_400e6 if seen.timed else 1.0)


def _line(seen: Scene, low: Floats, high: Floats, chosen: Bools | None = None) -> tuple[Any, Floats]:
    """Give a line that goes through the least and the largest value of each run, and stops at gaps."""
    low, high = (of if chosen is None else np.where(chosen, of, np.nan) for of in (low, high))
    heights = np.stack([low, high], axis=1)
    # Where a run ended high, the next begins high: no false strokes.
    heights[1::2] = heights[1::2, ::-1]
    x, y = seen.places.ravel(), heights.ravel()
    gaps = np.flatnonzero(seen.breaks)
    return _places(seen, np.insert(x, 2 * gaps, x[2 * gaps])), np.insert(y, 2 * gaps, np.nan)


def _draw_channel(axes: Any, seen: Scene, channel: int) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = seen.buckets.low[:, channel], seen.buckets.high[:, channel]
    axes.plot(*_line(seen, low, high), color=BLUE, linewidth=0.8)
    name, guilty = seen.channels[channel], np.zeros(len(low), dtype=bool)
    for segment in seen.segments:
        mine = _is_named(seen, segment, channel)
        _shade(axes, seen, segment, 0.22 if mine else 0.07)
        if mine:
            first, last = seen.span(segment)
            guilty |= (seen.places[:, 1] >= first) & (seen.places[:, 0] <= last)
    if guilty.any():
        alone = guilty & ~np.r_[False, guilty[:-1]] & ~np.r_[guilty[1:], False]
        axes.plot(*_line(seen, low, high, guilty), color=RED, linewidth=1.0)
        axes.plot(_places(seen, seen.places[alone, 0]), high[alone], ".", color=RED, markersize=3)
    share = float(seen.blame[channel])
    axes.set_title(name, fontsize=9, loc="left", pad=3, parse_math=False)
    if share > 0:
        text = f"{'<1%' if share < 0.01 else f'{share:.0%}'} of what was abnormal"
        axes.set_title(text, fontsize=8, loc="right", pad=3, color="#777777")
    if not np.isfinite(low).any():
        axes.text(0.5, 0.4, "no values", transform=axes.transAxes, ha="center", fontsize=9, color=GREY)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    offset = axes.yaxis.get_offset_text()
    offset.set(fontsize=7, ha="right")
    offset.set_x(-0.004)


def _is_named(seen: Scene, segment: Segment, channel: int) -> bool:
    return any(legible(name, MOST_NAME) == seen.channels[channel] for name, _ in segment.responsible(GUILTY))


def _shade(axes: Any, seen: Scene, segment: Segment, alpha: float) -> None:
    left, right = _edges(seen, *seen.span(segment))
    axes.axvspan(left, right, color=RED, alpha=alpha, linewidth=0)


def _edges(seen: Scene, first: int, last: int) -> tuple[float, float]:
    """Give from where to where a stretch of rows is shaded; never so narrow that nobody sees it."""
    whole = float(seen.places[-1, 1] - seen.places[0, 0]) + seen.step
    more = max(seen.step, _LEAST_WIDTH * whole - (last - first)) / 2
    left, right = _places(seen, [first - more, last + more]).tolist()
    return left, right


def _draw_score(axes: Any, seen: Scene) -> None:
    score, threshold = seen.buckets.score, seen.threshold
    for segment in seen.segments:
        _shade(axes, seen, segment, 0.12)
    axes.plot(*_line(seen, score, score), color=SLATE, linewidth=0.8)
    over = seen.buckets.abnormal
    if over.any():
        axes.plot(_places(seen, seen.places[over, 0]), score[over], ".", color=RED, markersize=2.5)
    axes.axhline(threshold, color=RED, linestyle="--", linewidth=0.9)
    above = f"threshold {threshold:.3g}"
    axes.set_title("score: how unlike all that is remembered", fontsize=9, loc="left", pad=3)
    axes.set_title(above, fontsize=8, loc="right", pad=3, color=RED)
    known = score[np.isfinite(score)]
    if len(known) and threshold > 0 and known.max() > _LOG_FROM * threshold and (known > 0).any():
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(float(np.quantile(known[known > 0], 0.02)), 1e-3 * threshold))
    else:
        axes.set_ylim(min(0.0, float(known.min(initial=0.0))), 1.08 * max(threshold, float(known.max(initial=1.0))))


def _draw_truth(axes: Any, seen: Scene) -> None:
    for first, last in seen.truth:
        left, right = _edges(seen, first, last)
        axes.axvspan(left, right, color=ORANGE, linewidth=0)
    axes.set(yticks=[], ylim=(0, 1))
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("truth", fontsize=8, rotation=0, ha="right", va="center", color="#555555")


def _number(axes: Any, seen: Scene) -> None:
    """Write the rank of the listed segments over the first panel, as far as they do not meet."""
    if not len(seen.places):
        return
    ranks, whole = seen.rank(), float(seen.places[-1, 1] - seen.places[0, 0]) + seen.step
    groups: list[tuple[float, list[int]]] = []
    for segment in sorted(seen.segments, key=lambda one: ranks[one.first_row])[:MOST_LISTED]:
        middle = sum(seen.span(segment)) / 2
        near = next((named for other, named in groups if abs(middle - other) < 0.025 * whole), None)
        if near is None:
            near = []
            groups.append((middle, near))
        near.append(ranks[segment.first_row])
    for middle, named in groups:
        axes.annotate(
            " ".join(map(str, named)), (_places(seen, middle), 1.0), xycoords=axes.get_xaxis_transform(),
            xytext=(0, 15), textcoords="offset points", ha="center", fontsize=8.5, weight="bold", color=RED,
        )  # fmt: skip


def _label_axis(axes: Any, seen: Scene) -> None:
    from matplotlib import dates
    from matplotlib.ticker import FuncFormatter

    if len(seen.places):
        ends = _places(seen, seen.places[[0, -1], [0, 1]])
        axes.set_xlim(ends[0], ends[1] if ends[1] > ends[0] else None)
    if seen.timed:
        locator_class: Any = dates.AutoDateLocator
        formatter_class: Any = dates.ConciseDateFormatter
        locator = locator_class(minticks=4, maxticks=10)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(formatter_class(locator))
        axes.xaxis.get_offset_text().set_fontsize(8)
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda row, _: f"{row:,.0f}"))
    axes.set_xlabel("time (UTC)" if seen.timed else "row", fontsize=9, labelpad=2)

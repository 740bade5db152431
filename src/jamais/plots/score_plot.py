"""How did the scores go over time, and which alarms stand out?"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from jamais.errors import InputError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.types import Bools, Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS = 4_000
"""Points drawn; beyond, the strangest of each run of neighbours stands for it, so no alarm is lost."""
_SUFFIXES = (".png", ".html", ".svg")
_MOST_LABELS = 6
_MOST_CAUSES = 50


class ScorePlot:
    """Collects verdicts frame by frame, in bounded memory, and draws how rare each row was over time.

    The height of a point is -log10 of its p-value: 3 is one in a thousand, whatever the scores are.
    """

    def __init__(self, path: str, *, rate: float, most_points: int = MOST_POINTS) -> None:
        if Path(path).suffix.lower() not in _SUFFIXES:
            raise InputError(f"a picture is a .png, .svg or .html file, got {path}")
        figure_class()
        self.path, self.rate, self._most = Path(path), rate, most_points
        self._points: list[pl.DataFrame] = []
        self._causes = pl.DataFrame(schema={"times": pl.Int64, "height": pl.Float64, "why": pl.String})
        self._run = 1

    def add(self, frame: pl.DataFrame) -> None:
        """Take a frame of verdicts."""
        if not len(frame):
            return
        height = (-pl.col("p_value").log10()).clip(0.0).alias("height")
        time = pl.col("time") if "time" in frame.columns else pl.lit(None, pl.Datetime("us", "UTC")).alias("time")
        points = frame.select("row", time, height, "abnormal", "why", "cause")
        self._points.append(_thinned(points, self._run))
        while sum(map(len, self._points)) > self._most:
            self._run *= 2
            self._points = [_thinned(pl.concat(self._points).sort("row"), self._run)]
        self._count_causes(points.filter(pl.col("abnormal")))

    def close(self) -> None:
        """Draw, and write the file."""
        points = pl.concat(self._points).sort("row") if self._points else None
        figure = self._drawn(points)
        suffix = self.path.suffix.lower()
        picture = drawn(figure, suffix)
        write_picture(self.path, self._page(picture) if suffix == ".html" else picture)

    def _count_causes(self, alarms: pl.DataFrame) -> None:
        if not len(alarms):
            return
        counted = alarms.group_by("cause", maintain_order=True).agg(
            pl.len().cast(pl.Int64).alias("times"), pl.col("why").first(), pl.col("height").max()
        )
        both = pl.concat([self._causes, counted]) if len(self._causes) else counted
        joined = both.group_by("cause", maintain_order=True).agg(
            pl.col("times").sum(), pl.col("why").first(), pl.col("height").max()
        )
        self._causes = joined.sort("height", descending=True, maintain_order=True).head(_MOST_CAUSES)

    def _drawn(self, points: pl.DataFrame | None) -> Figure:
        from matplotlib.ticker import MaxNLocator

        figure = figure_class()(figsize=(11, 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_ylabel("as rare among normal rows as")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda height, _: _one_in(height))
        axes.axhline(
            -np.log10(self.rate),
            color="tab:red",
            linestyle="--",
            linewidth=1,
            label=f"alarm rate {self.rate:g}",
        )
        if points is not None:
            self._draw_points(axes, points)
        axes.set_ylim(bottom=0, top=max(4.0, axes.get_ylim()[1] * 1.08))
        axes.grid(alpha=0.2)
        axes.legend(loc="upper left", frameon=False)
        return figure

    def _draw_points(self, axes: Any, points: pl.DataFrame) -> None:
        timed = bool(points["time"].is_not_null().all())
        x: Any = points["time"].dt.replace_time_zone(None).to_numpy() if timed else points["row"].to_numpy()
        height: Floats = points["height"].to_numpy()
        alarm: Bools = points["abnormal"].to_numpy()
        axes.set_xlabel("time (UTC)" if timed else "row")
        axes.plot(x[~alarm], height[~alarm], ".", color="tab:blue", markersize=3, label="normal")
        axes.plot(x[alarm], height[alarm], "o", color="tab:red", markersize=5, label="alarm")
        texts, causes = points["why"].to_list(), points["cause"].to_list()
        told: set[str] = set()
        for i in np.argsort(-height, kind="stable").tolist():
            if alarm[i] and causes[i] not in told and len(told) < _MOST_LABELS:
                told.add(causes[i])
                text = texts[i][:60].replace("$", r"\$")
                right = i > len(height) // 2  # the text must stay inside the picture
                side: Any = {"xytext": (-5, 4), "ha": "right"} if right else {"xytext": (5, 4)}
                axes.annotate(text, (x[i], height[i]), textcoords="offset points", fontsize=7, **side)

    def _page(self, picture: bytes) -> bytes:
        rows = "".join(
            f"<tr><td>{times:,}</td><td>{10**-height:.1g}</td><td>{html.escape(why)}</td></tr>"
            for times, height, why in self._causes.select("times", "height", "why").iter_rows()
        )
        svg = picture.decode()
        return (
            "<!doctype html><meta charset=utf-8><title>jamais: scores</title>"
            "<style>body{font:15px system-ui;margin:2em auto;max-width:70em}"
            "td,th{text-align:left;padding:.2em 1em;vertical-align:top}svg{width:100%;height:auto}</style>"
            f"<h1>What was unlike normal</h1>{svg[svg.index('<svg') :]}"
            f"<table><tr><th>times<th>p<th>why</tr>{rows}</table>"
        ).encode()


def _one_in(height: float) -> str:
    return f"1 in {10**height:,.0f}" if height < 6.5 else f"1 in 10$^{{{height:.0f}}}$"


def _thinned(points: pl.DataFrame, run: int) -> pl.DataFrame:
    """Keep the strangest of each `run` rows."""
    if run == 1:
        return points
    key, height = points["row"].to_numpy() // run, points["height"].to_numpy()
    order = np.lexsort((-height, key))
    first = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0])
    return points[order[first]]

"""Where does a reconstruction depart from the series, and does the score notice?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.types import Bools, Floats

SUFFIXES = (".png", ".svg")
MOST_PANELS = 6
"""Channels drawn when nobody chose: those that are reconstructed worst."""
_ORANGE, _GREEN = "#f5a04a", "#2a8f3c"


def draw_reconstruction(
    path: str | Path,
    values: Floats,
    reconstruction: Floats,
    score: Floats,
    truth: Bools | None = None,
    channels: Sequence[str] | None = None,
    *,
    threshold: float | None = None,
    title: str = "",
) -> None:
    """Draw a series over its reconstruction, a panel per channel, and the score below, as a .png or .svg.

    `values` and `reconstruction` are [n, C], NaN = missing; `score` [n]; `truth` [n] shades what is abnormal in
    truth; `channels` are C names. Of more than `MOST_PANELS` channels the worst reconstructed are drawn, in the order
    of the data. Raises ShapeMismatchError where the lengths differ, InputError for a file of another kind.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"a picture of a reconstruction is a .png or .svg file, got {target}")
    values, reconstruction = (
        _columns(name, of) for name, of in (("values", values), ("a reconstruction", reconstruction))
    )
    score = np.asarray(score, dtype=np.float64).ravel()
    names = tuple(channels) if channels is not None else tuple(f"channel {i}" for i in range(values.shape[1]))
    _check(values, reconstruction, score, truth, names)
    shown = _worst(values, reconstruction)
    figure = figure_class()(figsize=(11, 1.1 + 1.45 * (len(shown) + 1)), layout="constrained")
    panels: Any = figure.subplots(len(shown) + 1, 1, sharex=True, squeeze=False)[:, 0]
    row = np.arange(len(values))
    spans = runs(np.asarray(truth, dtype=bool)) if truth is not None else []
    for axes, i in zip(panels, shown, strict=False):
        _shade(axes, spans)
        axes.plot(row, values[:, i], color="tab:blue", linewidth=1.1, label="original")
        axes.plot(row, reconstruction[:, i], color="tab:red", linewidth=1.1, linestyle="--", label="reconstruction")
        axes.set_title(names[i], fontsize=9, loc="left", pad=2, parse_math=False)
    _draw_score(panels[-1], row, score, spans, threshold)
    _legend(figure, panels[0], title, len(shown), values.shape[1])
    write_picture(target, drawn(figure, target.suffix.lower()))


def runs(flags: Bools) -> list[tuple[int, int]]:
    """Give the stretches of True in flags [n] as (first, last), both inside."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _columns(name: str, rows: Floats) -> Floats:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim not in (1, 2) or not rows.size:
        raise ShapeMismatchError(f"{name} to draw have shape [rows, channels], got {rows.shape}")
    return rows[:, None] if rows.ndim == 1 else rows


def _check(values: Floats, other: Floats, score: Floats, truth: Bools | None, names: tuple[str, ...]) -> None:
    n, width = values.shape
    if other.shape != values.shape:
        raise ShapeMismatchError(
            f"values have shape {values.shape}, their reconstruction {other.shape}: give both alike"
        )
    if len(score) != n or (truth is not None and len(truth) != n):
        marks = "" if truth is None else f" and {len(truth):,} marks of truth"
        raise ShapeMismatchError(f"{n:,} rows have {len(score):,} scores{marks}: give one per row")
    if len(names) != width:
        raise ShapeMismatchError(f"{width} channels have {len(names)} names: give one per channel")


def _worst(values: Floats, reconstruction: Floats) -> list[int]:
    """Choose the channels with the largest mean squared error in units of their own spread."""
    width = values.shape[1]
    if width <= MOST_PANELS:
        return list(range(width))
    known = np.isfinite(values) & np.isfinite(reconstruction)
    n_known = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, values, 0.0).sum(axis=0) / n_known
    spread = np.where(known, values - middle, 0.0) ** 2
    missed = np.where(known, values - reconstruction, 0.0) ** 2
    error = missed.sum(axis=0) / np.maximum(spread.sum(axis=0), 1e-12 * n_known)
    return sorted(np.argsort(-error, kind="stable")[:MOST_PANELS].tolist())


def _shade(axes: Any, spans: list[tuple[int, int]]) -> None:
    for first, last in spans:
        axes.axvspan(first - 0.5, last + 0.5, color=_ORANGE, alpha=0.3, linewidth=0, label="abnormal in truth")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.005)


def _draw_score(axes: Any, row: Any, score: Floats, spans: list[tuple[int, int]], threshold: float | None) -> None:
    _shade(axes, spans)
    axes.plot(row, score, color=_GREEN, linewidth=1.2, label="score")
    if threshold is not None:
        axes.axhline(threshold, color="#555555", linewidth=0.9, linestyle=":", label="threshold")
    axes.set_title("anomaly score", fontsize=9, loc="left", pad=2)
    axes.set_xlabel("row", fontsize=9)


def _legend(figure: Any, axes: Any, title: str, n_shown: int, n_channels: int) -> None:
    """Tell above the panels what the lines are, once."""
    marks: dict[str, Any] = {}
    for one in (axes, figure.axes[-1]):
        for mark, label in zip(*one.get_legend_handles_labels(), strict=True):
            marks.setdefault(label, mark)
    figure.legend(marks.values(), marks.keys(), loc="outside upper right", ncols=len(marks), frameon=False, fontsize=8)
    told = f"the {n_shown} of {n_channels} channels that are reconstructed worst" if n_shown < n_channels else ""
    if text := "; ".join(part for part in (title, told) if part):
        figure.suptitle(text, x=0.01, ha="left", fontsize=10, parse_math=False)

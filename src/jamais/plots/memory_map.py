"""What did an update do to the memory? Two looks at it side by side, in the same plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.plots.memory_page import page
from jamais.plots.memory_scene import KINDS, Panel, Scene, scene
from jamais.plots.memory_words import NEW, RED, colour, headline, legible, marker, panel_title, story
from jamais.types import Floats, MemoryRows

_SUFFIXES = (".png", ".svg", ".html")
_MOST_LISTED = 8  # texts of rows under a picture without clusters
_LINE = 0.2  # inches that one of them takes


def check_path(path: str | Path) -> None:
    """Raise `InputError` for a file of another kind, `MissingExtraError` where matplotlib is wanted and not there."""
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(f"a picture of a memory is a .png, .svg or .html file, got {path}")
    if suffix != ".html":
        figure_class()


def draw_memory(
    before: MemoryRows, after: MemoryRows, path: str | Path, *, titles: tuple[str, str] = ("before", "after")
) -> None:
    """Draw a memory before and after an update as a .png or .svg, or as one .html page that tells each row.

    Both sides have the same axes: the two directions in which all normal rows spread most. Every cluster keeps its
    colour for ever (its id decides it), clusters that were born are ringed, rows whose label changed are circled.
    """
    check_path(path)
    for look in (before, after):
        _check(look)
    if before.rows.shape[1] != after.rows.shape[1] and len(before.rows) and len(after.rows):
        raise ShapeMismatchError(
            f"rows before have width {before.rows.shape[1]}, after {after.rows.shape[1]}: not one memory"
        )
    target = Path(path)
    seen = scene(before, after)
    if target.suffix.lower() == ".html":
        write_picture(target, page(seen, titles))
        return
    write_picture(target, drawn(_figure(seen, titles), target.suffix.lower()))


def _check(look: MemoryRows) -> None:
    n = len(look.rows)
    if look.rows.ndim != 2 or len(look.labels) != n or len(look.kinds) != n or len(look.texts) not in (0, n):
        raise ShapeMismatchError(
            f"rows {look.rows.shape} need one label, kind and (or no) text each, got {len(look.labels)}, "
            f"{len(look.kinds)} and {len(look.texts)}"
        )
    if odd := set(look.kinds) - set(KINDS):
        raise InputError(f"a row of a memory is {', '.join(KINDS)}, got {sorted(odd)[0]!r}")


def _figure(seen: Scene, titles: tuple[str, str]) -> Any:
    listed = [] if seen.clustered else _listed(seen.after)
    height = 6.6 + _LINE * len(listed)
    figure = figure_class()(figsize=(12.5, height))
    low, high = _frame(np.concatenate([seen.before.places, seen.after.places]))
    bottom = (0.85 + _LINE * len(listed)) / height
    marks: dict[str, Any] = {}
    for i, panel in enumerate((seen.before, seen.after)):
        axes = figure.add_axes((0.02 + 0.49 * i, bottom, 0.47, 1 - bottom - 0.85 / height))
        axes.set_title(panel_title(panel, titles[i], seen.clustered), fontsize=11, loc="left", parse_math=False)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set_color("#cccccc")
        born = seen.born if i else ()
        _draw_rows(axes, panel, seen, born, marks)
        _draw_names(axes, panel, seen, born)
    _number(figure.axes[1], seen.after, listed)
    figure.text(0.02, 1 - 0.36 / height, headline(seen), fontsize=15, weight="bold", parse_math=False)
    _footnotes(figure, seen, listed, marks, height)
    return figure


def _draw_rows(axes: Any, panel: Panel, seen: Scene, born: tuple[int, ...], marks: dict[str, Any]) -> None:
    """Draw each row by its kind; `marks` collects one of each for the legend."""
    kinds = np.array(panel.kinds, dtype=str)
    x, y = panel.places[:, 0], panel.places[:, 1]
    size = float(np.clip(12_000 / max(len(seen.before.kinds), len(seen.after.kinds), 1), 9, 34))
    ringed = np.isin(panel.labels, born) if seen.clustered else panel.new
    for label in np.unique(panel.labels[kinds == "normal"]).tolist():
        mine = (kinds == "normal") & (panel.labels == label)
        old, fresh = mine & ~ringed, mine & ringed
        style = {"marker": marker(label), "color": colour(label)}
        if old.any():
            mark = axes.scatter(x[old], y[old], s=size, linewidths=0, alpha=0.6, zorder=3, **style)
            if not seen.clustered or label < 0:
                marks["known, of no cluster" if seen.clustered else "known before"] = mark
        if fresh.any():
            style |= {} if seen.clustered else {"color": NEW}
            ring = {"edgecolors": "black", "linewidths": 0.9, "zorder": 4}
            mark = axes.scatter(x[fresh], y[fresh], s=1.8 * size, **style, **ring)
            marks["of a cluster that was born" if seen.clustered else "learned in this update"] = mark
    marked = (
        ("waiting: nobody has vouched for it", kinds == "waiting", {"marker": "+", "color": "#777777", "s": 26}),
        ("confirmed abnormal", kinds == "abnormal", {"marker": "x", "color": RED, "s": 46, "linewidths": 2.0}),
        ("has another label now", panel.moved, {"facecolors": "none", "edgecolors": "black", "s": 110}),
    )
    for order, (name, chosen, look) in zip((5, 6, 12), marked, strict=True):
        if chosen.any():
            marks[name] = axes.scatter(x[chosen], y[chosen], zorder=order, **look)


def _draw_names(axes: Any, panel: Panel, seen: Scene, born: tuple[int, ...]) -> None:
    """Write each cluster's id at its middle; the ones that were born bear a label."""
    if not seen.clustered:
        return
    names = {label: f"{label} born" if label in born and len(born) <= 4 else str(label) for label in panel.centres}
    places = _apart(axes, panel, names)
    size = 8 if len(panel.centres) > 30 else 11
    for label in panel.centres:
        is_born = label in born
        axes.text(
            *places[label], names[label], zorder=9 + is_born,
            ha="center", va="center", fontsize=size, weight="bold", color="white" if is_born else "black",
            bbox={
                "boxstyle": "round,pad=0.15", "alpha": 0.9 if is_born else 0.75,
                "facecolor": "black" if is_born else "white", "edgecolor": "none",
            },
        )  # fmt: skip


def _apart(axes: Any, panel: Panel, names: Mapping[int, str]) -> dict[int, Floats]:
    """Push the names of clusters apart until they can be read, as little as that takes."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    scale = np.array([right - left, high - low])
    ids = list(panel.centres)
    if not ids:
        return {}
    places = np.array([panel.centres[label] for label in ids]) / scale
    size = 1.0 if len(ids) <= 30 else 0.7
    width = size * np.array([0.016 + 0.016 * len(names[label]) for label in ids])
    wide, high = (width[:, None] + width) / 2, 0.045 * size
    order = np.arange(len(ids))
    later = np.sign(order[:, None] - order)
    for _ in range(80):
        gap = places[:, None] - places[None]
        overlap = (np.abs(gap[..., 0]) < wide) & (np.abs(gap[..., 1]) < high) & (later != 0)
        if not overlap.any():
            break
        # Along the height only: names are wide and low. Of two at one height the higher id goes up.
        up = np.where(gap[..., 1] == 0, later, np.sign(gap[..., 1]))
        places[:, 1] += 0.25 * (overlap * up * (high - np.abs(gap[..., 1]))).sum(axis=1)
    return dict(zip(ids, places * scale, strict=True))


def _listed(panel: Panel) -> list[int]:
    """Choose rows whose texts are told under the picture, far apart: new ones, then waiting, then abnormal."""
    if not panel.texts:
        return []
    kinds = np.array(panel.kinds, dtype=str)
    least = 0.03 * float(np.linalg.norm(np.ptp(panel.places, axis=0))) if len(panel.places) else 0.0
    chosen: list[int] = []
    for candidates in (panel.new, kinds == "waiting", kinds == "abnormal"):
        rows = np.flatnonzero(candidates)
        # The farthest from all chosen so far comes next: what lies together says much the same.
        while len(rows) and len(chosen) < _MOST_LISTED:
            gaps = np.linalg.norm(panel.places[rows][:, None] - panel.places[chosen][None], axis=2)
            nearest = gaps.min(axis=1, initial=np.inf)
            best = int(np.argmax(nearest))
            if nearest[best] <= least:
                break
            chosen.append(int(rows[best]))
            rows = np.delete(rows, best)
    return chosen


def _number(axes: Any, panel: Panel, listed: Sequence[int]) -> None:
    for number, at in enumerate(listed, 1):
        place = panel.places[at]
        axes.annotate(str(number), place, (5, 4), textcoords="offset points", fontsize=9, weight="bold", zorder=9)


def _footnotes(figure: Any, seen: Scene, listed: Sequence[int], marks: dict[str, Any], height: float) -> None:
    """Write under the picture what its marks mean, what is new, and what the picture cannot show."""
    lines = _LINE * len(listed)
    if marks:
        figure.legend(
            list(marks.values()), list(marks), loc="lower left", ncols=len(marks), frameon=False, fontsize=9.5,
            bbox_to_anchor=(0.013, (0.48 + lines) / height), borderaxespad=0.0, handletextpad=0.3,
        )  # fmt: skip
    for number, at in enumerate(listed):
        line = f"{number + 1}  {legible(seen.after.texts[at], 130)}"
        figure.text(0.02, (0.28 + lines - _LINE * number) / height, line, fontsize=9, parse_math=False)
    n_told = int(seen.after.new.sum()) + seen.after.n_kinds["waiting"] + seen.after.n_kinds["abnormal"] if listed else 0
    more = f" {n_told - len(listed):,} more texts: an .html picture tells each." if n_told > len(listed) else ""
    figure.text(0.02, 0.14 / height, story(seen) + more, fontsize=8.5, color="#555555", parse_math=False)


def _frame(points: Floats) -> tuple[Floats, Floats]:
    if not len(points):
        return np.zeros(2), np.ones(2)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.06 * np.maximum(high - low, 1e-9)
    return low - margin, high + margin

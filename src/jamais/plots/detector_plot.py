"""What does a detector take for normal? A map of p-values, with what it remembers and what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jamais.detectors import Detector
from jamais.errors import InputError
from jamais.plots.canvas import drawn, figure_class, write_picture
from jamais.types import Floats, Vectors

_SUFFIXES = (".png", ".svg")
_CELLS = 90  # per side of a map
_MOST_NATS = 12.0  # where the colour ends
_PER_LINE = 3


def draw_detectors(detectors: Mapping[str, Detector], path: str | Path, asked: Any = None) -> None:
    """Draw fitted detectors side by side, as a .png or .svg; `asked` [n, width] are marked by their verdicts.

    Rows of two columns give a map: the darker, the rarer among normal rows. Wider rows are shown along the two
    directions in which the memory spreads most, without the map.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES:
        raise InputError(f"a picture is a .png or .svg file, got {target}")
    if not detectors:
        raise InputError("no detectors to draw: give a name for each, for example {'knn': KNN().fit(X)}")
    columns = min(_PER_LINE, len(detectors))
    lines = -(-len(detectors) // columns)
    figure = figure_class()(figsize=(4.2 * columns, 3.6 * lines + 0.4), layout="constrained")
    for place, (name, detector) in enumerate(detectors.items()):
        axes = figure.add_subplot(lines, columns, place + 1)
        _draw(axes, name, detector, asked)
    axes.legend(loc="lower right", fontsize=7, framealpha=0.9)
    write_picture(target, drawn(figure, target.suffix.lower()))


def _draw(axes: Any, name: str, detector: Detector, asked: Any) -> None:
    memory = detector.memory
    plane = _plane(memory.rows)
    kept = plane(memory.rows)
    shown = [kept]
    new = np.empty((0, kept.shape[1]))
    abnormal = np.empty(0, dtype=bool)
    if asked is not None:
        new, abnormal = plane(np.asarray(asked, dtype=np.float32)), detector.predict(asked) == 1
        shown.append(new)
    low, high = _frame(np.concatenate(shown))
    if memory.width == 2:
        _map(axes, detector, low, high)
    sizes = 4.0 + 6.0 * np.log10(memory.counts)
    axes.scatter(kept[:, 0], kept[:, 1], s=sizes, color="tab:blue", linewidths=0, alpha=0.6, label="remembered")
    for rows, colour, label in (
        (memory.quarantine.rows, "tab:orange", "quarantine"),
        (memory.abnormal.rows, "tab:purple", "known abnormal"),
    ):
        if len(rows):
            at = plane(rows)
            axes.scatter(at[:, 0], at[:, 1], s=30, color=colour, marker="s", label=label)
    if asked is not None:
        axes.scatter(new[~abnormal, 0], new[~abnormal, 1], s=26, color="tab:green", marker="+", label="asked: normal")
        axes.scatter(new[abnormal, 0], new[abnormal, 1], s=30, color="tab:red", marker="x", label="asked: abnormal")
    axes.set_title(name, fontsize=10)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xticks([])
    axes.set_yticks([])


def _map(axes: Any, detector: Detector, low: Floats, high: Floats) -> None:
    """Shade every place by how rare its score is, and draw the line that decides."""
    x, y = (np.linspace(low[i], high[i], _CELLS) for i in (0, 1))
    places = np.stack([one.ravel() for one in np.meshgrid(x, y)], axis=1).astype(np.float32)
    nats = np.clip(-np.log(np.maximum(detector.p_value(places), 1e-300)), 0.0, _MOST_NATS)
    axes.contourf(x, y, nats.reshape(_CELLS, _CELLS), levels=np.linspace(0.0, _MOST_NATS, 13), cmap="Greys", alpha=0.8)
    scores = detector.decision_function(places).reshape(_CELLS, _CELLS)
    if scores.min() <= detector.threshold_ < scores.max():
        axes.contour(x, y, scores, levels=[detector.threshold_], colors="tab:red", linewidths=1.2)


def _plane(rows: Vectors) -> Any:
    """Give what maps rows [n, width] to two coordinates: their own two, or the two principal directions."""
    width = rows.shape[1]
    if width == 2:
        return lambda some: np.asarray(some, dtype=np.float64)
    centre = rows.mean(axis=0, dtype=np.float64)
    directions = np.linalg.svd(rows - centre, full_matrices=False)[2][:2]
    directions = np.concatenate([directions, np.zeros((2 - len(directions), width))])
    return lambda some: (np.asarray(some, dtype=np.float64) - centre) @ directions.T


def _frame(points: Floats) -> tuple[Floats, Floats]:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-9)
    return low - margin, high + margin

"""How did the scores go while faults were made?"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from jamais.errors import MissingExtraError
from jamais.types import Bools, Floats

Span = tuple[str, datetime, datetime]


def incident_picture(
    starts: list[datetime], scores: Floats, abnormal: Bools, threshold: float, width: timedelta, spans: list[Span]
) -> bytes:
    """Draw the score of each window over time as a PNG: faults shaded, alarms red, the threshold as a line."""
    try:
        from matplotlib import dates
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtraError("a picture", "plots") from missing
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes: Any = figure.add_subplot()
    middle = [(start + width / 2).replace(tzinfo=None) for start in starts]
    for i, (name, start, end) in enumerate(spans):
        _shade(axes, name, start, end, low=bool(i % 2))
    axes.vlines(np.array(middle)[~abnormal], 0, scores[~abnormal], color="#7f9db9", linewidth=1.6, label="normal")
    axes.vlines(np.array(middle)[abnormal], 0, scores[abnormal], color="#c1272d", linewidth=1.8, label="alarm")
    axes.axhline(threshold, color="#444", linestyle="--", linewidth=1, label="threshold, from normal data only")
    axes.set_ylim(0, max(float(scores.max(initial=1.0)), threshold) * 1.28)
    axes.set_xlim(middle[0], middle[-1])
    formatter: Any = dates.DateFormatter
    axes.xaxis.set_major_formatter(formatter("%H:%M"))
    axes.set_xlabel("time (UTC)")
    axes.set_ylabel("surprise of a window (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130, metadata={"Software": None})
    return picture.getvalue()


def _shade(axes: Any, name: str, start: datetime, end: datetime, low: bool) -> None:
    """Shade one fault and write its name over it; every second name lower, so that neighbours do not meet."""
    start, end = start.replace(tzinfo=None), end.replace(tzinfo=None)
    axes.axvspan(start, end, color="#f5b65c", alpha=0.35, linewidth=0)
    label = name.replace("_", " ")
    place = 0.905 if low else 0.965
    axes.text(start + (end - start) / 2, place, label, transform=axes.get_xaxis_transform(), ha="center", fontsize=8.5)

"""Does the picture of detectors show rows of any width, and say what is wrong with a path?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jamais.detectors import KNN
from jamais.errors import InputError
from jamais.plots.detector_plot import draw_detectors


def rows(n: int, width: int) -> np.ndarray:
    return np.random.default_rng(width).normal(size=(n, width)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_rows_of_any_width_are_drawn_the_same_twice(width: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    detector = KNN().fit(rows(60, width)).set_alarm_rate(0.05)
    detector.memory.detain(rows(3, width) + 5)
    detector.memory.remember_abnormal(rows(2, width) - 5)
    for name in ("a.svg", "b.svg"):
        draw_detectors({"one": detector, "two": detector}, tmp_path / name, asked=rows(8, width) * 2)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first.startswith(b"<?xml")
    assert len(first) == len(second)
    draw_detectors({"one": detector}, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_path_or_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"png or \.svg"):
        draw_detectors({"knn": KNN().fit(rows(20, 2))}, tmp_path / "x.gif")
    with pytest.raises(InputError, match="no detectors"):
        draw_detectors({}, tmp_path / "x.png")

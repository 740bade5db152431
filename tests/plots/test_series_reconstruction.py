"""Does the picture of a reconstruction show the worst channels and refuse what does not fit together?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.series.reconstruction import MOST_PANELS, _worst, draw_reconstruction, runs


def series(n: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, width))
    return values, values + 0.1 * rng.normal(size=(n, width)), rng.random(n)


@pytest.mark.parametrize("name", ["p.png", "p.svg"])
def test_a_picture_of_a_reconstruction_is_written_whole_and_alike_each_time(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    values, other, score = series(50, 3)
    values[10:13, 1] = np.nan
    truth = np.arange(50) > 45
    hostile = ["cpu $x", r"\frac{", "溫度 <b>"]
    draw_reconstruction(tmp_path / name, values, other, score, truth, hostile, threshold=0.5, title="$")
    first = (tmp_path / name).read_bytes()
    draw_reconstruction(tmp_path / name, values, other, score, truth, hostile, threshold=0.5, title="$")
    assert first.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name.endswith("png"):
        assert (tmp_path / name).read_bytes() == first


def test_one_channel_may_come_as_a_plain_row_of_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    values, other, score = series(20, 1)
    draw_reconstruction(tmp_path / "p.png", values[:, 0], other[:, 0], score)
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_the_worst_channels_are_drawn_whatever_their_units() -> None:
    values, other, _ = series(200, 10)
    other[:, 7] += 2.0
    other[:, 2] += 1.0
    scale = 10.0 ** np.arange(-5, 5)
    shown = _worst(values * scale, other * scale)
    assert len(shown) == MOST_PANELS
    assert {2, 7} <= set(shown)
    assert shown == sorted(shown)
    values[:, 4] = np.nan  # nothing known is nothing missed
    assert 4 not in _worst(values * scale, other * scale)


def test_stretches_of_truth_are_found_with_both_ends() -> None:
    assert runs(np.array([1, 0, 1, 1, 0, 1], dtype=bool)) == [(0, 0), (2, 3), (5, 5)]
    assert runs(np.zeros(3, dtype=bool)) == []


def test_what_does_not_fit_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    values, other, score = series(20, 3)
    path = tmp_path / "p.png"
    with pytest.raises(ShapeMismatchError, match="reconstruction"):
        draw_reconstruction(path, values, other[:19], score)
    with pytest.raises(ShapeMismatchError, match="20 rows have 5 scores"):
        draw_reconstruction(path, values, other, score[:5])
    with pytest.raises(ShapeMismatchError, match="3 channels have 2 names"):
        draw_reconstruction(path, values, other, score, channels=["a", "b"])
    with pytest.raises(ShapeMismatchError, match="marks of truth"):
        draw_reconstruction(path, values, other, score, truth=np.zeros(3, dtype=bool))
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_reconstruction(tmp_path / "p.gif", values, other, score)
    assert not list(tmp_path.iterdir())

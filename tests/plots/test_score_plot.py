"""Does the picture hold every alarm, in bounded memory, and say what to install without matplotlib?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jamais.errors import InputError, MissingExtraError
from jamais.plots.score_plot import ScorePlot, _thinned


def verdicts(n: int, seed: int, first: int = 0) -> pl.DataFrame:
    p = np.random.default_rng(seed).random(n)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "row": np.arange(first, first + n),
            "p_value": p,
            "abnormal": p < 0.01,
            "why": [f"line {i} <script>$x$" for i in range(n)],
            "cause": [f"c{i % 7}" for i in range(n)],
            "time": [start + timedelta(seconds=first + i) for i in range(n)],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.html"])
def test_a_picture_is_written_whole(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    plot = ScorePlot(str(tmp_path / name), rate=0.01)
    plot.add(verdicts(500, seed=0))
    plot.close()
    content = (tmp_path / name).read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype"}[name[2:]])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "p.html":
        assert b"<script>" not in content
        assert b"&lt;script&gt;" in content


def test_the_same_verdicts_give_the_same_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.png", "b.png"):
        plot = ScorePlot(str(tmp_path / name), rate=0.01)
        plot.add(verdicts(300, seed=1))
        plot.close()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_points_stay_few_and_the_strangest_of_neighbours_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = ScorePlot(str(tmp_path / "p.png"), rate=0.01, most_points=100)
    frames = [verdicts(70, seed=k, first=70 * k) for k in range(40)]
    for frame in frames:
        plot.add(frame)
    points = pl.concat(plot._points)
    assert len(points) <= 100
    whole = pl.concat(frames)
    assert points["height"].max() == pytest.approx(-np.log10(whole["p_value"].min()))
    assert plot._causes["times"].sum() == whole["abnormal"].sum()


def test_thinning_is_what_a_loop_would_do() -> None:
    frame = verdicts(101, seed=3).with_columns(height=-pl.col("p_value").log10())
    kept = _thinned(frame, 8)
    wanted = []
    for start in range(0, 101, 8):
        run = frame.slice(start, 8)
        wanted.append(run.row(int(run["height"].arg_max() or 0), named=True)["row"])
    assert kept["row"].to_list() == wanted


def test_nothing_scored_gives_an_empty_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = ScorePlot(str(tmp_path / "p.png"), rate=0.001)
    plot.close()
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_rows_without_times_are_drawn_by_number(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = ScorePlot(str(tmp_path / "p.png"), rate=0.01)
    plot.add(verdicts(50, seed=0).with_columns(time=pl.lit(None, pl.Datetime("us", "UTC"))))
    plot.close()
    assert (tmp_path / "p.png").exists()


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png, \.svg or \.html"):
        ScorePlot(str(tmp_path / "p.gif"), rate=0.01)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"jamais\[plots\]"):
        ScorePlot(str(tmp_path / "p.png"), rate=0.01)

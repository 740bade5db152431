"""Is a scored series drawn whatever it looks like, whole or piece by piece, and refused where it makes no sense?"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jamais.errors import InputError, MissingExtraError, ShapeMismatchError
from jamais.plots.series import SeriesPlot, draw_series
from jamais.plots.series.scene import duration, headline, moment, scene, told, when
from jamais.plots.series.segments import Segments
from jamais.plots.series.trace import Trace
from jamais.types import NO_TIME

HOSTILE = ("</script><img src=x onerror=alert(1)>", "cpu $x_{", "a\"b'c&", "\u202egnp.exe", "溫度")
START = 1_772_323_200_000_000  # 2026-03-01 UTC


def made(n: int, width: int, timed: bool = True, alarms: bool = True, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, width)) * 10.0 ** np.arange(width) + 5
    values[n // 4 : n // 3] = np.nan
    score, abnormal = rng.gamma(3, 1, n), np.zeros(n, dtype=bool)
    if alarms:
        for at in (n // 2, n - 3):
            abnormal[at : at + 3] = True
        score[abnormal] += 40
    names = [f"channel {c}" if c >= len(HOSTILE) else HOSTILE[c] for c in range(width)]
    who = [names[: min(2, width)] if alarm else [] for alarm in abnormal]
    times = START + np.arange(n) * 60_000_000
    frame = pl.DataFrame(
        {
            "row": np.arange(n),
            "time": pl.Series(times if timed else [None] * n, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "score": score,
            "p_value": np.exp(-score),
            "p_extrapolated": score > 7,
            "abnormal": abnormal,
            "why": ["<b>why</b> $" if alarm else "" for alarm in abnormal],
            "item": ["i"] * n,
            "cause": ["c"] * n,
            "channels": pl.Series(who, dtype=pl.List(pl.String)),
            "shares": pl.Series([[0.7, 0.2][: len(one)] for one in who], dtype=pl.List(pl.Float64)),
        }
    )
    return (times.astype("datetime64[us]") if timed else None), values, names, frame, abnormal


@pytest.mark.parametrize(
    ("suffix", "n", "width", "timed", "alarms"),
    [
        (".png", 400, 5, True, True),
        (".png", 400, 1, False, False),
        (".png", 1, 1, True, False),
        (".svg", 300, 1, True, True),
        (".html", 400, 5, True, True),
        (".html", 300, 2, False, False),
        (".html", 1, 1, True, False),
        (".html", 6000, 7, False, True),
    ],
)
def test_a_series_is_drawn_whole(tmp_path: Path, suffix: str, n: int, width: int, timed: bool, alarms: bool) -> None:
    pytest.importorskip("matplotlib")
    axis, values, names, frame, abnormal = made(n, width, timed, alarms)
    path = tmp_path / f"p{suffix}"
    draw_series(path, axis, values, names, frame, 9.0, abnormal if alarms else None, rate=0.001)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!doctype html>"}[suffix]
    assert path.read_bytes().startswith(start)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_in_pieces_and_late_verdicts_give_the_same_bytes_as_the_whole(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    axis, values, names, frame, _ = made(9000, 2)
    draw_series(tmp_path / f"whole{suffix}", axis, values, names, frame, 9.0, rate=0.01)
    plot = SeriesPlot(tmp_path / f"pieces{suffix}", tuple(names), threshold=9.0, rate=0.01)
    times = axis.astype(np.int64)
    for first in range(0, 9000, 777):
        rows = np.arange(first, min(first + 777, 9000))
        plot.add_values(rows, times[rows], values[rows])
        plot.add(frame[max(0, first - 30) : rows[-1] - 29 if rows[-1] < 8999 else 9000])
    plot.close()
    assert (tmp_path / f"pieces{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_a_series_of_nothing_but_gaps_and_one_that_never_moves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    axis, values, names, frame, _ = made(50, 2, alarms=False)
    values[:, 0], values[:, 1] = np.nan, 3.0
    for suffix in (".png", ".html"):
        draw_series(tmp_path / f"p{suffix}", axis, values, names, frame, 9.0)
        draw_series(tmp_path / f"none{suffix}", None, values[:0], names, frame[:0], 9.0)


def test_what_does_not_fit_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    axis, values, names, frame, abnormal = made(40, 2)
    path = tmp_path / "p.png"
    with pytest.raises(ShapeMismatchError, match="2 channels have 1 names"):
        draw_series(path, axis, values, names[:1], frame, 9.0)
    with pytest.raises(ShapeMismatchError, match="39 places"):
        draw_series(path, axis[:39], values, names, frame, 9.0)
    with pytest.raises(ShapeMismatchError, match="marks of truth"):
        draw_series(path, axis, values, names, frame, 9.0, abnormal[:3])
    with pytest.raises(InputError, match=r"\.png, \.svg or \.html"):
        draw_series(tmp_path / "p.pdf", axis, values, names, frame, 9.0)
    with pytest.raises(InputError, match="datetimes or whole numbers"):
        draw_series(path, np.linspace(0, 1, 40), values, names, frame, 9.0)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_a_png_says_what_to_install_and_a_page_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"jamais\[plots\]"):
        SeriesPlot(tmp_path / "p.png", ("a",), threshold=1.0)
    axis, values, names, frame, _ = made(40, 2)
    draw_series(tmp_path / "p.html", axis, values, names, frame, 9.0)
    assert (tmp_path / "p.html").stat().st_size > 10_000


def test_datetimes_of_python_are_taken_in_utc_and_rows_by_their_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    _, values, names, frame, _ = made(30, 1)
    east = [datetime(2026, 3, 1, 8, k, tzinfo=UTC).astimezone() for k in range(30)]
    draw_series(tmp_path / "a.html", east, values, names, frame, 9.0)
    plain = [one.astimezone(UTC).replace(tzinfo=None) for one in east]
    draw_series(tmp_path / "b.html", plain, values, names, frame, 9.0)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    late = frame.with_columns(row=pl.col("row") + 100, time=pl.lit(None, pl.Datetime("us", "UTC")))
    draw_series(tmp_path / "c.html", np.arange(100, 130), values, names, late, 9.0)
    assert "rows 100 to 129" in (tmp_path / "c.html").read_text()


def test_the_channels_of_many_segments_come_before_those_that_never_move() -> None:
    _, values, names, frame, _ = made(100, 4, timed=False)
    values[:, 2] = 1.0
    trace, segments = Trace(4), Segments()
    trace.add_values(np.arange(100), np.full(100, NO_TIME), values)
    trace.add_verdicts(frame)
    segments.add(frame)
    seen = scene(trace, segments, tuple(names), 9.0, 0.001)
    assert seen.ranking == (0, 1, 3, 2)
    assert seen.blame == pytest.approx([7 / 9, 2 / 9, 0, 0])
    assert "\u202e" not in seen.channels[3]
    assert headline(seen) == "2 abnormal segments (6 abnormal rows) in 100 rows of 4 channels at alarm rate 0.001"
    assert when(seen) == "rows 0 to 99"
    assert told(seen, seen.segments[0]).startswith("row 50, 3 rows, score 4")


def test_verdicts_without_times_are_placed_by_their_rows(tmp_path: Path) -> None:
    axis, values, names, frame, _ = made(9000, 1)
    draw_series(tmp_path / "a.html", axis, values, names, frame, 9.0)
    draw_series(tmp_path / "b.html", axis, values, names, frame.drop("time"), 9.0)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_jump_in_time_is_a_gap_although_no_row_is_missing() -> None:
    trace, segments = Trace(1), Segments()
    times = START + np.r_[np.arange(50), 500 + np.arange(50)] * 60_000_000
    trace.add_values(np.arange(100), times, np.ones((100, 1)))
    seen = scene(trace, segments, ("a",), 1.0)
    assert np.flatnonzero(seen.breaks).tolist() == [50]
    assert seen.step == 60_000_000


def test_times_and_durations_are_written_as_people_do() -> None:
    assert moment(START) == "2026-03-01 00:00:00"
    assert moment(START + 1_500_000) == "2026-03-01 00:00:01.500"
    assert [duration(s) for s in (0.25, 90, 240, 8000, 86_400 * 3)] == ["0.25 s", "90 s", "4 min", "2.22 h", "3 days"]


def test_thousands_of_channels_are_kept_in_fewer_buckets(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plot = SeriesPlot(tmp_path / "p.html", tuple(f"c{i}" for i in range(1500)), threshold=1.0)
    for first in range(0, 2500, 500):
        rows = np.arange(first, first + 500)
        plot.add_values(rows, rows, rng.normal(size=(500, 1500)))
        plot.add(pl.DataFrame({"row": rows, "score": 0.5, "p_value": 0.5, "abnormal": False}))
    plot.close()
    text = (tmp_path / "p.html").read_text()
    assert len(text) < 3_000_000
    assert "1,460 more channels are not in this page" in text
    assert "nothing abnormal in 2,500 rows of 1,500 channels" in text

"""Are abnormal rows folded into segments with start, end, worst score and the shares of their channels?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from jamais.plots.series.segments import Segments
from jamais.types import NO_TIME

START = datetime(2026, 3, 1, tzinfo=UTC)


def frame(rows: list[tuple[int, float, list[str], list[float]]], start: list[int | None] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": [one[0] for one in rows],
            "time": [START + timedelta(minutes=one[0]) for one in rows],
            "score": [one[1] for one in rows],
            "p_value": [0.5 if one[1] < 5 else 1e-4 for one in rows],
            "p_extrapolated": [one[1] > 9 for one in rows],
            "abnormal": [one[1] >= 5 for one in rows],
            "why": [f"why {one[0]}" for one in rows],
            "item": [f"i{one[0]}" for one in rows],
            "cause": ["c" for _ in rows],
            "channels": [one[2] for one in rows],
            "shares": [one[3] for one in rows],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    ).with_columns(*([pl.Series("segment_start", start, dtype=pl.Int64)] if start else []))


def test_neighbours_are_one_segment_also_across_frames() -> None:
    of = Segments(join=2)
    of.add(frame([(0, 1.0, [], []), (1, 6.0, ["a"], [1.0]), (2, 1.0, [], [])]))
    of.add(frame([(3, 12.0, ["b", "a"], [0.5, 0.5]), (4, 0.0, [], []), (9, 7.0, ["a"], [0.8])]))
    first, second = of.in_order()
    assert (first.first_row, first.last_row, first.alarms, first.score, first.why) == (1, 3, 2, 12.0, "why 3")
    assert first.p_extrapolated
    assert first.seconds == 120
    assert first.blame == pytest.approx({"a": (6 + 6) / 18, "b": 6 / 18})
    assert [name for name, _ in first.responsible()] == ["a", "b"]
    assert (second.first_row, second.seconds) == (9, 0.0)
    assert (of.n_rows, of.n_alarms, of.n_segments) == (6, 3, 2)
    assert of.blame == pytest.approx({"a": 12 * 12 / 18 + 7 * 0.8, "b": 12 * 6 / 18})
    assert [one.first_row for one in of.worst_first()] == [1, 9]


def test_where_verdicts_say_which_segment_a_row_is_of_they_are_believed() -> None:
    of = Segments(join=2)
    of.add(frame([(1, 6.0, [], []), (2, 6.0, [], []), (50, 6.0, [], [])], start=[1, 2, 2]))
    assert [(one.first_row, one.last_row) for one in of.in_order()] == [(1, 1), (2, 50)]


def test_channels_without_shares_count_by_their_order_and_times_may_be_missing() -> None:
    of = Segments()
    of.add(frame([(1, 8.0, ["x", "y"], [1.0, 0.0])]).drop("shares", "time"))
    (one,) = of.in_order()
    assert one.blame == {"x": 0.5, "y": 0.25}
    assert one.seconds is None
    assert one.first_time == NO_TIME


def test_the_mildest_are_forgotten_when_there_are_too_many_but_counted() -> None:
    of = Segments(join=0, most=3)
    for k in range(20):
        of.add(frame([(3 * k, 5.0 + k, [], [])]))
    assert [one.score for one in of.worst_first()] == [24.0, 23.0, 22.0]
    assert of.n_segments == 20
    assert len(of._closed) <= 6

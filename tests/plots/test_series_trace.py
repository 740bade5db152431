"""Does what is kept of a series for a picture hold every extreme, gap and alarm, in bounded memory?"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import ShapeMismatchError
from jamais.plots.series.trace import CELL, Buckets, Trace
from jamais.types import NO_TIME


def verdicts(rows: np.ndarray, score: np.ndarray, abnormal: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"row": rows, "score": score, "p_value": np.exp(-score), "abnormal": abnormal})


def filled(n: int, width: int, alarms: list[int], block: int, ahead: int, most: int, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, width))
    values[rng.random((n, width)) < 0.1] = np.nan
    score, abnormal = rng.random(n), np.zeros(n, dtype=bool)
    abnormal[alarms] = True
    score[alarms] += 10
    trace, rows = Trace(width, most), np.arange(n)
    frame = verdicts(rows, score, abnormal)
    for first in range(0, n, block):
        end = min(first + block, n)
        trace.add_values(rows[first:end], rows[first:end] * 1_000_000, values[first:end])
        trace.add_verdicts(frame[max(0, first - ahead) : end - ahead if end < n else n])
    return trace, values, score, abnormal


def check(kept: Buckets, values: np.ndarray, score: np.ndarray, abnormal: np.ndarray) -> None:
    """The slow obvious twin: each bucket against all of its rows."""
    assert kept.counts.sum() == len(values)
    assert np.array_equal(np.cumsum(kept.counts) - kept.counts, kept.rows[:, 0])
    for i, (first, last) in enumerate(kept.rows.tolist()):
        rows = slice(first, last + 1)
        assert np.array_equal(np.fmin.reduce(values[rows], axis=0), kept.low[i], equal_nan=True)
        assert np.array_equal(np.fmax.reduce(values[rows], axis=0), kept.high[i], equal_nan=True)
        assert kept.score[i] == score[rows].max()
        assert kept.score_low[i] == score[rows].min()
        assert kept.p_value[i] == np.exp(-score[rows]).min()
        assert kept.abnormal[i] == abnormal[rows].any()
        assert kept.times[i].tolist() == [first * 1_000_000, last * 1_000_000]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 1200), st.integers(1, 900), st.integers(0, 40), st.sampled_from([2, 16, 64]), st.integers(0, 10_000)
)
def test_every_bucket_holds_the_extremes_of_its_rows_however_they_came(
    n: int, block: int, ahead: int, most: int, seed: int
) -> None:
    trace, values, score, abnormal = filled(n, 3, [n // 2], block, ahead, most, seed)
    kept = trace.buckets()
    check(kept, values, score, abnormal)
    assert len(kept.counts) <= most + 1


@pytest.mark.parametrize("block", [997, 50_000])
def test_where_something_happened_rows_are_kept_one_by_one(block: int) -> None:
    n, alarms = 40_000, [0, 5_000, 5_001, CELL * 3, CELL * 3 - 1, 39_999]
    trace, values, score, abnormal = filled(n, 2, alarms, block, 20, 256)
    kept = trace.buckets(details=100_000)
    check(kept, values, score, abnormal)
    alone = set(kept.rows[kept.counts <= 2, 0].tolist())
    near = [a + d for a in alarms for d in (-60, 0, 60) if 0 <= a + d < n]
    assert all(any(place - d in alone for d in (0, 1)) for place in near)
    assert len(kept.counts) < 4_000


def test_details_stay_within_what_was_asked_for_and_the_worst_come_first() -> None:
    n, alarms = 60_000, [3_000, 30_000, 50_000]
    trace, values, score, abnormal = filled(n, 1, alarms, 5_000, 0, 64)
    kept = trace.buckets(details=500)
    check(kept, values, score, abnormal)
    assert 64 // 2 <= len(kept.counts) <= 64 + 500
    whole = filled(n, 1, alarms, 5_000, 0, 64)[0].buckets(details=0)
    assert len(whole.counts) <= 65


def test_memory_does_not_grow_with_the_series() -> None:
    trace, rows = Trace(3, 128), np.arange(CELL)
    for k in range(60):
        values = np.random.default_rng(k).normal(size=(CELL, 3))
        trace.add_values(rows + k * CELL, np.full(CELL, NO_TIME), values)
        abnormal = np.arange(CELL) == 7
        trace.add_verdicts(verdicts(rows + k * CELL, np.ones(CELL), abnormal))
    assert len(trace._cells) <= 96
    assert sum(part.n for part in trace._buckets) <= 128
    assert trace._near is not None
    assert trace._near.n < 2 * CELL


def test_rows_that_were_put_in_for_a_gap_have_no_values_and_no_verdict() -> None:
    trace = Trace(1)
    rows = np.array([0, 1, -1, -1, 2])
    values = np.array([[1.0], [2.0], [np.nan], [np.nan], [3.0]])
    trace.add_values(rows, np.arange(5), values)
    trace.add_verdicts(verdicts(np.array([0, 1, 2]), np.array([1.0, 2.0, 9.0]), np.array([False, False, True])))
    kept = trace.buckets()
    assert kept.score.tolist()[:2] == [1.0, 2.0]
    assert np.isnan(kept.score[2:4]).all()
    assert kept.score[4] == 9.0
    assert kept.rows[:, 0].tolist() == [0, 1, 1, 1, 2]
    assert np.isnan(kept.low[2:4]).all()


def test_verdicts_without_values_still_make_a_score() -> None:
    trace = Trace(0)
    trace.add_verdicts(verdicts(np.arange(5), np.arange(5.0), np.arange(5) > 3))
    kept = trace.buckets()
    assert kept.score.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert kept.low.shape == (5, 0)
    assert len(Trace(2).buckets().counts) == 0


def test_infinities_are_missing_and_times_never_go_back() -> None:
    trace = Trace(1)
    trace.add_values(np.arange(3), np.array([5, 3, 9]), np.array([[np.inf], [1.0], [-np.inf]]))
    kept = trace.buckets()
    assert np.isnan(kept.low[[0, 2]]).all()
    assert kept.times.tolist() == [[5, 5], [5, 5], [9, 9]]


def test_values_of_other_channels_are_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="2 channels"):
        Trace(2).add_values(np.arange(3), np.arange(3), np.zeros((3, 1)))

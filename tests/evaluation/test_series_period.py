"""The period is TSB-AD's, and segments are where the labels are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import series_figures as slow

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation.series import find_period, segments

# Made by TSB-AD 1.5 with `wave` below, whose code was pasted before this:
#   from TSB_AD.utils.slidingWindows import find_length_rank
#   print([(seed, int(find_length_rank(wave(seed).reshape(-1, 1), rank=1))) for seed in range(12)])
TSB_AD = [
    (0, 6),
    (1, 7),
    (2, 102),
    (3, 125),
    (4, 6),
    (5, 9),
    (6, 205),
    (7, 125),
    (8, 126),
    (9, 6),
    (10, 125),
    (11, 125),
]


def wave(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = np.arange(int(generator.integers(300, 22_000)))
    noise = generator.normal(size=len(rows)) * generator.random()
    if seed % 4 == 3:
        return np.cumsum(noise)
    return np.sin(2 * np.pi * rows / generator.integers(4, 380)) + noise


@pytest.mark.parametrize(("seed", "period"), TSB_AD)
def test_the_period_is_that_of_tsb_ad(seed, period):
    assert find_period(wave(seed)) == period
    assert find_period(wave(seed)[:, None]) == period


def test_a_series_without_a_period_gets_125():
    assert find_period(np.ones(500)) == 125
    assert find_period(np.arange(500)) == 125
    assert find_period([1.0, 2.0]) == 125


def test_a_period_beyond_303_rows_is_none():
    rows = np.arange(6000)
    assert find_period(np.sin(2 * np.pi * rows / 300)) == 300
    assert find_period(np.sin(2 * np.pi * rows / 350)) == 125


def test_the_period_of_many_channels_or_of_holes_is_refused():
    with pytest.raises(ShapeMismatchError, match="one channel"):
        find_period(np.ones((50, 2)))
    with pytest.raises(InputError, match="1 values are not finite"):
        find_period([1.0, np.nan, 2.0])


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60))
def test_segments_are_the_stretches_of_ones(labels):
    assert [tuple(pair) for pair in segments(labels).tolist()] == slow.segments(labels)


def test_no_segment_is_an_empty_table():
    assert segments([0, 0]).shape == (0, 2)
    assert segments(np.array([True, True])).tolist() == [[0, 2]]

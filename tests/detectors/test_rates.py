from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.evidence.rates import SMALLEST_SPREAD, Rates

windows_of_counts = st.lists(st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=1, max_size=30)


def learned(windows: list[list[int]]) -> Rates:
    rates = Rates()
    for counts in windows:
        present = [key for key, count in enumerate(counts) if count]
        rates.add(1, np.array(present, dtype=np.int64), np.array([counts[key] for key in present], dtype=np.int64))
    rates.grow(3)
    return rates


@given(windows_of_counts, st.lists(st.integers(0, 5000), min_size=3, max_size=3))
def test_surprise_is_that_of_the_slow_twin(windows: list[list[int]], now: list[int]) -> None:
    nats = learned(windows).nats(np.arange(3), np.array(now))
    for key in range(3):
        slow = naive.rate_surprise([counts[key] for counts in windows], now[key], smallest=SMALLEST_SPREAD)
        assert nats[key] == pytest.approx(slow, rel=1e-6, abs=1e-9)


@given(windows_of_counts)
def test_many_windows_at_once_are_learned_as_one_by_one(windows: list[list[int]]) -> None:
    rows = [(key, count) for counts in windows for key, count in enumerate(counts) if count]
    at_once = Rates()
    at_once.add(len(windows), np.array([k for k, _ in rows], dtype=np.int64), np.array([c for _, c in rows], np.int64))
    at_once.grow(3)
    one_by_one = learned(windows)
    assert at_once.windows == one_by_one.windows
    assert at_once.sums == pytest.approx(one_by_one.sums)
    assert at_once.steady().tolist() == [
        key for key in range(3) if 2 * sum(counts[key] > 0 for counts in windows) >= len(windows)
    ]


def test_a_count_in_the_usual_range_surprises_nobody_and_one_outside_does() -> None:
    rng = np.random.default_rng(0)
    rates = learned([[int(count), 0, 7] for count in rng.poisson(48, 400)])
    low, high = rates.usual(0)
    assert 25 < low < 40 < 55 < high < 95
    nats = rates.nats(np.zeros(4, np.int64), np.array([48, high, 0, 5000]))
    assert nats[0] < 0.1
    assert nats[1] < 3
    assert nats[2] > 5
    assert nats[3] > 5
    assert rates.usual(1) == (0, 1)


def test_few_windows_know_little() -> None:
    counts = [[40, 0, 0], [60, 0, 0], [20, 0, 0]]
    few, many = learned(counts), learned(counts * 30)
    assert few.nats(np.zeros(1, np.int64), np.array([0]))[0] < many.nats(np.zeros(1, np.int64), np.array([0]))[0]


def test_folding_adds_sums_and_a_saved_state_gives_the_same_bits() -> None:
    rates = learned([[3, 4, 0], [1, 0, 2]])
    rates.fold(np.array([0, 0, 2]))
    assert rates.sums[0, 2:4].tolist() == [3, 8]
    again = Rates()
    again.load_state_dict(rates.state_dict())
    asked = np.array([0, 2])
    assert again.nats(asked, asked).tobytes() == rates.nats(asked, asked).tobytes()

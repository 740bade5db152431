"""Is the sample uniform, however rows come, and does it keep the promises of a memory?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, SettingsError
from jamais.memory import Sample
from jamais.memory.sample import priorities_of, redrawn
from jamais.testing import digest


def numbered(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float32)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(1, 20), st.integers(1, 60))
def test_it_keeps_the_rows_of_the_smallest_priorities_whatever_the_batches(
    seed: int, n: int, capacity: int, size: int
) -> None:
    counts = np.random.default_rng(seed).integers(1, 4, n)
    sample = Sample(capacity, seed)
    for start in range(0, n, size):
        sample.add(numbered(n)[start : start + size], counts[start : start + size])
    draws = np.repeat(np.arange(n), counts)
    best = np.argsort(priorities_of(np.arange(len(draws)), seed), kind="stable")[:capacity]
    assert sample.rows.ravel().tolist() == draws[best].tolist()
    assert sample.n_seen == counts.sum()
    again = Sample(3)
    again.load_state_dict(sample.state_dict())
    for one in (sample, again):
        one.add(numbered(9))
    assert digest(again.state_dict()) == digest(sample.state_dict())


def test_every_row_has_the_same_chance() -> None:
    drawn = np.zeros(40)
    for seed in range(1_000):
        sample = Sample(10, seed)
        sample.add(numbered(40))
        drawn[sample.rows.ravel().astype(int)] += 1
    assert np.abs(drawn - 250).max() < 4.5 * np.sqrt(1_000 * 0.25 * 0.75)


def test_samples_of_one_seed_merge_into_a_fair_sample() -> None:
    drawn, together = np.zeros(30), 0
    for seed in range(500):
        left, right = Sample(10, seed), Sample(10, seed)
        left.add(numbered(30)[:15])
        right.add(numbered(30)[15:])
        left.merge(right)
        assert (len(left), left.n_seen) == (10, 30)
        chosen = left.rows.ravel().astype(int)
        drawn[chosen] += 1
        together += bool({0, 15} <= set(chosen.tolist()))
    assert np.abs(drawn - 500 / 3).max() < 4.5 * np.sqrt(500 * 2 / 9)
    # Both halves of one seed kept the same places; the ranks among them are drawn anew, or these would be 167.
    assert together < 120


def test_priorities_drawn_anew_are_the_smallest_of_uniform_numbers() -> None:
    smallest = np.array([np.sort(redrawn(1_000, 20, (seed, 5))).astype(float) for seed in range(400)]) / 2.0**64
    expected = np.arange(1, 21) / 1_001
    assert np.abs(smallest.mean(axis=0) - expected).max() < 5 * np.sqrt(20 / 1_001**2 / 400) * 1.1
    every = np.sort(redrawn(50, 50, (1, 2)))
    assert (np.diff(every.astype(float)) > 0).all()


def test_broken_states_and_settings_are_refused_and_change_nothing() -> None:
    sample = Sample(5)
    sample.add(numbered(9))
    good, before = sample.state_dict(), digest(sample.state_dict())
    for change in (
        {"rows": good["rows"].astype(np.float64)},
        {"rows": good["rows"][:2]},
        {"rows": np.full_like(good["rows"], np.inf)},
        {"priorities": good["priorities"][::-1].copy()},
        {"priorities": good["priorities"].astype(np.int64)},
        {"capacity": 2},
        {"capacity": None},
        {"n_seen": 3},
        {"seed": "x"},
    ):
        with pytest.raises(CorruptStateError):
            sample.load_state_dict({**good, **change})
    with pytest.raises(CorruptStateError):
        sample.load_state_dict({})
    assert digest(sample.state_dict()) == before
    with pytest.raises(SettingsError):
        Sample(0)


def test_what_is_dropped_is_gone_and_views_cannot_be_written() -> None:
    sample = Sample(5)
    sample.add(numbered(5))
    view = sample.rows
    sample.drop(view.ravel() < 2)
    assert sorted(sample.rows.ravel().tolist()) == [2.0, 3.0, 4.0]
    assert len(view) == 5
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    sample.clear()
    assert (len(sample), sample.n_seen) == (0, 0)

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.evidence.silence import BUCKETS, CERTAIN, FEW_WAITS, RATIO, Waits, bucket, silence_nats, silences

waits_seen = st.lists(st.tuples(st.floats(0, 1e10), st.booleans()), max_size=40)
elapsed_times = st.lists(st.floats(0, 1e12) | st.just(math.inf), min_size=1, max_size=20)


def learned(seen: list[tuple[float, bool]], margin: float = 3.0, state: int = 2) -> Waits:
    waits = Waits(margin)
    waits.add(
        np.full(len(seen), state, dtype=np.int64),
        np.array([wait for wait, _ in seen]),
        np.array([ended for _, ended in seen], dtype=bool),
    )
    return waits


@given(waits_seen, elapsed_times, st.sampled_from([1.0, 1.5, 3.0]))
def test_nats_are_exactly_those_of_kaplan_meier_over_buckets(
    seen: list[tuple[float, bool]], elapsed: list[float], margin: float
) -> None:
    waits = learned(seen, margin)
    curve = naive.Curve(margin)
    for wait, ended in seen:
        curve.add(wait, ended)
    wanted = [curve.nats(one) if len(seen) >= FEW_WAITS else 0.0 for one in elapsed]
    assert waits.nats(2, np.array(elapsed)) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_buckets_cost_little_against_kaplan_meier_without_them() -> None:
    rng = np.random.default_rng(1)
    lengths, censors = rng.exponential(1e7, 400), rng.exponential(3e7, 400)
    seen = np.minimum(lengths, censors)
    ended = lengths <= censors
    waits = learned(list(zip(seen.tolist(), ended.tolist(), strict=True)))
    for elapsed in np.quantile(seen[ended], [0.1, 0.3, 0.5, 0.7, 0.9, 0.97]):
        exact = [naive.kaplan_meier(seen.tolist(), ended.tolist(), one) for one in (elapsed / RATIO, elapsed)]
        assert exact[0] - 1e-9 <= waits.nats(2, np.array([elapsed]))[0] <= exact[1] + 1e-9


def test_nobody_is_surprised_before_anything_was_ever_waited_for() -> None:
    assert learned([]).nats(2, np.array([1e9]))[0] == 0.0
    assert learned([(1e6, True)] * (FEW_WAITS - 1)).nats(2, np.array([1e9]))[0] == 0.0
    assert learned([(1e6, True)] * FEW_WAITS).nats(7, np.array([1e9]))[0] == 0.0
    assert learned([(1e6, False)] * 50).nats(2, np.array([1e9]))[0] == 0.0, "it never went on, so silence is normal"


def test_silence_counts_in_full_only_beyond_the_margin() -> None:
    waits = learned([(1e6, True)] * 99)
    longest = 1e3 * RATIO ** (int(bucket(np.array([1e6]))[0]) + 1)
    within, at_margin, later = waits.nats(2, np.array([longest * 1.01, longest * 3, longest * 100]))
    assert within < 0.1 * at_margin
    assert at_margin == pytest.approx(math.log(100)) == later


def test_waiting_can_make_nobody_more_than_certain() -> None:
    waits = Waits()
    waits.add(np.zeros(1, np.int64), np.array([1e6]), np.array([True]))
    waits.ended *= 1e9
    assert waits.nats(0, np.array([math.inf]))[0] == CERTAIN


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(-1, 1e9)), max_size=30), waits_seen)
def test_many_sessions_at_once_are_judged_as_each_alone(
    asked: list[tuple[int, int, float]], seen: list[tuple[float, bool]]
) -> None:
    by_state, by_event = learned(seen[:20], state=1), learned(seen[20:], state=2)
    states, events = (np.array([one[k] for one in asked], dtype=np.int64) for k in (0, 1))
    elapsed = np.array([one[2] for one in asked])
    alone = [silence_nats(by_state, by_event, s, e, np.array([t]))[0] for s, e, t in asked]
    assert silences(by_state, by_event, states, events, elapsed).tolist() == alone
    assert all(nats == 0 for nats, (_, _, t) in zip(alone, asked, strict=True) if t < 0)


@given(st.lists(st.floats(0, 1e15), min_size=2, max_size=20))
def test_buckets_rise_with_the_wait_and_never_end_the_table(times: list[float]) -> None:
    ordered = np.sort(np.array([*times, math.inf]))
    found = bucket(ordered)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() == BUCKETS - 1


def test_folding_and_halves_add_up() -> None:
    first, second = learned([(1e6, True)] * 4, state=0), learned([(2e6, False)] * 6, state=3)
    both = Waits()
    for one in (first, second):
        both.grow(4)
        one.grow(4)
        both.ended, both.open = both.ended + one.ended, both.open + one.open
    both.fold(np.array([0, 1, 2, 0]))
    wanted = learned([(1e6, True)] * 4 + [(2e6, False)] * 6, state=0)
    asked = np.array([5e5, 1.5e6, 1e8])
    assert both.nats(0, asked).tolist() == wanted.nats(0, asked).tolist()
    saved = Waits()
    saved.load_state_dict(both.state_dict())
    assert saved.nats(0, asked).tobytes() == both.nats(0, asked).tobytes()
    assert saved.usual(0) == both.usual(0)


def test_nine_of_ten_ended_waits_end_within_the_usual_one() -> None:
    waits = learned([(1e6, True)] * 90 + [(1e9, True)] * 10 + [(1e10, False)] * 500)
    assert 1e6 <= waits.usual(2) <= 1e6 * RATIO**2
    assert waits.usual(0) == math.inf

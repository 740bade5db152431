from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.evidence.rarity import Rarity, prequential_nats

events = st.lists(st.integers(0, 7), max_size=60)


@given(events, events, st.floats(0, 1))
def test_each_event_has_the_surprise_it_had_when_it_came(before: list[int], now: list[int], at: float) -> None:
    known = Rarity()
    known.add(np.array(before, dtype=np.int32), units=len(before))
    start = round(at * len(now))
    nats, first = prequential_nats(known, np.array(now, dtype=np.int32), start)
    slow, slow_first = naive.prequential(before + now, len(before) + start)
    assert nats == pytest.approx(slow, rel=1e-12)
    assert first.tolist() == slow_first


@given(events)
def test_surprise_is_minus_the_log_of_the_share_of_units(seen: list[int]) -> None:
    rarity = Rarity()
    for event in seen:
        rarity.add(np.array([event]), units=1)
    for event, nats in enumerate(rarity.nats(10)):
        assert nats == pytest.approx(-math.log((seen.count(event) + 0.5) / (len(seen) + 1)))


def test_an_event_never_seen_in_n_units_is_worth_log_2n_plus_2() -> None:
    rarity = Rarity()
    rarity.add(np.array([0]), units=99, weight=99)
    assert rarity.nats(2) == pytest.approx([-math.log(99.5 / 100), math.log(2 * 99 + 2)])


def test_folding_adds_the_counts_of_what_turned_out_to_be_one() -> None:
    rarity = Rarity()
    rarity.add(np.array([0, 1, 3]), units=10, weight=np.array([5, 2, 1]))
    rarity.fold(np.array([0, 0, 2, 0, 4]))
    assert rarity.counts.tolist() == [8, 0, 0, 0, 0]
    assert rarity.units == 10


def test_a_saved_rarity_gives_the_same_bits() -> None:
    one, two = Rarity(), Rarity()
    one.add(np.array([0, 2]), units=7, weight=np.array([3, 4]))
    two.load_state_dict(one.state_dict())
    assert one.nats(5).tobytes() == two.nats(5).tobytes()

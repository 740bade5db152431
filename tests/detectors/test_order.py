from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.evidence.order import START, Order

pairs = st.lists(st.tuples(st.integers(START, 4), st.integers(0, 4)), max_size=50)
asked = st.lists(st.tuples(st.integers(START, 6), st.integers(0, 6)), min_size=1, max_size=20)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in rows], dtype=np.int64), np.array([b for _, b in rows], dtype=np.int64)


def learned(*parts: list[tuple[int, int]]) -> Order:
    order = Order()
    for rows in parts:
        order.add(*columns(rows))
    return order


@given(pairs, pairs, asked)
def test_surprise_is_that_of_witten_bell(
    first: list[tuple[int, int]], second: list[tuple[int, int]], now: list[tuple[int, int]]
) -> None:
    slow = naive.Bigrams()
    for before, after in first + second:
        slow.add(before, after)
    wanted = [slow.nats(before, after) for before, after in now]
    assert learned(first, second).nats(*columns(now)) == pytest.approx(wanted, rel=1e-12)


@given(pairs, asked)
def test_renaming_events_is_learning_them_under_their_new_names(
    rows: list[tuple[int, int]], now: list[tuple[int, int]]
) -> None:
    canonical = np.array([0, 0, 2, 3, 2, 5, 6])
    order = learned(rows)
    order.fold(canonical)
    renamed = [(int(canonical[a]) if a >= 0 else a, int(canonical[b])) for a, b in rows]
    assert order.nats(*columns(now)) == pytest.approx(learned(renamed).nats(*columns(now)), rel=1e-12)


@given(pairs.filter(bool))
def test_what_may_follow_has_a_share_of_at_most_one(rows: list[tuple[int, int]]) -> None:
    order = learned(rows)
    kinds = np.unique([after for _, after in rows])
    for before in range(START, 6):
        total = np.exp(-order.nats(np.full(len(kinds), before), kinds)).sum()
        assert total <= 1 + 1e-12


@given(pairs, asked)
def test_a_saved_order_gives_the_same_bits(rows: list[tuple[int, int]], now: list[tuple[int, int]]) -> None:
    order, again = learned(rows), Order()
    again.load_state_dict(order.state_dict())
    assert again.nats(*columns(now)).tobytes() == order.nats(*columns(now)).tobytes()

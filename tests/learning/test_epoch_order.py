from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError, StateError
from jamais.learning.training_state import EpochOrder


def drawn(order: EpochOrder, n: int) -> list[list[int]]:
    return [order.draw().tolist() for _ in range(n)]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 5), st.booleans(), st.integers(0, 25))
def test_the_next_batch_after_a_restart_is_the_one_that_would_have_come(
    n: int, batch: int, seed: int, shuffle: bool, stop: int
) -> None:
    through, first = (EpochOrder(n, batch=batch, seed=seed, shuffle=shuffle) for _ in range(2))
    expected = drawn(through, stop + 12)
    before = drawn(first, stop)
    second = EpochOrder(n, batch=batch, seed=seed, shuffle=shuffle)
    second.load_state_dict(first.state_dict())
    assert before + drawn(second, 12) == expected


@given(st.integers(1, 40), st.integers(1, 9), st.booleans())
def test_an_epoch_holds_every_row_once(n: int, batch: int, shuffle: bool) -> None:
    order = EpochOrder(n, batch=batch, seed=1, shuffle=shuffle)
    for epoch in range(3):
        assert (order.epoch, order.index) == (epoch, 0)
        rows = [row for batch_rows in drawn(order, order.batches) for row in batch_rows]
        assert sorted(rows) == list(range(n))
        assert shuffle or rows == list(range(n))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {(seed, epoch): None for seed in (0, 1) for epoch in (0, 1)}
    for seed in (0, 1):
        order = EpochOrder(50, batch=50, seed=seed)
        for epoch in (0, 1):
            orders[seed, epoch] = tuple(order.draw().tolist())
    assert len(set(orders.values())) == 4


def test_the_order_is_the_same_in_every_version() -> None:
    # Computed once; should numpy's raw bits ever change, runs saved before could not go on.
    assert EpochOrder(8, batch=8, seed=3).draw().tolist() == [0, 4, 7, 1, 5, 6, 3, 2]


def test_batches_fetched_ahead_are_not_counted_as_used() -> None:
    data = torch.arange(10)
    order = EpochOrder(10, batch=3, seed=0)
    seen: list[list[int]] = []
    for number, rows in enumerate(torch.utils.data.DataLoader(data, batch_sampler=list(order.ahead()))):
        seen.append(rows.tolist())
        order.advance()
        if number == 1:
            break  # all four are fetched, two were used
    again = EpochOrder(10, batch=3, seed=0)
    again.load_state_dict(order.state_dict())
    assert (again.epoch, again.index) == (0, 2)
    seen += [rows.tolist() for rows in again.ahead()]
    assert seen == drawn(EpochOrder(10, batch=3, seed=0), 4)


def test_a_caller_may_do_with_its_rows_what_it_likes() -> None:
    order = EpochOrder(6, batch=3, seed=0)
    first = order.draw()
    first[:] = -1
    assert sorted(np.concatenate([*order.ahead()]).tolist()) == sorted(drawn(EpochOrder(6, batch=3, seed=0), 2)[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"order": {"n": 7, "batch": 2, "seed": 0, "shuffle": True}}, r"data\.order\.n: saved 7, here 6"),
        ({"order": {"n": 6, "batch": 2, "seed": 1, "shuffle": True}}, r"data\.order\.seed: saved 1, here 0"),
        ({"index": 3}, "index 3, here 3 batches"),
        ({"index": -1}, "index -1"),
        ({"epoch": -1}, "epoch -1"),
        ({"epoch": "1"}, r"data\.epoch: saved str"),
    ],
)
def test_a_position_in_another_order_is_refused(change, words) -> None:
    order = EpochOrder(6, batch=2, seed=0)
    order.draw()
    with pytest.raises(StateError, match=words):
        order.load_state_dict(order.state_dict() | change)
    assert (order.epoch, order.index) == (0, 1)


def test_nonsense_is_refused() -> None:
    for wrong in ({"n": 0}, {"batch": 0}, {"seed": -1}):
        with pytest.raises(SettingsError):
            EpochOrder(**{"n": 3, "batch": 1, "seed": 0, **wrong})

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.evidence.bags import EMPTY, EVENT_BITS, Bags

walks = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=12)


def state_of(bags: Bags, walk: list[int]) -> int:
    state = EMPTY
    for event in walk:
        state = bags.step(state, event)
    return state


@given(walks)
def test_two_walks_meet_exactly_when_their_bags_are_equal(many: list[list[int]]) -> None:
    bags = Bags()
    numbers, slow = [], []
    for walk in many:
        bag = naive.Bag()
        numbers.append(state_of(bags, walk))
        slow.append([frozenset(), *(bag.see(event) for event in walk)][-1])
        assert sorted(bags.events(numbers[-1])) == sorted(set(walk))
    for i in range(len(many)):
        for j in range(i):
            assert (numbers[i] == numbers[j]) == (slow[i] == slow[j])


@given(walks)
def test_the_table_of_steps_says_what_stepping_says(many: list[list[int]]) -> None:
    bags = Bags()
    for walk in many:
        state = EMPTY
        for event in walk:
            after = bags.step(state, event)
            assert bags.steps[state << EVENT_BITS | event] == after == bags.step(state, event)
            state = after


@given(walks, walks)
def test_a_fork_numbers_old_bags_alike_and_leaves_the_learned_ones_alone(
    first: list[list[int]], second: list[list[int]]
) -> None:
    bags = Bags()
    known = {tuple(walk): state_of(bags, walk) for walk in first}
    before = (list(bags.bags), dict(bags.steps))
    fork = bags.fork()
    for walk in second:
        state_of(fork, walk)
    assert (bags.bags, bags.steps) == before
    assert all(state_of(fork, list(walk)) == state for walk, state in known.items())


def test_beyond_the_capacity_only_the_last_event_counts() -> None:
    bags = Bags(capacity=3)
    assert state_of(bags, [0]) != state_of(bags, [1])
    assert len(bags) == 3
    assert state_of(bags, [0, 1, 2]) == state_of(bags, [1, 1, 2])
    assert state_of(bags, [0, 1, 2]) != state_of(bags, [0, 1, 3])
    assert bags.events(state_of(bags, [0, 1, 2])) == [2]


@given(walks)
def test_folding_gives_the_states_of_renamed_walks(many: list[list[int]]) -> None:
    canonical = np.array([0, 0, 2, 2, 4])
    bags = Bags()
    short = [walk[:3] for walk in many]  # above three of a kind, adding capped counts is not capping the sum
    states = [state_of(bags, walk) for walk in short]
    moved = bags.fold(canonical)
    for walk, state in zip(short, states, strict=True):
        assert state_of(bags, [int(canonical[event]) for event in walk]) == moved[state]


@given(walks)
def test_saved_bags_go_on_as_if_never_stopped(many: list[list[int]]) -> None:
    bags, again = Bags(7), Bags()
    for walk in many:
        state_of(bags, walk)
    again.load_state_dict(bags.state_dict())
    assert (again.bags, again.capacity) == (bags.bags, 7)
    for walk in many:
        assert state_of(again, [*walk, 3]) == state_of(bags, [*walk, 3])

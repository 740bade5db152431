from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from jamais.detectors.lof import LOF
from jamais.detectors.lof.neighbours import NeighbourLists
from jamais.memory import CoverMemory, FeatureMemory, RingMemory


def data(n: int = 300, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def assert_as_if_fitted_now(detector: LOF, queries: np.ndarray) -> None:
    """The lists name what new ones name, in the same order, at the same bits; and so are all scores."""
    rows, ids, depth = detector.memory.rows, detector.memory.ids, detector.n_neighbors + 1
    detector.decision_function(queries)
    mine, new = detector._engine().state(), NeighbourLists(rows, ids, depth).state()
    needed = min(depth, len(rows) - 1)
    for name in mine:
        assert mine[name][:, :needed].tobytes() == new[name][:, :needed].tobytes()
        shared = min(mine[name].shape[1], new[name].shape[1])
        known = mine["near"][:, :shared] >= 0
        assert (mine[name][:, :shared][known] == new[name][:, :shared][known]).all()
    fresh = LOF(detector.n_neighbors, memory=detector.memory)
    assert detector.decision_function(queries).tobytes() == fresh.decision_function(queries).tobytes()
    assert detector.unseen_scores(rows).tobytes() == fresh.unseen_scores(rows).tobytes()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 25),
    n=st.integers(3, 120),
    kind=st.sampled_from(["grid", "random", "growing"]),
    steps=st.lists(
        st.tuples(st.sampled_from(["learn", "forget", "count", "replace"]), st.integers(1, 40)), max_size=12
    ),
)
def test_any_sequence_of_changes_gives_the_bits_of_a_new_fit(
    seed: int, k: int, n: int, kind: str, steps: list[tuple[str, int]]
) -> None:
    rng = np.random.default_rng(seed)

    def some(n: int) -> np.ndarray:
        if kind == "grid":  # nearly all distances are ties
            return rng.integers(0, 4, size=(n, 3)).astype(np.float32)
        size = 10.0 ** rng.uniform(0, 9) if kind == "growing" else 1.0
        return (rng.normal(size=(n, 3)) * size).astype(np.float32)

    detector = LOF(k).fit(some(n))
    for what, size in steps:
        ids = detector.memory.ids
        chosen = rng.choice(ids, min(size, max(len(ids) - 4, 0)), replace=False)
        if what in ("forget", "replace"):
            detector.forget(chosen)
        if what in ("learn", "replace"):
            detector.partial_fit(some(size))
        if what == "count" and len(chosen):
            detector.partial_fit(detector.memory.rows[np.searchsorted(ids, chosen)])
    assert_as_if_fitted_now(detector, some(20))


@pytest.mark.slow
def test_scores_after_a_thousand_changes_are_those_of_a_fresh_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    detector = LOF(20).fit(data(600, 32))
    for i in range(1000):
        what = rng.integers(0, 3)
        if what != 0:
            detector.forget(rng.choice(detector.memory.ids, 1))
        if what != 1:
            detector.partial_fit(data(1, 32, seed=100 + i) * np.float32(rng.uniform(0.5, 2)))
    queries = data(200, 32, seed=7)
    peer = LocalOutlierFactor(20, novelty=True).fit(detector.memory.rows)
    assert detector.decision_function(queries) == pytest.approx(-peer.score_samples(queries), rel=1e-5)
    assert detector._engine().n_asked < 2 * 600
    assert_as_if_fitted_now(detector, queries)


def test_replacing_one_row_in_a_hundred_makes_hardly_a_list_anew() -> None:
    detector = LOF(20).fit(data(2000))
    for i in range(10):
        detector.forget(detector.memory.ids[::100][:20])
        detector.partial_fit(data(20, seed=50 + i))
    assert len(detector.memory) == 2000
    assert detector._engine().n_asked <= 2000 + 20


def test_rows_that_drift_away_or_come_from_very_far_are_followed() -> None:
    detector = LOF(5, memory=RingMemory(200)).fit(data(200))
    for i in range(80):
        detector.partial_fit(data(20, seed=i) + np.float32(3 * i))
    assert_as_if_fitted_now(detector, data(20) + 240)
    detector.partial_fit(data(4) * np.float32(1e30))
    assert_as_if_fitted_now(detector, data(20) + 240)
    detector.forget(detector.memory.ids[:150])
    assert_as_if_fitted_now(detector, data(20) + 240)


def test_a_ring_may_hold_repeats_as_rows_of_their_own() -> None:
    detector = LOF(5, memory=RingMemory(60)).fit(data(60))
    for i in range(30):
        detector.partial_fit(data(3, seed=i % 4))
    queries = data(30, seed=3)
    expanded = np.repeat(detector.memory.rows, detector.memory.counts, axis=0)
    assert_as_if_fitted_now(detector, queries)
    peer = LocalOutlierFactor(5, novelty=True).fit(expanded.astype(float))
    assert detector.decision_function(queries) == pytest.approx(-peer.score_samples(queries.astype(float)), rel=1e-9)


def test_what_others_do_to_a_shared_memory_is_followed() -> None:
    memory = FeatureMemory(CoverMemory(150))  # it melts rows together when it is full
    detector = LOF(7, memory=memory).fit(data(140))
    for i in range(6):
        memory.add(data(25, seed=20 + i))
        memory.forget(memory.ids[::9])
        memory.add(memory.rows[::5])
        assert_as_if_fitted_now(detector, data(10, seed=i))
    memory.clear()
    memory.add(data(30, width=9))
    assert_as_if_fitted_now(detector, data(10, width=9))


def test_memories_shrink_and_grow_by_orders_of_magnitude() -> None:
    detector = LOF(4).fit(data(2000))
    while len(detector.memory) > 6:
        detector.forget(detector.memory.ids[:: 3 if len(detector.memory) > 12 else 6])
    assert_as_if_fitted_now(detector, data(9, seed=1))
    assert detector._engine().n_bytes < 200_000
    for i in range(40):
        detector.partial_fit(data(2 + i, seed=i + 3))
    assert_as_if_fitted_now(detector, data(9, seed=1))

from __future__ import annotations

import sys

import numpy as np
import pytest

from jamais.detectors.knn import KNN
from jamais.errors import MissingExtraError
from jamais.memory import NearestRows, nearest
from jamais.memory.nearest import squared_differences
from jamais.memory.search import approximate


@pytest.fixture
def faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason="the extra ann is not installed")
    monkeypatch.setattr(nearest, "FEWEST_FOR_LISTS", 2_000)  # so that it shows on few rows


def clusters(n: int, seed: int = 0) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(60, 24)) * 5
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(0, 60, n)] + rng.normal(size=(n, 24))).astype(np.float32)


@pytest.mark.usefixtures("faiss")
def test_distances_are_exact_ties_ordered_and_most_of_the_nearest_are_found() -> None:
    rows, queries = clusters(6_000), clusters(200, seed=1)
    queries[:50] = rows[:50]
    index = NearestRows(rows)
    distances, slots = index.nearest(queries, 5, approximate=True)
    for query, row_slots, found in zip(queries, slots, distances, strict=True):
        assert len(set(row_slots.tolist())) == 5
        wanted = np.sqrt(squared_differences(np.broadcast_to(query, (5, 24)), rows[row_slots]))
        assert found.tobytes() == wanted.tobytes()
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (distances[:50, 0] == 0).all()
    assert (distances >= index.nearest(queries, 5)[0]).all()
    assert index.recall(queries, 5) > 0.95


@pytest.mark.usefixtures("faiss")
def test_rows_that_came_later_are_found_exactly_and_many_of_them_make_it_anew() -> None:
    rows = clusters(6_000)
    index = NearestRows(rows[:4_000])
    index.nearest(rows[:1], 1, approximate=True)
    for n in (4_001, 4_700, 6_000):
        index = index.extended(rows[:n])
        late = rows[n - 1 :: -211]
        distances, slots = index.nearest(late, 2, approximate=True)
        assert (distances[:, 0] == 0).all()
        assert (slots[:, 0] < n).all()


@pytest.mark.usefixtures("faiss")
def test_queries_beyond_float32_and_lists_with_too_few_rows_are_asked_exactly() -> None:
    rows = clusters(3_000)
    queries = np.concatenate([rows[:3], rows[:2] * np.float32(1e30)])
    exact = NearestRows(rows).nearest(queries, 2_900)
    found = NearestRows(rows).nearest(queries, 2_900, approximate=True)
    assert found[0].tobytes() == exact[0].tobytes()
    assert (found[1] == exact[1]).all()


@pytest.mark.usefixtures("faiss")
def test_a_detector_uses_it_and_scores_no_row_too_low() -> None:
    rows, queries = clusters(5_000), clusters(100, seed=2)
    exact, fast = KNN().fit(rows), KNN(approximate=True).fit(rows)
    assert (fast.decision_function(queries) >= exact.decision_function(queries)).all()
    again = KNN()
    again.load_state_dict(fast.state_dict())
    assert (fast.decision_function(queries) >= exact.decision_function(queries)).all()


def test_small_memories_are_searched_exactly_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    rows = clusters(500)
    exact = NearestRows(rows).nearest(rows[:9], 3)
    assert NearestRows(rows).nearest(rows[:9], 3, approximate=True)[0].tobytes() == exact[0].tobytes()
    assert approximate.FEWEST == 50_000


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(nearest, "FEWEST_FOR_LISTS", 100)
    with pytest.raises(MissingExtraError, match=r"jamais\[ann\]"):
        NearestRows(clusters(500)).nearest(clusters(3), 3, approximate=True)

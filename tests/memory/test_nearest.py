from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from jamais.memory import NearestRows
from jamais.memory.nearest import smallest_gaps


def slow_nearest(rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The obvious twin: all differences in float64, stable sort."""
    gaps = queries[:, None].astype(np.float64) - rows[None].astype(np.float64)
    distances = np.sqrt(np.array([[np.add.reduce(gap * gap) for gap in line] for line in gaps]))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    m=st.integers(1, 400),
    width=st.integers(1, 40),
    k=st.integers(1, 12),
    offset=st.sampled_from([0.0, 50.0, 1e6]),
    spread=st.sampled_from([1.0, 1e-3, 1e4]),
    lattice=st.booleans(),
)
def test_exactly_the_rows_and_bits_of_the_slow_twin(
    seed: int, m: int, width: int, k: int, offset: float, spread: float, lattice: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(m, width)) * spread + offset
    queries = np.concatenate([rng.normal(size=(5, width)) * spread * 3 + offset, rows[:3]])
    if lattice:  # many equal distances: ties must go to the lower slot
        rows, queries = np.round(rows / spread), np.round(queries / spread)
    rows, queries = rows.astype(np.float32), queries.astype(np.float32)
    distances, slots = NearestRows(rows).nearest(queries, k)
    wanted, order = slow_nearest(rows, queries, min(k, m))
    assert distances.tobytes() == wanted.tobytes()
    assert (slots == order).all()


def test_near_duplicates_far_from_the_origin_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=256)
    base *= 50 / np.linalg.norm(base)
    rows = (base + 1e-5 * rng.normal(size=(3000, 256))).astype(np.float32)
    index = NearestRows(rows)
    distances, slots = index.nearest(rows[::7], 2)
    first = np.unique(rows, axis=0, return_index=True)[1]
    assert (distances[:, 0] == 0).all()
    if len(first) == len(rows):
        assert (slots[:, 0] == np.arange(0, 3000, 7)).all()
    wanted, order = slow_nearest(rows[:, :], rows[::700], 2)
    found, places = index.nearest(rows[::700], 2)
    assert found.tobytes() == wanted.tobytes()
    assert (places == order).all()


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2500, 64)).astype(np.float32)
    queries = rng.normal(size=(300, 64)).astype(np.float32) * 2
    distances, slots = NearestRows(rows).nearest(queries, 7)
    peer = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(rows.astype(np.float64))
    wanted, order = peer.kneighbors(queries.astype(np.float64))
    assert np.abs(distances - wanted).max() < 1e-9
    assert (slots == order).all()


def test_a_row_alone_has_the_bits_of_a_row_in_a_batch() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(5000, 33)).astype(np.float32)
    queries = rng.normal(size=(1500, 33)).astype(np.float32)
    index = NearestRows(rows)
    together = index.nearest(queries, 3)
    for row in range(0, 1500, 97):
        alone = index.nearest(queries[row : row + 1], 3)
        assert alone[0].tobytes() == together[0][row].tobytes()
        assert (alone[1][0] == together[1][row]).all()


@pytest.mark.parametrize("scale", [1e-20, 1e18, 1e30])
def test_values_whose_squares_leave_float32_are_still_exact(scale: float) -> None:
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(200, 5)) * scale).astype(np.float32)
    queries = np.concatenate([rows[:4], rng.normal(size=(4, 5)).astype(np.float32)])
    distances, slots = NearestRows(rows).nearest(queries, 4)
    wanted, order = slow_nearest(rows, queries, 4)
    assert distances.tobytes() == wanted.tobytes()
    assert (slots == order).all()


def test_one_far_query_among_ordinary_ones_is_exact() -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(3000, 20)).astype(np.float32)
    queries = rng.normal(size=(6, 20)).astype(np.float32)
    queries[2] *= 1e5
    queries[4] *= 1e20
    distances, slots = NearestRows(rows).nearest(queries, 5)
    wanted, order = slow_nearest(rows, queries, 5)
    assert distances.tobytes() == wanted.tobytes()
    assert (slots == order).all()


def test_empty_sides_give_empty_answers() -> None:
    assert NearestRows(np.empty((0, 4), np.float32)).nearest(np.ones((3, 4), np.float32), 5)[0].shape == (
        3,
        0,
    )
    assert NearestRows(np.ones((3, 4), np.float32)).nearest(np.empty((0, 4), np.float32), 2)[0].shape == (
        0,
        2,
    )


def test_smallest_gaps_are_symmetric_and_exclude_the_row_itself() -> None:
    rows = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    assert smallest_gaps(rows).tolist() == [1.0, 1.0, 2.0, 4.0]

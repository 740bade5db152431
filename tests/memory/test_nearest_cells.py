from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.memory import NearestRows
from jamais.memory.nearest import squared_differences
from jamais.memory.search import sieve
from jamais.memory.search.cells import Cells, worthwhile
from jamais.memory.search.columns import Columns


def slow_nearest(rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The obvious twin: all differences in float64, stable sort."""
    distances = np.sqrt([squared_differences(np.broadcast_to(query, rows.shape), rows) for query in queries])
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


def grouped(n: int, width: int, n_groups: int, spread: float, seed: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_groups, width)) * 10 + offset
    return (centres[rng.integers(0, n_groups, n)] + spread * rng.normal(size=(n, width))).astype(np.float32)


def same(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> bool:
    return found[0].tobytes() == wanted[0].tobytes() and bool((found[1] == wanted[1]).all())


def asked_often(index: NearestRows, rows: np.ndarray) -> NearestRows:
    for _ in range(8):
        index.nearest(rows[:100], 1)
    return index


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    m=st.integers(600, 1_500),
    width=st.integers(1, 40),
    n_groups=st.sampled_from([1, 3, 30]),
    spread=st.sampled_from([1e-6, 1e-3, 1.0]),
    offset=st.sampled_from([0.0, 1e3]),
    k=st.sampled_from([1, 5, 60]),
    lattice=st.booleans(),
)
def test_groups_of_any_kind_are_searched_to_the_last_bit(
    seed: int, m: int, width: int, n_groups: int, spread: float, offset: float, k: int, lattice: bool
) -> None:
    rows = grouped(m, width, n_groups, spread, seed, offset)
    if lattice:  # repeats and equal distances: ties must go to the lower slot
        rows = np.round(rows)
    queries = np.concatenate([rows[:6], grouped(6, width, n_groups, spread, seed), rows[:2] + 7, rows[:1] * 1e25])
    index = asked_often(NearestRows(rows), rows)
    assert same(index.nearest(queries, k), slow_nearest(rows, queries, k))


@pytest.mark.parametrize("k", [1, 9, 100])
@pytest.mark.parametrize("n_cells", [1, 4, 60])
def test_cells_alone_name_all_of_the_nearest(k: int, n_cells: int) -> None:
    rows = grouped(900, 7, 20, 0.3, 1)
    queries = np.concatenate([rows[::90], grouped(20, 7, 5, 3.0, 2)])
    around = Columns.of(rows, rows.mean(axis=0))
    query, slot = Cells.of(rows, around, n_cells).candidates(queries, k)
    assert len(np.unique(query * 900 + slot)) == len(query)
    for i, wanted in enumerate(slow_nearest(rows, queries, k)[1]):
        assert set(wanted.tolist()) <= set(slot[query == i].tolist())


def test_every_row_is_in_one_cell_and_no_farther_than_its_radius() -> None:
    rows = grouped(2_000, 16, 40, 0.1, 3)
    cells = Cells.of(rows, Columns.of(rows, rows.mean(axis=0)), 90)
    assert sorted(cells.order.tolist()) == list(range(2_000))
    for j, radius in enumerate(cells.radii.tolist()):
        members = rows[cells.order[cells.starts[j] : cells.starts[j + 1]]]
        pivot = np.broadcast_to(cells.pivot_rows[j], members.shape)
        assert len(members) >= 1
        assert np.sqrt(squared_differences(members, pivot)).max() <= radius


def test_cells_are_made_for_groups_and_not_for_rows_without_structure() -> None:
    rng = np.random.default_rng(4)
    groups, plain = grouped(3_000, 64, 50, 1e-3, 4), rng.normal(size=(3_000, 64)).astype(np.float32)
    assert worthwhile(Columns.of(groups, groups.mean(axis=0)), 100)
    assert not worthwhile(Columns.of(plain, plain.mean(axis=0)), 100)
    held = [asked_often(NearestRows(rows), rows).n_bytes / NearestRows(rows).n_bytes for rows in (groups, plain)]
    assert held[0] > 1.5
    assert held[1] == 1.0


def test_crowds_of_near_duplicates_are_answered_without_looking_at_all_of_them() -> None:
    rows = grouped(20_000, 64, 2, 1e-5, 5, 50.0)
    queries = np.concatenate([rows[:500], grouped(500, 64, 2, 1e-5, 5, 50.0)])
    index = NearestRows(rows)
    together = index.nearest(queries, 5)
    assert (together[0][:500, 0] == 0).all()
    assert index.n_bytes > NearestRows(rows).n_bytes
    assert same((together[0][::100], together[1][::100]), slow_nearest(rows, queries[::100], 5))
    assert same(NearestRows(rows).nearest(queries[7:8], 5), (together[0][7:8], together[1][7:8]))


def test_a_bound_on_what_is_held_back_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.repeat(grouped(40, 8, 4, 1.0, 6), 50, axis=0)  # each row 50 times
    queries = grouped(64, 8, 4, 1.0, 7)
    wanted = slow_nearest(rows, queries, 60)
    assert same(NearestRows(rows).nearest(queries, 60), wanted)
    monkeypatch.setattr(sieve, "_MOST_HELD", 300)
    assert same(NearestRows(rows).nearest(queries, 60), wanted)
    assert same(NearestRows(rows[:400]).nearest(queries, 60), slow_nearest(rows[:400], queries, 60))

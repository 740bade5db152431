from __future__ import annotations

import threading

import numpy as np
import pytest

from jamais.memory import FeatureMemory, NearestRows
from jamais.memory.search.columns import Columns
from jamais.memory.spaces import in_space


def data(n: int, width: int = 9, seed: int = 0, groups: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, width))
    if groups:
        rows = rng.normal(size=(groups, width))[rng.integers(0, groups, n)] * 20 + 1e-3 * rows
    return rows.astype(np.float32)


def same(one: NearestRows, other: NearestRows, queries: np.ndarray, k: int = 4) -> bool:
    left, right = one.nearest(queries, k), other.nearest(queries, k)
    return left[0].tobytes() == right[0].tobytes() and bool((left[1] == right[1]).all())


@pytest.mark.parametrize("groups", [0, 30])
@pytest.mark.parametrize("step", [1, 17, 400, 3_000])
def test_extended_by_any_steps_is_made_anew(groups: int, step: int) -> None:
    rows, queries = data(4_000, groups=groups), data(40, seed=1, groups=groups)
    queries[:5] = rows[[0, 900, 1_000, 1_001, 1_002]]
    index = NearestRows(rows[:1_000])
    for n in range(1_000 + step, min(4_000, 1_000 + 12 * step) + 1, step):
        before = index
        index = index.extended(rows[:n])
        assert len(index) == n
        assert len(before) == n - step
        if (n - 1_000) // step in (1, 5, 12):
            for _ in range(5):  # often enough for cells
                assert same(index, NearestRows(rows[:n]), queries)
            assert same(before, NearestRows(rows[: n - step]), queries)


def test_two_may_extend_the_same_search_differently() -> None:
    rows, queries = data(1_200), data(30, seed=2)
    base = NearestRows(rows[:800]).extended(rows[:900])
    other_rows = np.concatenate([rows[:900], data(300, seed=3)])
    one, other = base.extended(rows), base.extended(other_rows)
    assert same(one, NearestRows(rows), queries)
    assert same(other, NearestRows(other_rows), queries)
    assert same(base, NearestRows(rows[:900]), queries)


def test_threads_that_extend_the_same_search_do_not_meet() -> None:
    rows = [np.concatenate([data(600), data(400, seed=seed)]) for seed in range(8)]
    base, queries = NearestRows(rows[0][:600]).extended(rows[0][:610]), data(50, seed=9)
    rows = [np.concatenate([rows[0][:610], one[610:]]) for one in rows]
    made: dict[int, NearestRows] = {}
    threads = [threading.Thread(target=lambda i=i: made.update({i: base.extended(rows[i])})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(made[i], NearestRows(rows[i]), queries) for i in range(8))


def test_rows_too_large_for_float32_squares_may_come_later() -> None:
    rows = data(1_500)
    rows[1_200:] *= 1e25
    index = NearestRows(rows[:1_000]).extended(rows)
    assert same(index, NearestRows(rows), np.concatenate([rows[:3], rows[-3:]]))


def test_appending_brings_no_old_row_about_the_centre_again() -> None:
    rows = data(1_100)
    columns = Columns.of(rows[:1_000], rows.mean(axis=0)).extended(rows[:1_001])
    wanted = columns.table.copy()
    more = columns.extended(rows[:1_100])
    assert np.shares_memory(more.table, columns.table)
    assert (more.table[:1_001] == wanted).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_memory_extends_its_search_and_follows_every_other_change(metric: str) -> None:
    memory, rows, queries = FeatureMemory(700), data(1_500), data(20, seed=4)

    def fresh() -> bool:
        anew = FeatureMemory(700)
        anew.load_state_dict(memory.state_dict())
        return same(memory.index(metric), anew.index(metric), in_space(queries, metric))

    for n in (300, 310, 311, 500):
        memory.add(rows[len(memory) : n])
        assert fresh()
        assert len(memory.index(metric)) == n
    memory.add(rows[:5])  # only counts change
    assert fresh()
    memory.forget(memory.ids[10:50])
    assert fresh()
    memory.add(rows[500:])  # over its capacity
    assert fresh()
    other = FeatureMemory(700)
    other.add(rows[::-1])
    memory.normal.load_state_dict(other.normal.state_dict())  # the same ids, other rows
    assert fresh()
    memory.clear()
    memory.add(rows[:60])
    assert fresh()
    assert len(memory.index(metric)) == len(memory) < 100

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamais.memory import NearestRows, nearest
from jamais.memory.nearest import squared_differences
from jamais.memory.search import coarse
from jamais.memory.search.coarse import CoarseColumns
from jamais.memory.search.columns import Columns


@pytest.fixture
def coarsely(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Search in 16 bits on any processor, and for few rows; count how often."""
    asked: list[int] = []
    whole = CoarseColumns.ask
    monkeypatch.setattr(CoarseColumns, "ask", lambda self, one: asked.append(len(one.low)) or whole(self, one))
    monkeypatch.setattr(coarse, "pays", lambda: True)
    monkeypatch.setattr(coarse, "FEWEST_ROWS", 50)
    monkeypatch.setattr(coarse, "FEWEST_QUERIES", 5)
    monkeypatch.setattr(nearest, "_COARSE", 10)  # any number of candidates is welcome
    return asked


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    m=st.integers(60, 500),
    width=st.sampled_from([1, 3, 40, 256]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 50.0]),
    outlier=st.sampled_from([0.0, 1e3]),
    k=st.sampled_from([1, 5, 40]),
)
def test_sixteen_bits_choose_the_candidates_and_change_no_bit(
    coarsely: list[int], seed: int, m: int, width: int, scale: float, offset: float, outlier: float, k: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, queries = rng.normal(size=(m, width)) + offset, rng.normal(size=(12, width)) + offset
    rows[0] += outlier
    queries[:3] = rows[:3]
    rows, queries = (rows * scale).astype(np.float32), (queries * scale).astype(np.float32)
    distances = np.sqrt([squared_differences(np.broadcast_to(query, rows.shape), rows) for query in queries])
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    found = NearestRows(rows).nearest(queries, k)
    assert found[0].tobytes() == np.take_along_axis(distances, order, axis=1).tobytes()
    assert (found[1] == order).all()
    assert coarsely[-1] == 12


@pytest.mark.parametrize("width", [2, 256, 700])
@pytest.mark.parametrize("same_sign", [False, True])
def test_the_bounds_hold_for_every_pair(width: int, same_sign: bool) -> None:
    rng = np.random.default_rng(width)
    rows, queries = rng.normal(size=(300, width)), rng.normal(size=(90, width))
    if same_sign:  # products that add up: the largest error there is
        rows, queries = np.abs(rows), np.abs(queries)
    rows, queries = (rows * rng.lognormal(size=(300, 1))).astype(np.float32), queries.astype(np.float32)
    columns = Columns.of(rows, np.zeros(width, np.float32))
    narrow = CoarseColumns(columns)
    factors, asked = narrow.ask(columns.ask(queries))
    products = np.empty((300, 90), np.float32)
    factors.multiply(slice(0, 300), asked.factors, products)
    true = np.array([squared_differences(np.broadcast_to(query, rows.shape), rows) for query in queries]).T
    assert (products + asked.low <= true).all()
    assert (products + factors.slack[:, None] + asked.high >= true).all()
    assert (factors.slack < 0.05 * np.square(rows).sum(axis=1)).all()  # and they say something


def test_where_too_many_look_alike_it_is_given_up(coarsely: list[int]) -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(900, 4)) * 1e-3 + rng.choice([-1, 1], size=(900, 1))).astype(np.float32)
    index = NearestRows(rows)
    for _ in range(3):
        index.nearest(rows[:20], 3)
    assert len(coarsely) == 1
    assert index.extended(np.concatenate([rows, rows[:1]])).nearest(rows[:20], 3)[0].shape == (20, 3)
    assert len(coarsely) == 1


def test_a_grown_search_has_its_new_rows_in_sixteen_bits_too(coarsely: list[int]) -> None:
    rows = np.random.default_rng(1).normal(size=(400, 30)).astype(np.float32)
    index = NearestRows(rows[:300])
    index.nearest(rows[:20], 3)
    distances, slots = index.extended(rows).nearest(rows[300:], 1)
    assert (distances == 0).all()
    assert slots[:, 0].tolist() == list(range(300, 400))
    assert len(coarsely) == 2


def test_without_torch_in_use_it_is_not_loaded_for_this(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not coarse.pays()
    assert "torch" not in sys.modules

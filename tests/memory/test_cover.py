from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import (
    CorruptStateError,
    InputError,
    RefusedUpdateError,
    SettingsError,
    ShapeMismatchError,
)
from jamais.memory import CoverMemory
from jamais.types import NO_TIME


class SlowCover:
    """The obvious twin: one row at a time, all distances each time, plain lists."""

    def __init__(self, capacity: int, radius: float) -> None:
        self.capacity, self.radius, self.next_id = capacity, radius, 0
        self.items: list[dict[str, Any]] = []

    def add(self, rows: np.ndarray, counts: Any = None) -> None:
        for row, count in zip(rows.astype(np.float64), [1] * len(rows) if counts is None else counts, strict=True):
            while not self._absorb({"row": row, "count": count, "id": None}):
                self._make_room()

    def _make_room(self) -> None:
        for item in self.items:
            others = [other for other in self.items if other is not item]
            gaps = [self._distance(item["row"], other["row"]) for other in others]
            item["nearest"] = others[int(np.argmin(gaps))]
            item["needed"] = min(gaps) / (1.3 if item["nearest"]["count"] >= 5 else 1.0)
        needed = sorted(item["needed"] for item in self.items)
        least, most = needed[int(0.02 * len(needed))], needed[int(0.10 * len(needed))]
        self.radius = max(self.radius, min(max(self.radius * 1.15, least), most))
        before = {item["id"]: item["count"] for item in self.items}
        gone, joined = set(), set()
        for item in sorted(self.items, key=lambda item: (item["needed"], before[item["id"]], item["id"])):
            target = item["nearest"]
            if item["needed"] <= self.radius and item["id"] not in joined and target["id"] not in gone:
                target["count"] += item["count"]
                gone.add(item["id"])
                joined.add(target["id"])
        self.items = [item for item in self.items if item["id"] not in gone]

    def _absorb(self, item: dict[str, Any]) -> bool:
        gaps = [self._distance(item["row"], other["row"]) for other in self.items]
        if gaps:
            nearest = self.items[int(np.argmin(gaps))]
            if min(gaps) <= self.radius * (1.3 if nearest["count"] >= 5 else 1.0):
                nearest["count"] += item["count"]
                return True
        if len(self.items) >= self.capacity:
            return False
        item["id"], self.next_id = self.next_id, self.next_id + 1
        self.items.append(item)
        return True

    @staticmethod
    def _distance(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.sqrt(np.add.reduce((one - two) ** 2)))


def bits(memory: CoverMemory) -> dict[str, Any]:
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in memory.state_dict().items()
    }


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 200),
    capacity=st.integers(2, 40),
    radius=st.sampled_from([0.0, 0.3, 1.0]),
    lattice=st.booleans(),
)
def test_equals_the_slow_twin_row_for_row(seed: int, n: int, capacity: int, radius: float, lattice: bool) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    if lattice:
        rows = np.round(rows * 2)
    counts = np.random.default_rng(seed).integers(1, 4, n) if seed % 2 else np.ones(n, dtype=np.int64)
    slow, fast = SlowCover(capacity, radius), CoverMemory(capacity, radius)
    slow.add(rows, counts.tolist())
    fast.add(rows, counts)
    assert fast.radius == slow.radius
    assert fast.ids.tolist() == [item["id"] for item in slow.items]
    assert fast.counts.tolist() == [item["count"] for item in slow.items]
    assert (fast.rows == np.array([item["row"] for item in slow.items], np.float32)).all()


def test_it_does_not_matter_in_which_batches_rows_come() -> None:
    rows = np.random.default_rng(0).normal(size=(900, 6)).astype(np.float32)
    times = np.arange(900)
    whole, pieces = CoverMemory(100), CoverMemory(100)
    whole.add(rows, times=times)
    for start in range(0, 900, 37):
        pieces.add(rows[start : start + 37], times=times[start : start + 37])
    assert bits(whole) == bits(pieces)


def test_reloaded_memory_continues_as_if_never_stopped() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(700, 5)).astype(np.float32)
    straight, first, second = CoverMemory(64), CoverMemory(64), CoverMemory(9, 3.0)
    straight.add(rows, source="fit", digest="abc")
    first.add(rows[:400], source="fit", digest="abc")
    first.forget([])
    second.load_state_dict(first.state_dict())
    second.add(rows[400:], source="fit", digest="abc")
    assert bits(second) == bits(straight)


def test_capacity_holds_for_ever_and_counts_lose_nothing() -> None:
    rng = np.random.default_rng(2)
    memory = CoverMemory(50)
    for _ in range(20):
        ids = memory.add(rng.normal(size=(100, 8)).astype(np.float32), counts=rng.integers(1, 5, 100))
        assert len(memory) <= 50
        assert set(ids.tolist()) <= set(memory.ids.tolist())
    assert memory.counts.sum() == memory.n_seen
    assert len(memory) > 25


def test_exact_repeats_raise_the_count_and_widen_the_times() -> None:
    memory = CoverMemory(10)
    row = np.array([[1.0, 2.0]])
    (first,) = memory.add(row, times=[50]).tolist()
    assert memory.add(np.repeat(row, 3, axis=0), counts=[2, 2, 2], times=[70, 20, NO_TIME]).tolist() == [first] * 3
    memory.add(np.array([[-0.0, 1.0]]))
    memory.add(np.array([[0.0, 1.0]]))
    assert memory.counts.tolist() == [7, 2]
    assert memory.first_seen.tolist() == [20, NO_TIME]
    assert memory.last_seen.tolist() == [70, NO_TIME]


def test_rows_within_the_radius_fall_on_the_nearest_exemplar() -> None:
    memory = CoverMemory(10, radius=1.0)
    ids = memory.add(np.array([[0.0], [1.5], [0.6], [0.9], [2.5]]))
    assert ids.tolist() == [0, 1, 0, 1, 1]
    assert memory.rows.ravel().tolist() == [0.0, 1.5]


def test_a_full_memory_grows_its_radius_by_fifteen_percent_where_that_makes_room() -> None:
    gaps = np.array([0.0, 1.05, 1.3, 1.4] + [2.0] * 16)
    memory = CoverMemory(20, radius=1.0)
    memory.add(np.cumsum(gaps)[:, None])
    memory.add(np.array([[-50.0]]))
    assert memory.radius == pytest.approx(1.15)
    wide = CoverMemory(20, radius=1.0)
    wide.add(10 * np.cumsum(gaps)[:, None])
    wide.add(np.array([[-50.0]]))
    assert wide.radius == pytest.approx(10.5)  # 1.15 would reach nobody: as far as the nearest pair


def test_ids_are_never_given_twice() -> None:
    memory = CoverMemory(5)
    memory.add(np.arange(4.0)[:, None])
    assert memory.forget([3, 99]) == 1
    assert memory.add(np.array([[3.0]])).tolist() == [4]
    memory.clear()
    assert len(memory) == 0
    assert memory.width is None
    assert memory.add(np.zeros((1, 7))).tolist() == [5]


def test_forgotten_rows_are_new_again() -> None:
    memory = CoverMemory(5)
    memory.add(np.array([[1.0], [2.0], [3.0]]))
    memory.forget([1])
    assert memory.rows.ravel().tolist() == [1.0, 3.0]
    memory.add(np.array([[3.0], [2.0]]))
    assert memory.counts.tolist() == [1, 2, 1]
    assert memory.ids.tolist() == [0, 2, 3]


def test_merging_two_halves_keeps_counts_and_covers_all_rows() -> None:
    rows = np.random.default_rng(3).normal(size=(600, 4)).astype(np.float32)
    left, right = CoverMemory(80), CoverMemory(60, 0.2)
    left.add(rows[:300], source="fit", times=np.arange(300), digest="abc")
    right.add(rows[300:], source="learn", times=np.arange(300, 600), digest="abc")
    before = bits(right)
    radius = max(left.radius, right.radius)
    ids = left.merge(right)
    assert bits(right) == before
    assert set(ids.tolist()) <= set(left.ids.tolist())
    assert left.radius >= radius
    assert len(left) <= 80
    assert left.counts.sum() == left.n_seen == 600
    assert set(left.sources) == {"fit", "learn"}
    assert left.last_seen.max() == 599
    gaps = np.linalg.norm(rows[:, None] - left.rows[None], axis=2).min(axis=1)
    assert gaps.max() <= 4 * left.radius


def test_merging_without_growth_equals_one_pass() -> None:
    rows = np.repeat(np.random.default_rng(4).normal(size=(40, 4)), 3, axis=0)
    left, right, whole = CoverMemory(80), CoverMemory(80), CoverMemory(80)
    left.add(rows[:70])
    right.add(rows[70:])
    left.merge(right)
    left.merge(CoverMemory(5))
    whole.add(rows)
    assert bits(left) == bits(whole)


def test_inputs_are_neither_changed_nor_kept() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    counts, times = np.array([1, 2, 3]), np.array([7, 8, 9])
    memory = CoverMemory(10)
    memory.add(rows, counts, times)
    before = bits(memory)
    rows[:], counts[:], times[:] = -1, -1, -1
    assert bits(memory) == before
    tree = memory.state_dict()
    other = CoverMemory(10)
    other.load_state_dict(tree)
    tree["rows"][:] = 5
    assert bits(other) == bits(memory) == before


def test_views_cannot_be_written_and_stay_true_while_the_memory_changes() -> None:
    memory = CoverMemory(3)
    memory.add(np.array([[1.0], [2.0]]))
    view = memory.rows
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 9
    memory.add(np.array([[5.0], [9.0], [20.0]]))
    memory.forget(memory.ids[:1])
    assert view.ravel().tolist() == [1.0, 2.0]
    memory.counts[:] = 0
    assert memory.counts.min() == 1


def test_rows_of_another_encoder_or_shape_are_refused_and_change_nothing() -> None:
    memory = CoverMemory(10)
    memory.add(np.zeros((1, 3)), digest="a" * 64)
    assert memory.encoder_digest == "a" * 64
    before = bits(memory)
    with pytest.raises(RefusedUpdateError, match="encoder aaaaaaaaaaaa, got bbbbbbbbbbbb"):
        memory.add(np.ones((1, 3)), digest="b" * 64, source="new")
    with pytest.raises(ShapeMismatchError, match=r"width 3, got \(1, 4\)"):
        memory.add(np.ones((1, 4)))
    with pytest.raises(ShapeMismatchError):
        memory.add(np.ones(3))
    with pytest.raises(ShapeMismatchError, match="counts"):
        memory.add(np.ones((2, 3)), counts=[1])
    with pytest.raises(InputError, match="finite"):
        memory.add(np.array([[np.nan, 0, 0]]))
    with pytest.raises(InputError, match="at least 1"):
        memory.add(np.ones((1, 3)), counts=[0])
    with pytest.raises(SettingsError):
        CoverMemory(1)
    assert bits(memory) == before


def test_broken_states_are_named_and_change_nothing() -> None:
    memory = CoverMemory(10)
    memory.add(np.arange(8.0).reshape(4, 2))
    before = bits(memory)
    good = memory.state_dict()
    for leaf, value in {
        "rows": good["rows"].astype(np.float64),
        "counts": good["counts"][:2],
        "ids": good["ids"].astype(np.float32),
        "first_seen": None,
    }.items():
        with pytest.raises(CorruptStateError, match=f"memory.{leaf}"):
            memory.load_state_dict({**good, leaf: value})
    with pytest.raises(CorruptStateError, match="capacity 3"):
        memory.load_state_dict({**good, "capacity": 3})
    assert bits(memory) == before


def test_empty_batches_and_memory_use_are_harmless() -> None:
    memory = CoverMemory(10)
    assert memory.add(np.empty((0, 3))).shape == (0,)
    assert memory.forget([1]) == 0
    memory.add(np.zeros((1, 3)))
    assert 0 < memory.ram_bytes < 5000

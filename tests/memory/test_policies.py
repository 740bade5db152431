"""Do ring, reservoir and coreset keep the rows that they say, row by row, in bounded room?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, RefusedUpdateError, SettingsError
from jamais.memory import CoresetMemory, CoverMemory, ReservoirMemory, RingMemory
from jamais.memory.sample import priorities_of
from jamais.testing import digest
from jamais.types import NO_TIME

POLICIES: dict[str, Callable[..., Any]] = {
    "cover": CoverMemory,
    "coreset": CoresetMemory,
    "reservoir": ReservoirMemory,
    "ring": RingMemory,
}
every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)


def lattice(seed: int, n: int, high: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, (n, 2)).astype(np.float32)


class SlowRing:
    """The obvious twin: a list, the one seen last at its end."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.next_id = capacity, 0
        self.items: list[dict[str, Any]] = []

    def add(self, row: Any, count: int, time: int) -> None:
        here = [item for item in self.items if item["row"] == row]
        if here:
            self.items.remove(here[0])
            item = here[0]
            item.update(count=item["count"] + count, first=min(item["first"], time), last=max(item["last"], time))
        else:
            del self.items[: max(0, len(self.items) - self.capacity + 1)]
            item = {"row": row, "count": count, "first": time, "last": time, "id": self.next_id}
            self.next_id += 1
        self.items.append(item)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(2, 9), st.integers(1, 5), st.integers(1, 80))
def test_a_ring_equals_its_slow_twin(seed: int, n: int, capacity: int, high: int, size: int) -> None:
    rows, rng = lattice(seed, n, high), np.random.default_rng(seed)
    counts, times = rng.integers(1, 4, n), rng.integers(0, 50, n)
    slow, fast = SlowRing(capacity), RingMemory(capacity)
    for row, count, time in zip(rows.tolist(), counts.tolist(), times.tolist(), strict=True):
        slow.add(row, count, time)
    for start in range(0, n, size):
        fast.add(rows[start : start + size], counts[start : start + size], times[start : start + size])
    items = sorted(slow.items, key=lambda item: item["id"])
    assert fast.ids.tolist() == [item["id"] for item in items]
    assert fast.rows.tolist() == [item["row"] for item in items]
    assert fast.counts.tolist() == [item["count"] for item in items]
    assert fast.first_seen.tolist() == [item["first"] for item in items]
    assert fast.last_seen.tolist() == [item["last"] for item in items]
    assert fast.state_dict()["order"].tolist() == [item["id"] for item in slow.items]


def test_refreshing_renews_a_row_of_a_ring() -> None:
    ring = RingMemory(3)
    ring.add(np.arange(3.0)[:, None])
    ring.refresh(np.array([[0.1]]), times=[9])
    assert ring.add(np.array([[7.0], [8.0]])).tolist() == [3, 4]
    assert ring.rows.ravel().tolist() == [0.0, 7.0, 8.0]
    assert ring.counts.tolist() == [2, 1, 1]
    assert ring.last_seen.tolist() == [9, NO_TIME, NO_TIME]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 80), st.integers(0, 80), st.integers(2, 9), st.integers(1, 5))
def test_merged_rings_hold_the_rows_of_one_pass(seed: int, n: int, m: int, capacity: int, high: int) -> None:
    rows = lattice(seed, n + m, high)
    left, right, whole = RingMemory(capacity), RingMemory(capacity), RingMemory(capacity)
    left.add(rows[:n])
    right.add(rows[n:])
    whole.add(rows)
    left.merge(right)
    seen = {tuple(row): int((rows == row).all(axis=1).sum()) for row in rows.tolist()}
    merged = dict(zip(map(tuple, left.rows.tolist()), left.counts.tolist(), strict=True))
    passed = dict(zip(map(tuple, whole.rows.tolist()), whole.counts.tolist(), strict=True))
    assert merged.keys() == passed.keys()
    assert all(passed[row] <= merged[row] <= seen[row] for row in passed)


class SlowReservoir:
    """The obvious twin: a list of draws, the worst taken out one by one."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity, self.seed, self.place, self.next_id = capacity, seed, 0, 0
        self.draws: list[tuple[int, int]] = []
        self.rows: dict[int, Any] = {}

    def add(self, row: Any, count: int) -> None:
        for _ in range(count):
            priority = int(priorities_of(np.array([self.place]), self.seed)[0])
            self.place += 1
            if len(self.draws) == self.capacity:
                if priority >= max(self.draws)[0]:
                    continue
                self.draws.remove(max(self.draws))
            held = {own for _, own in self.draws}
            own = next((own for own in held if self.rows[own] == row), self.next_id)
            if own == self.next_id:
                self.next_id += 1
            self.rows[own] = row
            self.draws.append((priority, own))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(2, 9), st.integers(1, 9), st.integers(1, 80))
def test_a_reservoir_equals_its_slow_twin(seed: int, n: int, capacity: int, high: int, size: int) -> None:
    rows = lattice(seed, n, high)
    counts = np.random.default_rng(seed).integers(1, 4, n)
    slow, fast = SlowReservoir(capacity, seed), ReservoirMemory(capacity, seed)
    for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
        slow.add(row, count)
    for start in range(0, n, size):
        fast.add(rows[start : start + size], counts[start : start + size])
    held = sorted({own for _, own in slow.draws})
    assert fast.ids.tolist() == held
    assert fast.rows.tolist() == [slow.rows[own] for own in held]
    assert fast.counts.tolist() == [sum(own == one for _, own in slow.draws) for one in held]
    assert fast.counts.sum() == min(capacity, counts.sum())


def test_reservoirs_alone_and_merged_draw_every_row_alike() -> None:
    n, capacity, rounds = 30, 10, 600
    rows = np.arange(n, dtype=np.float32)[:, None]
    alone, merged = np.zeros(n), np.zeros(n)
    together = 0
    for seed in range(rounds):
        whole, left, right = (ReservoirMemory(capacity, seed) for _ in range(3))
        whole.add(rows)
        left.add(rows[:22])
        right.add(rows[22:])
        left.merge(right)
        assert len(left) == capacity
        alone[whole.rows.ravel().astype(int)] += 1
        merged[left.rows.ravel().astype(int)] += 1
        together += bool({0.0, 22.0} <= set(left.rows.ravel().tolist()))
    expected = capacity / n * rounds
    deviation = np.sqrt(rounds * capacity / n * (1 - capacity / n))
    for drawn in (alone, merged):
        assert np.abs(drawn - expected).max() < 4.5 * deviation
        assert np.abs(drawn[:22].mean() - expected) < 4.5 * deviation / np.sqrt(22)
    # Two halves of one seed drew the same priorities: without new ones their first rows would come together.
    assert together < expected / 2


def test_refreshing_a_reservoir_leaves_its_sample_alone() -> None:
    one = ReservoirMemory(4)
    one.add(np.arange(9.0)[:, None], times=np.arange(9))
    before = one.counts.sum(), one.n_seen
    one.refresh(one.rows, times=[99] * len(one))
    assert (one.counts.sum(), one.n_seen) == before
    assert set(one.last_seen.tolist()) == {99}


def naive_farthest_first(rows: np.ndarray, first: int, n: int) -> set[int]:
    chosen = [first]
    while len(chosen) < n:
        gaps = np.linalg.norm(rows[:, None] - rows[None, chosen], axis=2).min(axis=1)
        chosen.append(int(gaps.argmax()))
    return set(chosen)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40))
def test_a_full_coreset_keeps_the_rows_farthest_from_one_another(seed: int, capacity: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(capacity, 3)).astype(np.float32)
    counts = np.ones(capacity, dtype=np.int64)
    counts[capacity // 2] = 5
    memory = CoresetMemory(capacity)
    memory.add(rows, counts)
    new = np.array([[50.0, 0.0, 0.0]])
    memory.add(new)
    stays = naive_farthest_first(rows.astype(np.float64), capacity // 2, capacity - max(1, capacity // 16))
    assert {tuple(row) for row in memory.rows.tolist()} == {
        *(tuple(rows[one].tolist()) for one in stays),
        (50.0, 0.0, 0.0),
    }
    assert memory.counts.sum() == memory.n_seen == counts.sum() + 1
    gone = np.array([row for row in rows if tuple(row.tolist()) not in set(map(tuple, memory.rows.tolist()))])
    moves = np.linalg.norm(gone[:, None].astype(float) - memory.rows[None, :-1], axis=2).min(axis=1)
    assert memory.radius == pytest.approx(moves.max())


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([CoverMemory, CoresetMemory]))
def test_halves_merged_lose_no_count_and_cover_like_one_pass(seed: int, policy: Any) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(15, 4)) * 10
    rows = (centres[rng.integers(0, 15, 400)] + 0.1 * rng.normal(size=(400, 4))).astype(np.float32)
    left, right, whole = policy(40), policy(40), policy(40)
    left.add(rows[:200])
    right.add(rows[200:])
    whole.add(rows)
    left.merge(right)
    assert left.counts.sum() == left.n_seen == whole.counts.sum() == 400
    gaps = [np.linalg.norm(rows[:, None] - one.rows[None], axis=2).min(axis=1).max() for one in (left, whole)]
    assert gaps[0] <= 2 * max(left.reach, whole.reach)
    assert gaps[0] < 2.0  # every cluster is known


@every_policy
def test_a_memory_bounded_by_bytes_never_holds_more(make: Any) -> None:
    rng = np.random.default_rng(0)
    for width, size in ((3, "20kB"), (64, "100KiB"), (7, 30_000)):
        memory = make(max_bytes=size)
        limit = {"20kB": 20_000, "100KiB": 102_400}.get(size, size)
        for _ in range(12):
            memory.add(rng.normal(size=(int(rng.integers(1, 150)), width)))
            assert memory.ram_bytes <= limit
        assert 10 < len(memory) <= memory.capacity
        assert memory.ram_bytes > limit / 3
        again = make(5)
        again.load_state_dict(memory.state_dict())
        assert digest(again.state_dict()) == digest(memory.state_dict())
        again.clear()
        again.add(rng.normal(size=(2_000, 2 * width)))
        assert again.ram_bytes <= limit
        assert again.capacity < memory.capacity


@every_policy
def test_bounds_that_make_no_sense_are_refused(make: Any) -> None:
    for wrong in ("much", "64 apples", True, 3.5, "-4MB"):
        with pytest.raises(SettingsError, match="number of bytes"):
            make(max_bytes=wrong)
    with pytest.raises(SettingsError, match="room for at least 2 rows"):
        make(max_bytes=10)
    for wrong in (1, 0, -3, 2.5, "9"):
        with pytest.raises(SettingsError, match="at least 2"):
            make(wrong)
    small = make(max_bytes="2kB")
    with pytest.raises(SettingsError, match="width 500"):
        small.add(np.zeros((1, 500)))
    assert small.width is None
    assert make(7, max_bytes="1GB").capacity == make(7).capacity == 7
    assert make().capacity == 10_000


@every_policy
def test_another_encoder_or_kind_is_not_merged(make: Any) -> None:
    one, other = make(9), make(9)
    one.add(np.eye(3), digest="a" * 64)
    other.add(np.eye(3) * 2, digest="b" * 64, source="new")
    before = digest(one.state_dict())
    with pytest.raises(RefusedUpdateError, match="encoder"):
        one.merge(other)
    with pytest.raises(RefusedUpdateError, match="encoder"):
        one.take_over(other, other.ids)
    assert digest(one.state_dict()) == before


@every_policy
def test_exemplars_go_over_with_counts_dates_and_sources(make: Any) -> None:
    one, other = make(9), CoverMemory(9)
    other.add(np.eye(4), [3, 1, 1, 1], [10, 20, 30, 40], source="app.log")
    other.add(np.eye(4)[:1], times=[50])
    one.add(np.ones((1, 4)))
    ids = one.take_over(other, [2, 0])
    kept = one.ids.tolist()
    where = [kept.index(own) for own in ids.tolist()]
    assert (one.rows[where] == np.eye(4)[[2, 0]]).all()
    assert one.first_seen[where].tolist() == [30, 10]
    assert one.last_seen[where].tolist() == [30, 50]
    assert [one.sources[slot] for slot in where] == ["app.log"] * 2
    assert one.counts[where].tolist() == [1, 4]
    assert one.n_seen == 6
    assert one.ids_of(np.eye(4)).tolist() == [ids[1], -1, ids[0], -1]


@every_policy
def test_states_that_contradict_themselves_are_refused(make: Any) -> None:
    one, two = make(9), make(9)
    one.add(np.arange(12.0).reshape(6, 2))
    good, before = one.state_dict(), digest(two.state_dict())
    holes = good["rows"].copy()
    holes[0, 0] = np.nan
    broken: list[dict[str, Any]] = [
        {"ids": good["ids"][::-1].copy()},
        {"ids": good["ids"] + 100},
        {"ids": good["ids"] - 1},
        {"counts": good["counts"] * 0},
        {"source_codes": good["source_codes"] + 1},
        {"rows": holes},
        {"capacity": 1},
        {"capacity": 3},
        {"n_seen": -1},
        {"source_names": [1]},
    ]
    for name, wrong in (("order", good["ids"][:-1]), ("draws", good["ids"] * 0), ("priorities", good["ids"])):
        broken += [{name: wrong}] if name in good else []
    if "radius" in good:
        broken += [{"radius": float("nan")}, {"radius": -1.0}]
    for change in broken:
        with pytest.raises(CorruptStateError):
            two.load_state_dict({**good, **change})
    assert digest(two.state_dict()) == before


@every_policy
@pytest.mark.slow
def test_a_million_rows_pass_through_little_room(make: Any) -> None:
    rng = np.random.default_rng(0)
    memory = make(1_000)
    shares = 1 / np.arange(1, 5_001) ** 1.3
    for _ in range(50):
        which = rng.choice(5_000, 20_000, p=shares / shares.sum())
        memory.add(np.stack([which, which // 7], axis=1).astype(np.float32))
        assert len(memory) <= 1_000
        assert memory.ram_bytes < 1_000_000
    assert memory.n_seen == 1_000_000


@every_policy
def test_replacing_rows_costs_little_more_than_a_copy(make: Any) -> None:
    rng = np.random.default_rng(0)
    memory = make(500)
    memory.add(rng.normal(size=(500, 8)))
    for _ in range(20):
        memory.forget(memory.ids[:25])
        assert len(memory) == 475
        memory.add(rng.normal(size=(25, 8)))
        assert len(memory) == 500
        assert len(memory.ids_of(memory.rows)) == 500
        assert (memory.ids_of(memory.rows) == memory.ids).all()

"""Do the parts of a feature memory keep their rules: who becomes normal, what waits, and what merges?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from jamais.errors import CorruptStateError, InputError, RefusedUpdateError, SettingsError, ShapeMismatchError
from jamais.memory import CoresetMemory, CoverMemory, FeatureMemory, ReservoirMemory, RingMemory
from jamais.testing import digest

DAY = 86_400_000_000


def rows(n: int, seed: int = 0, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def filled(**settings: Any) -> FeatureMemory:
    memory = FeatureMemory(50, calibration=20, **settings)
    memory.add(rows(40), digest="a" * 64)
    return memory


def test_what_waits_keeps_count_dates_and_source_and_takes_them_along() -> None:
    memory = filled()
    bad = rows(2, 7)
    first = memory.detain(bad, [10, 20], source="app.log")
    for time in (50, 30):
        memory.detain(bad[:1], [time], source="other.log")
    waiting = memory.quarantine
    assert waiting.counts.tolist() == [3, 1]
    assert (waiting.first_seen.tolist(), waiting.last_seen.tolist()) == ([10, 20], [50, 20])
    assert waiting.sources == ["app.log", "app.log"]
    drawn = memory.calibration.n_seen
    given = memory.release(first[::-1])
    assert (memory.rows[np.searchsorted(memory.ids, given)] == bad[::-1]).all()
    slot = int(np.searchsorted(memory.ids, given[1]))
    assert memory.counts[slot] == 3
    assert (memory.normal.first_seen[slot], memory.normal.last_seen[slot]) == (10, 50)
    assert memory.normal.sources[slot] == "app.log"
    assert memory.calibration.n_seen == drawn + 4
    assert len(waiting) == 0


def test_what_is_confirmed_is_remembered_as_abnormal_with_its_count() -> None:
    memory = filled()
    ids = memory.detain(np.repeat(rows(1, 7), 5, axis=0), range(5))
    before = digest(memory.normal.state_dict())
    memory.confirm(ids)
    assert memory.abnormal.counts.tolist() == [5]
    assert memory.abnormal.last_seen.tolist() == [4]
    assert len(memory.quarantine) == 0
    assert digest(memory.normal.state_dict()) == before


def test_a_flood_of_distinct_rows_lets_none_in_and_stays_bounded() -> None:
    memory = filled()
    before = digest(memory.normal.state_dict()), digest(memory.calibration.state_dict())
    flood = rows(100_000, 9)
    for start in range(0, len(flood), 5_000):
        memory.detain(flood[start : start + 5_000], np.arange(start, start + 5_000))
        assert len(memory.quarantine) <= memory.quarantine.capacity
        assert memory.quarantine.ram_bytes < 500_000
    assert memory.quarantine.counts.sum() == 100_000
    assert (digest(memory.normal.state_dict()), digest(memory.calibration.state_dict())) == before
    memory.confirm(memory.quarantine.ids)
    assert memory.quarantine.radius == 0.0  # the next alarms are told apart again


def test_being_seen_often_or_long_releases_nothing_unless_asked_for() -> None:
    memory = filled()
    bad = rows(1, 7)
    for day in range(400):
        memory.detain(np.repeat(bad, 100, axis=0), [day * DAY] * 100)
    assert memory.release_after is None
    assert len(memory.release_due(10**9 * DAY)) == 0
    assert memory.normal.ids_of(bad).tolist() == [-1]
    assert memory.quarantine.counts.tolist() == [40_000]


def test_a_release_policy_counts_waiting_time_only() -> None:
    memory = filled(release_after=timedelta(days=7))
    early, late, undated = rows(3, 7)
    memory.detain(early[None], [0])
    memory.detain(np.repeat(late[None], 1000, axis=0), [DAY] * 1000)
    memory.detain(undated[None])
    memory.detain(late[None], [7 * DAY - 1])
    assert memory.normal.ids_of(early[None]).tolist() == [-1]
    memory.detain(late[None], [7 * DAY])
    assert (memory.normal.ids_of(np.stack([early, late, undated])) >= 0).tolist() == [True, False, False]
    again = FeatureMemory(9)
    again.load_state_dict(memory.state_dict())
    assert again.release_after == 7 * DAY
    for one in (memory, again):
        one.detain(late[None], [9 * DAY])
    assert digest(again.state_dict()) == digest(memory.state_dict())
    assert (memory.normal.ids_of(np.stack([early, late, undated])) >= 0).tolist() == [True, True, False]
    for wrong in (0, -5, 1.5, "7d"):
        with pytest.raises(SettingsError, match="release_after"):
            FeatureMemory(9, release_after=wrong)  # type: ignore[arg-type]


def test_learning_the_very_row_as_normal_lets_it_out() -> None:
    memory = filled()
    bad = rows(3, 7)
    memory.detain(bad)
    memory.add(bad[1:2])
    assert memory.quarantine.ids_of(bad).tolist() == [0, -1, 2]
    with pytest.raises(InputError, match=r"ids \[1\]"):
        memory.release([0, 1])
    assert len(memory.quarantine) == 2


@pytest.mark.parametrize(
    "policy", [RingMemory, ReservoirMemory, CoresetMemory, CoverMemory, lambda n: CoverMemory(n, radius=0.5)]
)
def test_forgetting_takes_calibration_rows_along_and_no_others(policy: Any) -> None:
    memory = FeatureMemory(policy(60), calibration=30)
    memory.add(rows(50))
    gone = memory.ids[:20]
    sample, reach = memory.calibration.rows.copy(), memory.normal.reach
    gaps = np.linalg.norm(sample[:, None].astype(float) - memory.rows[None], axis=2)
    theirs = (gaps.min(axis=1) <= reach + 1e-6) & np.isin(memory.ids[gaps.argmin(axis=1)], gone)
    assert 0 < theirs.sum() < len(sample)
    assert memory.forget(gone) == 20
    assert (memory.calibration.rows == sample[~theirs]).all()
    assert memory.forget(gone) == 0


def test_a_merge_is_whole_or_not_at_all() -> None:
    memory = filled()
    memory.detain(rows(3, 7))
    before = digest(memory.state_dict())
    narrow, other_policy, other_encoder, hurt = (FeatureMemory(50) for _ in range(4))
    narrow.add(rows(3, width=3))
    other_policy.normal = RingMemory(9)
    other_encoder.add(rows(5, 5), digest="b" * 64)
    hurt.add(rows(5, 5))
    hurt.quarantine = CoverMemory(9)
    hurt.quarantine.add(np.ones((1, 9)))  # the last part that is looked at
    for wrong, error in (
        (narrow, ShapeMismatchError),
        (other_policy, InputError),
        (other_encoder, RefusedUpdateError),
        (hurt, ShapeMismatchError),
        (CoverMemory(4), InputError),
    ):
        with pytest.raises(error):
            memory.merge(wrong)  # type: ignore[arg-type]
        assert digest(memory.state_dict()) == before
    other = FeatureMemory(50, calibration=20, seed=3)
    other.add(rows(8, 5))
    other.detain(rows(2, 8))
    other.remember_abnormal(rows(1, 9))
    ids = memory.merge(other)
    assert (memory.rows[np.searchsorted(memory.ids, ids[-5:])] == other.rows[-5:]).all()
    assert memory.counts.sum() == 48
    assert (len(memory.quarantine), len(memory.abnormal)) == (5, 1)
    assert len(memory.calibration) == 20
    assert memory.calibration.n_seen == 48


def test_a_width_holds_for_all_parts() -> None:
    memory = FeatureMemory(10)
    memory.remember_abnormal(np.ones((1, 3)))
    for put in (memory.add, memory.detain, memory.refresh, memory.remember_abnormal):
        with pytest.raises(ShapeMismatchError):
            put(np.ones((1, 4)))
    memory.clear()
    memory.add(np.ones((1, 4)))
    assert memory.width == 4


def test_states_of_a_feature_memory_that_do_not_fit_are_refused() -> None:
    memory, other = filled(), FeatureMemory(5)
    memory.detain(rows(2, 7))
    good, before = memory.state_dict(), digest(other.state_dict())
    wide = CoverMemory(9)
    wide.add(np.ones((1, 9)))
    sample = good["calibration"]
    for change in (
        {"policy": "knn"},
        {"policy": "no such"},
        {"policy": None},
        {"policy": "ring-memory"},
        {"quarantine": wide.state_dict()},
        {"release_after": -1},
        {"calibration": {**sample, "priorities": sample["priorities"][::-1].copy()}},
        {"calibration": {**sample, "rows": sample["rows"] * np.float32(np.nan)}},
        {"calibration": {**sample, "n_seen": 1}},
        {"calibration": {**sample, "capacity": 0}},
        {"calibration": {"capacity": 9}},
    ):
        with pytest.raises(CorruptStateError):
            other.load_state_dict({**good, **change})
    assert digest(other.state_dict()) == before
    old = {name: part for name, part in good.items() if name != "release_after"}
    other.load_state_dict(old)
    assert digest(other.state_dict()) == digest(good)


def test_a_memory_may_be_bounded_by_bytes() -> None:
    memory = FeatureMemory(CoverMemory(max_bytes="64kB"), calibration=10)
    memory.add(rows(5_000, width=16))
    assert memory.normal.ram_bytes <= 64_000
    assert len(memory) > 100

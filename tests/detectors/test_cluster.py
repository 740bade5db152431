"""Are distances to clusters what a loop would say, and is a row unlearned as if it had never come?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.damage import broken

from jamais.detectors.cluster import Cluster
from jamais.errors import CorruptStateError, NotReadyError, SettingsError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.testing import DETECTOR_CHECKS, DetectorCase, digest

WIDTH = 5


def blobs(n: int, k: int, seed: int = 0, width: int = WIDTH, apart: float = 8.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(k, width)) * apart
    return (centres[random.integers(0, k, n)] + random.normal(size=(n, width))).astype(np.float32)


def naive_scales(members: list[list[np.ndarray]], j: int) -> list[float]:
    """Spell out `groups.scales` for cluster j of `members`: the pooled variance, the own one, and per column."""
    width, n_all = len(members[j][0]), sum(len(rows) for rows in members)
    squares = []
    for rows in members:
        centre = sum(rows) / max(len(rows), 1)
        squares.append([sum((row[c] - centre[c]) ** 2 for row in rows) for c in range(width)])
    pooled = sum(map(sum, squares)) / (n_all * width)
    n = len(members[j]) + 5
    own = max((sum(squares[j]) / width + 5 * pooled) / n, 0.01 * pooled)
    columns = [max((one + 5 * own) / n, 0.01 * pooled) for one in squares[j]]
    return [one / (sum(columns) / width) * math.sqrt(own * pooled) for one in columns]


def naive_score(members: list[list[np.ndarray]], normal: list[bool], row: np.ndarray) -> float:
    best = math.inf
    for j, rows in enumerate(members):
        if rows and normal[j]:
            centre, scale = sum(rows) / len(rows), naive_scales(members, j)
            best = min(best, math.sqrt(np.mean([(row[c] - centre[c]) ** 2 / scale[c] for c in range(len(row))])))
    return best


def members_of(one: Cluster) -> list[list[np.ndarray]]:
    labels, found = one._labels, []
    for j in range(len(one.counts_)):
        rows = np.repeat(one.memory.rows[labels == j], one.memory.counts[labels == j], axis=0)
        found.append(list(rows.astype(np.float64)))
    return found


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [Cluster, lambda: Cluster(n_clusters=6), lambda: Cluster(memory=40)])
def test_contract(make: Any, check: Any) -> None:
    check(DetectorCase(make, blobs(90, 3), blobs(20, 3, seed=1)))


def test_scores_are_those_of_a_loop_over_clusters() -> None:
    one = Cluster(n_clusters=7).fit(blobs(80, 4))
    new = blobs(15, 6, seed=2)
    normal = (~one.suspects_).tolist()
    wanted = [naive_score(members_of(one), normal, row) for row in new.astype(np.float64)]
    np.testing.assert_allclose(one.decision_function(new), wanted, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(1, 9), st.integers(1, 4))
def test_a_row_is_unlearned_as_if_it_had_never_come(seed: int, n: int, k: int, width: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(-3, 4, size=(n, width)).astype(np.float32)  # with repeats
    one = Cluster(n_clusters=k, contamination=0.3).fit(rows)
    normal = (~one.suspects_).tolist()
    slot_of = {row.tobytes(): slot for slot, row in enumerate(one.memory.rows)}
    for row, score in zip(rows, one._unseen_scores(rows), strict=True):
        left = members_of(one)
        own = one._labels[slot_of[row.tobytes()]]
        gone = next(i for i, other in enumerate(left[own]) if np.array_equal(other, row))
        del left[own][gone]
        which = normal if any(left[j] and normal[j] for j in range(len(left))) else [True] * len(left)
        if sum(float(np.var(rows, axis=0).sum()) for rows in left if rows) == 0:
            continue  # no spread left at all: the floor is an absolute one, tested below
        np.testing.assert_allclose(score, naive_score(left, which, row.astype(np.float64)), rtol=1e-6, atol=1e-9)


def test_counts_are_rows() -> None:
    rows = blobs(40, 3)
    counts = np.random.default_rng(1).integers(1, 6, 40)
    repeated, counted = Cluster(), Cluster()
    repeated.fit(np.repeat(rows, counts, axis=0))
    counted.memory.add(rows, counts)
    counted.fit(force=True)
    assert np.array_equal(repeated.decision_function(blobs(9, 3, 5)), counted.decision_function(blobs(9, 3, 5)))
    assert repeated.counts_.sum() == counts.sum()


@pytest.mark.parametrize("width", [1, 2, 16, 64])
@pytest.mark.parametrize("n", [300, 3000])
def test_one_blob_is_one_cluster_however_long_it_is(width: int, n: int) -> None:
    random = np.random.default_rng(width)
    rows = random.normal(size=(n, width)) * np.exp(random.normal(size=width))
    assert len(Cluster().fit(rows).counts_) == 1


@pytest.mark.parametrize(("n", "width"), [(400, 2), (2000, 5), (2000, 64), (5000, 16)])
def test_eight_blobs_are_eight_clusters(n: int, width: int) -> None:
    random = np.random.default_rng(n)
    grid = np.array([[i // 3, i % 3] for i in range(8)]) * 8.0
    centres = grid if width == 2 else random.normal(size=(8, width)) * (10 if width == 5 else 3)
    of = random.integers(0, 8, n)
    one = Cluster().fit(centres[of] + random.normal(size=(n, width)))
    assert sorted(one.counts_.tolist()) == sorted(np.bincount(of).tolist())
    assert not one.suspects_.any(), "balanced clusters are all normal"


def test_repeats_of_a_cluster_without_spread_score_exactly_0_and_others_stay_finite() -> None:
    random = np.random.default_rng(3)
    lines = (random.normal(size=(4, WIDTH)) * 50).astype(np.float32)
    one = Cluster(n_clusters=4).fit(np.repeat(lines, 25, axis=0))
    assert (one.decision_function(lines) == 0.0).all()
    far = one.decision_function(lines + np.float32(0.5))
    assert np.isfinite(far).all()
    assert (far > 0).all()


def test_a_cluster_of_repeats_scores_0_after_its_other_rows_were_forgotten() -> None:
    line = np.full((1, 3), 49.3, dtype=np.float32)
    stray = line + np.float32(0.37)
    one = Cluster(n_clusters=1).fit(np.concatenate([np.repeat(line, 9, axis=0), stray]))
    one.forget(one.memory.ids[(one.memory.rows == stray).all(axis=1)])
    assert one.decision_function(line)[0] == 0.0


def test_rows_of_a_small_far_cluster_are_scored_against_the_large_ones() -> None:
    rows = np.concatenate(
        [blobs(300, 2), np.full((12, WIDTH), 60.0) + np.random.default_rng(0).normal(size=(12, WIDTH))]
    )
    one = Cluster(n_clusters=3).fit(rows)
    assert one.counts_[one.suspects_].tolist() == [12]
    assert one.decision_function(rows[-12:]).min() > 3 * one.decision_function(rows[:300]).max()
    assert one.predict(rows[-12:]).all()


@pytest.mark.slow  # PyOD compiles for some seconds
def test_it_works_on_gaussian_sets_where_cblof_raises() -> None:
    cblof = pytest.importorskip("pyod.models.cblof")
    rows = np.random.default_rng(0).normal(size=(1000, 8))
    with pytest.raises(ValueError, match="Could not form valid cluster separation"):
        cblof.CBLOF(random_state=0).fit(rows)
    for k in (None, 8):
        one = Cluster(n_clusters=k).fit(rows)
        assert not one.suspects_.all()
        assert one.decision_function(np.full((1, 8), 6.0))[0] > one.decision_scores_.max()


def test_the_sums_after_learning_and_forgetting_are_those_of_a_fresh_count() -> None:
    one = Cluster(n_clusters=4).fit(blobs(200, 4))
    random = np.random.default_rng(5)
    for step in range(12):
        one.partial_fit(blobs(10, 4, seed=10 + step))
        one.partial_fit(one.memory.rows[random.integers(0, len(one.memory), 5)])  # repeats raise counts
        one.forget(random.choice(one.memory.ids, 8, replace=False))
        members = members_of(one)
        assert one.counts_.tolist() == [len(rows) for rows in members]
        np.testing.assert_allclose(one.centers_, [np.mean(rows, axis=0) for rows in members], rtol=0, atol=1e-12)
        normal = (~one.suspects_).tolist()
        for row in blobs(3, 4, seed=step):
            wanted = naive_score(members, normal, row.astype(np.float64))
            np.testing.assert_allclose(one.decision_function(row[None])[0], wanted, rtol=1e-8)


def test_a_new_cluster_grows_only_from_enough_rows_that_fit_no_old_one() -> None:
    one = Cluster(n_clusters=2).fit(blobs(400, 2))
    elsewhere = (np.full(WIDTH, 70.0) + np.random.default_rng(1).normal(size=(120, WIDTH))).astype(np.float32)
    centres = one.centers_.copy()
    one.partial_fit(elsewhere[:50])
    assert one.n_unplaced_ == 50
    assert np.array_equal(one.centers_, centres), "strange rows moved a centre"
    assert one.predict(elsewhere[:5]).all()
    one.partial_fit(elsewhere[50:])  # 120 of 520 are more than half an even share of three
    assert one.n_unplaced_ == 0
    assert len(one.counts_) == 3
    assert one.decision_function(elsewhere).max() < 3


def test_twice_the_rows_choose_the_clusters_anew() -> None:
    one = Cluster().fit(blobs(100, 2))
    assert len(one.counts_) == 2
    one.partial_fit(blobs(150, 5))
    assert digest(one.state_dict()["engine"]) == digest(one.fit(force=True).state_dict()["engine"])
    assert len(one.counts_) == 5


def test_a_memory_that_melts_rows_together_keeps_the_counts() -> None:
    one = Cluster(n_clusters=3, memory=60).fit(blobs(150, 3))
    for seed in range(1, 5):
        one.partial_fit(blobs(30, 3, seed=seed))
        assert one.memory.normal.reach > 0
        assert one.counts_.sum() + one.n_unplaced_ == one.memory.counts.sum() == 150 + 30 * seed
        assert one.p_value(blobs(5, 3, seed=9)).shape == (5,)


def test_p_values_hold_on_unseen_rows() -> None:
    shares = []
    for seed in range(20):
        one = Cluster().fit(blobs(150, 3, seed=seed))
        shares.append((one.p_value(blobs(500, 3, seed=1000 + seed)) <= 0.05).mean())
    assert 0.035 <= float(np.mean(shares)) <= 0.06


def test_constant_columns_and_equal_rows_are_answered() -> None:
    flat = blobs(60, 2)
    flat[:, 2] = 7.5
    one = Cluster().fit(flat)
    moved = flat[:1].copy()
    moved[0, 2] = 8.5
    assert one.decision_function(moved)[0] > one.decision_function(flat[:1])[0]
    same = Cluster().fit(np.full((10, 3), 50.0))
    assert same.decision_function([[50, 50, 50]])[0] == 0.0
    assert 0 < same.decision_function([[50, 50, 50.1]])[0] < np.inf
    assert same.predict([[50, 50, 50.1]])[0] == 1


def test_the_smallest_and_the_largest_inputs_are_answered() -> None:
    two = Cluster().fit([[0.0], [1.0]])
    assert np.isfinite(two.decision_function([[0.5], [9.0]])).all()
    assert np.isfinite(two.p_value([[9.0]])).all()
    wide = Cluster(n_clusters=50).fit(blobs(9, 2))
    assert len(wide.counts_) == 9, "more clusters than rows are cut to the rows"
    huge = Cluster().fit(np.random.default_rng(0).normal(size=(30, 3)) * 1e38)
    assert np.isfinite(huge.decision_function(np.full((2, 3), 3e38))).all()
    tiny = Cluster().fit(np.random.default_rng(0).normal(size=(30, 3)) * 1e-37)
    assert np.isfinite(tiny.decision_function(np.full((2, 3), 3e-30))).all()
    with pytest.raises(NotReadyError, match="needs 2"):
        Cluster().fit([[1.0, 2.0]])


def test_forgetting_everything_and_starting_again_works() -> None:
    one = Cluster().fit(blobs(40, 2))
    one.forget(one.memory.ids)
    with pytest.raises(NotReadyError):
        one.decision_function(blobs(2, 2))
    one.partial_fit(blobs(30, 3))
    assert one.counts_.sum() == 30


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(SettingsError, match="n_clusters"):
        Cluster(n_clusters=0)
    with pytest.raises(SettingsError, match="random_state"):
        Cluster(random_state=-1)
    with pytest.raises(NotReadyError):
        _ = Cluster().centers_


def test_shares_name_the_column_that_is_off() -> None:
    one = Cluster().fit(blobs(200, 2))
    row = one.centers_[:1].astype(np.float32)
    row[0, 3] += 20
    reason = one.explain(row)[0]
    assert reason.features[0][0] == 3
    assert reason.features[0][1] > 0.9


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine", {}),
        ("engine.labels", lambda a: a[:-1]),
        ("engine.labels", lambda a: a + 5),
        ("engine.labels", lambda a: a.astype(np.float64)),
        ("engine.labels", lambda a: np.roll(a, 1) * 0),
        ("engine.reach", math.nan),
        ("engine.reach", "far"),
        ("engine.rows_at_refit", 0),
        ("engine.groups.counts", lambda a: a + 1),
        ("engine.groups.counts", 3),
        ("engine.groups.sums", lambda a: a[:, 1:]),
        ("engine.groups.sums", lambda a: a * math.inf),
        ("engine.groups.squares", lambda a: -a - 1),
        ("engine.groups.origins", lambda a: a.astype(np.float32)),
        ("engine.groups.resolution", 0.0),
        ("settings.n_clusters", -4),
        ("settings.random_state", "x"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(path: str, value: Any) -> None:
    one = Cluster(n_clusters=3).fit(blobs(50, 3))
    before = digest(one.state_dict())
    with pytest.raises(CorruptStateError):
        one.load_state_dict(broken(one.state_dict(), path, value))
    assert digest(one.state_dict()) == before


def test_a_shared_memory_is_followed_whoever_changes_it() -> None:
    memory = FeatureMemory(CoverMemory(500))
    one, two = Cluster(n_clusters=3, memory=memory), Cluster(n_clusters=3, memory=memory)
    one.fit(blobs(100, 3))
    two.fit(force=True)
    one.partial_fit(blobs(20, 3, seed=4))
    memory.forget(memory.ids[:10])
    assert np.array_equal(one.decision_function(blobs(5, 3)), two.decision_function(blobs(5, 3))) is not None
    assert one.counts_.sum() == two.counts_.sum() == 110

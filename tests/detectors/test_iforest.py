from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from tests.reference import naive

from jamais.detectors.iforest import IForest
from jamais.errors import CorruptStateError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.testing import digest


def data(n: int = 400, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def naive_trees(detector: IForest, engine: dict[str, Any] | None = None) -> list[naive.Cut]:
    """Build each tree from its splits and the rows whose ids it holds."""
    trees, memory = engine or detector.state_dict()["engine"], detector.memory
    weights = trees.get("weights", np.ones(trees["columns"].shape))
    return [
        naive.cuts(memory.rows[np.searchsorted(memory.ids, ids)].tolist(), columns, weight, thresholds)
        for ids, columns, weight, thresholds in zip(
            trees["samples"], trees["columns"], weights, trees["thresholds"], strict=True
        )
    ]


def with_spare(detector: IForest) -> tuple[list[naive.Cut], np.ndarray]:
    """Give all trees that score remembered rows, and the ids that each holds."""
    ((samples, paths),) = detector._spare()
    spare = naive_trees(detector, {**paths.trees.tree(), **samples.tree()})
    return naive_trees(detector) + spare, np.concatenate([held_ids(detector), samples.ids])


def held_ids(detector: IForest) -> np.ndarray:
    samples: np.ndarray = detector.state_dict()["engine"]["samples"]
    return samples


@pytest.mark.parametrize("extension", [0, 2, 5, 99])
@pytest.mark.parametrize("max_samples", ["auto", 2, 3, 37, 0.5, 400])
def test_scores_are_those_of_the_slow_twin(max_samples: Any, extension: int) -> None:
    detector = IForest(12, max_samples=max_samples, extension=extension).fit(data())
    queries = np.concatenate([data(40, seed=1) * 2, data()[:10]])
    trees = naive_trees(detector)
    wanted = [naive.isolation_score(row, trees, held_ids(detector).shape[1]) for row in queries.tolist()]
    assert np.abs(detector.decision_function(queries) - wanted).max() < 3e-6


def test_every_tree_cuts_its_sample_apart_at_places_between_its_rows() -> None:
    def check(cut: naive.Cut, depth: int) -> None:
        if cut.sides is None:
            assert len(cut.rows) == 1 or depth == 8, "rows that differ go on to be cut"
            return
        assert cut.weights is not None
        ((column, weight),) = cut.weights.items()
        values = [row[column] for row in cut.rows]
        assert weight == 1
        assert min(values) <= cut.threshold < max(values)
        for side in cut.sides:
            assert side.rows
            check(side, depth + 1)

    detector = IForest(10).fit(data())
    for tree in naive_trees(detector):
        assert len(tree.rows) == 256
        check(tree, 0)
    sizes = detector.state_dict()["engine"]["sizes"]
    assert (sizes.sum(axis=1) == 256).all()


def test_columns_and_places_are_chosen_evenly() -> None:
    rows = data(200, width=5)
    rows[:, 3] = 7
    engine = IForest(600).fit(rows).state_dict()["engine"]
    n = np.bincount(engine["columns"][:, 0, 0], minlength=5)
    assert n[3] == 0
    assert abs(n[[0, 1, 2, 4]] - 150).max() < 40
    column = engine["columns"][:, 0, 0] == 0
    place = engine["thresholds"][column, 0]
    assert place.min() < -1 and place.max() > 1 and abs(place.mean()) < 0.4  # noqa: PT018


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    extension=st.sampled_from([0, 3]),
    n=st.integers(2, 700),
    max_samples=st.sampled_from(["auto", 9, 600]),
)
def test_a_row_alone_has_the_bits_of_a_row_in_a_batch(seed: int, extension: int, n: int, max_samples: Any) -> None:
    detector = IForest(20, max_samples=max_samples, extension=extension).fit(data(n, seed=seed))
    queries = data(50, seed=seed + 1) * 2
    together = detector.decision_function(queries)
    alone = np.concatenate([detector.decision_function(row[None]) for row in queries])
    assert together.tobytes() == alone.tobytes()
    assert together[::-1].tobytes() == detector.decision_function(queries[::-1]).tobytes()


@pytest.mark.parametrize("max_samples", [2, 3, 5, 9, "auto"])
def test_thousands_of_rows_have_the_bits_of_a_few(max_samples: Any) -> None:
    detector = IForest(13, max_samples=max_samples).fit(data())
    queries = data(11_111, seed=3)
    parts = [detector.decision_function(part) for part in np.array_split(queries, 7)]
    assert detector.decision_function(queries).tobytes() == np.concatenate(parts).tobytes()
    assert detector.decision_function(queries[:0]).shape == (0,)


def test_scores_are_near_those_of_scikit_learn() -> None:
    rows = data(2000)
    queries = np.concatenate([data(500, seed=1), data(500, seed=2) * 3])
    peers = [-IsolationForest(n_estimators=300, random_state=s).fit(rows).score_samples(queries) for s in (0, 1)]
    ours = IForest(300).fit(rows).decision_function(queries)
    noise = np.abs(peers[0] - peers[1])
    assert abs((ours - peers[0]).mean()) < 0.004
    assert np.abs(ours - peers[0]).mean() < 1.5 * noise.mean()


@pytest.mark.parametrize("extension", [0, 2])
def test_training_scores_come_from_trees_that_did_not_draw_the_row(extension: int) -> None:
    rows = data(60)
    detector = IForest(40, extension=extension).fit(rows)
    trees, held = with_spare(detector)
    assert held.shape == (100, 45)
    for i, row in enumerate(rows.tolist()):
        unseen = [tree for tree, ids in zip(trees, held, strict=True) if detector.memory.ids[i] not in ids]
        assert 10 < len(unseen) < 40
        assert abs(detector.decision_scores_[i] - naive.isolation_score(row, unseen, 45)) < 3e-6


def test_a_repeated_row_counts_by_the_chance_that_it_was_not_the_one_drawn() -> None:
    rows, counts = data(30), np.arange(30) % 5 + 1
    detector = IForest(40).fit(np.repeat(rows, counts, axis=0))
    trees, held = with_spare(detector)
    size = held.shape[1]
    assert size == counts.sum() * 3 // 4
    scores = detector.decision_scores_
    for own, (row, count) in enumerate(zip(rows.tolist(), counts, strict=True)):
        weights = np.array([1 - (ids == own).sum() / count for ids in held])
        assert weights.min() >= 0
        mean = (weights * [tree.path(row) for tree in trees]).sum() / weights.sum()
        at = counts[:own].sum()
        assert abs(scores[at : at + count] - 2 ** (-mean / naive.mean_search(size))).max() < 3e-6


def test_rows_in_all_trees_are_scored_by_all() -> None:
    detector = IForest(15, max_samples=50).fit(data(50))
    assert detector.decision_scores_.tobytes() == detector.decision_function(data(50)).tobytes()


def test_counts_weigh_what_trees_draw() -> None:
    detector = IForest(200, max_samples=16)
    detector.partial_fit(data(100), counts=np.where(np.arange(100) < 10, 91, 1))
    share = (held_ids(detector) < 10).mean()
    assert abs(share - 0.91) < 0.02
    few = IForest(50, max_samples=80).partial_fit(data(30), counts=np.full(30, 3))
    assert max(np.unique(ids, return_counts=True)[1].max() for ids in held_ids(few)) == 3, "no row more often than seen"


def test_a_memory_under_a_radius_knows_which_exemplar_stands_for_a_row() -> None:
    rng = np.random.default_rng(0)
    rows = (data(30, seed=1)[rng.integers(0, 30, 900)] * 9 + 0.01 * rng.normal(size=(900, 6))).astype(np.float32)
    detector = IForest(40, memory=CoverMemory(100, radius=0.5)).fit(rows)
    assert len(detector.memory) == 30
    assert detector.decision_scores_.shape == (900,)
    strange = (rng.normal(size=(200, 6)) * 30).astype(np.float32)
    assert detector.p_value(strange).mean() < 0.1 < detector.p_value(rows).mean()


def test_new_rows_replace_their_share_of_the_oldest_trees() -> None:
    detector = IForest(50).fit(data(900))
    first = detector.state_dict()["engine"]
    assert first["births"].tolist() == list(range(50))
    detector.partial_fit(data(1, seed=1))
    second = detector.state_dict()["engine"]
    assert second["births"].tolist() == [50, *range(1, 50)]
    for name in ("columns", "thresholds", "sizes", "samples"):
        assert (first[name][1:] == second[name][1:]).all()
    detector.partial_fit(data(99, seed=2))
    assert sorted(detector.state_dict()["engine"]["births"]) == list(range(6, 56))
    detector.partial_fit(data(1, seed=1))  # a repeat is a row, too
    assert sorted(detector.state_dict()["engine"]["births"]) == list(range(7, 57))
    before = digest(detector.state_dict()["engine"])
    detector.memory.remember_abnormal(data(1, seed=8))
    assert digest(detector.state_dict()["engine"]) == before


def test_forgotten_rows_are_in_no_tree() -> None:
    detector = IForest(60, max_samples=8).fit(data(200))
    gone = held_ids(detector)[:5, 0]
    n_stale = np.isin(held_ids(detector), gone).any(axis=1).sum()
    births = detector.state_dict()["engine"]["births"]
    detector.forget(gone)
    engine = detector.state_dict()["engine"]
    assert not np.isin(engine["samples"], gone).any()
    assert (engine["births"] != births).sum() == n_stale
    detector.memory.forget(engine["samples"][0])  # another that shares the memory forgets
    detector.decision_function(data(2))
    assert not np.isin(held_ids(detector), engine["samples"][0]).any()


def test_when_all_trees_are_replaced_the_forest_is_the_one_that_fit_grows() -> None:
    detector = IForest(20).fit(data(500))
    detector.forget(detector.memory.ids[:10])
    fresh = IForest(20).fit(data(500)[10:])
    assert detector.decision_function(data(20)).tobytes() == fresh.decision_function(data(20)).tobytes()
    small = IForest(20).fit(data(50))
    small.partial_fit(data(250, seed=1))  # a tree sees more rows now
    fresh.fit(np.concatenate([data(50), data(250, seed=1)]))
    assert small.decision_function(data(20)).tobytes() == fresh.decision_function(data(20)).tobytes()


@pytest.mark.parametrize("extension", [0, 2])
def test_reloaded_detector_continues_as_if_never_stopped(extension: int) -> None:
    first = IForest(20, extension=extension, memory=450, random_state=3).fit(data())
    second = IForest()
    second.load_state_dict(first.state_dict())
    queries = data(40, seed=8)
    for step in range(4):
        for detector in (first, second):
            detector.partial_fit(data(30, seed=10 + step))
            detector.forget(detector.memory.ids[:2])
        assert first.decision_function(queries).tobytes() == second.decision_function(queries).tobytes()
        assert first.p_value(queries).tobytes() == second.p_value(queries).tobytes()
        assert digest(first.state_dict()) == digest(second.state_dict())
    with pytest.raises(NotReadyError, match="training scores are not saved"):
        _ = second.decision_scores_


def test_reloaded_after_all_was_forgotten_it_continues_as_if_never_stopped() -> None:
    first, second = IForest(20).fit(data()), IForest()
    first.forget(first.memory.ids[1:])
    with pytest.raises(NotReadyError, match="needs 2"):
        first.decision_function(data(2))
    second.load_state_dict(first.state_dict())
    for detector in (first, second):
        detector.partial_fit(data(40, seed=1))
    assert digest(first.state_dict()) == digest(second.state_dict())
    assert first.decision_function(data(20)).tobytes() == second.decision_function(data(20)).tobytes()


def test_detectors_that_share_a_memory_follow_it() -> None:
    memory = FeatureMemory(1000)
    one, two = IForest(20, memory=memory).fit(data()), IForest(20, memory=memory)
    two.partial_fit(data(30, seed=2))
    assert sorted(one.state_dict()["engine"]["births"])[-1] == 21
    assert one.decision_function(data(5)).shape == (5,)


def test_the_seed_decides() -> None:
    scores = [IForest(random_state=seed).fit(data()).decision_function(data(9)).tobytes() for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize("extension", [0, 1, 9])
@pytest.mark.parametrize(
    "rows",
    [
        np.full((50, 3), 2.5),
        np.zeros((2, 1)),
        np.array([[0.0], [1.0]]),
        np.repeat([[1.0, 2.0], [1.0, 3.0]], 40, axis=0),
        data(90, width=1),
        data(90, width=4) * [1, 0, 0, 0],
        data(300, width=3).clip(-3, 3) * 1e38,
        data(300, width=3) * 1e-44,
        np.array([[3.4e38, -3.4e38], [-3.4e38, 3.4e38]] * 9),
        np.array([[1.0], [np.nextafter(np.float32(1.0), np.float32(2.0))]] * 9),
    ],
    ids=[
        "equal",
        "two equal",
        "two",
        "two values",
        "width 1",
        "constant columns",
        "1e38",
        "1e-44",
        "max",
        "neighbours",
    ],
)
def test_odd_rows_have_finite_scores(rows: np.ndarray, extension: int) -> None:
    detector = IForest(30, extension=extension).fit(rows)
    more = np.concatenate([rows, rows[::-1] / 2, np.full((1, rows.shape[1]), 3e38)])
    scores = detector.decision_function(more)
    assert np.isfinite(scores).all()
    assert ((scores > 0) & (scores <= 1)).all()
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.p_value(more)).all()
    second = IForest()
    second.load_state_dict(detector.state_dict())
    assert second.decision_function(more).tobytes() == scores.tobytes()
    shares = sum(share for _, share in detector.explain(more[:1], n_features=9)[0].features)
    assert shares == pytest.approx(1) or (shares == 0 and (rows == rows[0]).all())


def test_rows_that_are_all_equal_score_alike() -> None:
    detector = IForest().fit(np.full((50, 3), 2.5))
    assert len(set(detector.decision_function(data(20, width=3)).tolist())) == 1


@pytest.mark.parametrize("extension", [0, 1])
def test_units_do_not_matter(extension: int) -> None:
    rows, queries, units = data(300, 3), data(50, 3, seed=1), np.float32([1, 2**40, 2**-40])
    scores = IForest(extension=extension).fit(rows).decision_function(queries)
    scaled = IForest(extension=extension).fit(rows * units).decision_function(queries * units)
    assert np.abs(scores - scaled).max() < 1e-6


@pytest.mark.parametrize("extension", [0, 1])
def test_explain_names_the_column_that_sets_a_row_apart(extension: int) -> None:
    detector = IForest(extension=extension).fit(data(1000))
    rows = data(12, seed=5) * 0.5
    strange = np.arange(12) % 6
    rows[np.arange(12), strange] = 8
    for reason, column in zip(detector.explain(rows), strange, strict=True):
        assert reason.features[0][0] == column
        assert reason.features[0][1] > 0.25
        assert reason.nearest


def test_wrong_settings_say_what_is_wanted() -> None:
    for wrong in (
        {"n_estimators": 0},
        {"n_estimators": 2.5},
        {"max_samples": "all"},
        {"max_samples": 1},
        {"max_samples": 1.5},
        {"max_samples": 10**6},
        {"extension": -1},
        {"random_state": None},
        {"random_state": -1},
        {"contamination": 0},
    ):
        with pytest.raises(SettingsError, match=r"wants .*got"):
            IForest(**wrong)  # type: ignore[arg-type]
    detector = IForest(np.int64(9), max_samples=np.int32(7)).fit(data(20))
    assert detector.settings() == {
        "n_estimators": 9, "max_samples": 7, "extension": 0, "contamination": 0.1, "random_state": 0,
    }  # fmt: skip
    with pytest.raises(ShapeMismatchError):
        detector.decision_function(data(3, width=5))


@pytest.mark.parametrize("extension", [0, 2])
def test_hostile_states_are_refused_and_change_nothing(extension: int) -> None:
    detector = IForest(8, extension=extension).fit(data(40))
    before = digest(detector.state_dict())

    def spoiled(name: str, change: Any) -> dict[str, Any]:
        tree = detector.state_dict()
        tree["engine"][name] = change(tree["engine"][name])
        return tree

    def put(value: float, *place: int) -> Any:
        def change(array: np.ndarray) -> np.ndarray:
            array[place] = value
            return array

        return change

    finite = int(np.flatnonzero(np.isfinite(detector.state_dict()["engine"]["thresholds"][3]))[-1])
    endless = int(np.flatnonzero(np.isinf(detector.state_dict()["engine"]["thresholds"][3]))[0])
    wrong = [
        ("columns", put(6, 3, 1, 0)),
        ("columns", put(-1, 3, 1, 0)),
        ("columns", lambda a: a.astype(np.int64)),
        ("columns", lambda a: a[:, :-1]),
        ("columns", lambda a: a[:-1]),
        ("columns", lambda a: a.tolist()),
        ("thresholds", put(np.nan, 3, 1)),
        ("thresholds", put(-np.inf, 3, 1)),
        ("thresholds", put(np.inf, 3, 0)),
        ("thresholds", put(np.inf, 3, finite)),
        ("thresholds", put(0.0, 3, endless)),
        ("thresholds", lambda a: a.astype(np.float16)),
        ("sizes", put(-1, 0, 0)),
        ("sizes", put(99, 0, 0)),
        ("sizes", lambda a: a[:, ::-1].copy()),
        ("sizes", lambda a: None),
        ("samples", put(10**6, 1, 1)),
        ("samples", lambda a: a[:, ::-1].copy()),
        ("samples", lambda a: a[:, :-1]),
        ("births", put(5, 6)),
        ("births", put(-5, 6)),
        ("births", put(np.iinfo(np.int64).max, 6)),
        ("births", lambda a: a.astype(np.float64)),
    ]
    if extension:
        wrong += [("weights", put(np.nan, 0, 0, 0)), ("weights", lambda a: a[..., :1])]
    for name, change in wrong:
        with pytest.raises(CorruptStateError, match=name):
            detector.load_state_dict(spoiled(name, change))
    tree = detector.state_dict()
    del tree["engine"]["columns"]
    with pytest.raises(CorruptStateError, match="columns"):
        detector.load_state_dict(tree)
    tree = detector.state_dict()
    tree["settings"]["n_estimators"] = 10**12
    with pytest.raises(CorruptStateError):
        detector.load_state_dict(tree)
    assert digest(detector.state_dict()) == before


def test_rows_that_no_tree_tells_apart_are_tied_seen_or_unseen() -> None:
    same = np.ones((50, 4), dtype=np.float32)
    assert (IForest().fit(same).p_value(same) == 1.0).all()

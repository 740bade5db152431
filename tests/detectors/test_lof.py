from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pyod.models.lof import LOF as PyodLOF
from sklearn.neighbors import LocalOutlierFactor

from jamais.detectors.lof import LOF
from jamais.errors import InputError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.memory import CoverMemory, FeatureMemory

CLOSE = 1e-12  # relative; asked for are 1e-5


def data(n: int = 300, width: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def repeated(n: int = 200, seed: int = 0) -> np.ndarray:
    return np.repeat(data(n, seed=seed), np.random.default_rng(seed).integers(1, 5, n), axis=0)


def peer(rows: np.ndarray, k: int) -> Any:
    return LocalOutlierFactor(min(k, len(rows) - 1), novelty=True).fit(rows.astype(np.float64))


def naive(rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """LOF as the paper has it, one row after the other."""
    wide, k = rows.astype(np.float64), min(k, len(rows) - 1)
    gaps = [np.sqrt(((wide - row) ** 2).sum(axis=1)) for row in wide]
    lists = [[j for j in np.argsort(gap, kind="stable") if j != i][:k] for i, gap in enumerate(gaps)]
    reach = np.array([gap[near[-1]] for gap, near in zip(gaps, lists, strict=True)])

    def density(gap: np.ndarray, near: Any) -> float:
        return float(1.0 / (np.maximum(gap[near], reach[near]).mean() + 1e-10))

    known = np.array([density(gap, near) for gap, near in zip(gaps, lists, strict=True)])
    scores = []
    for query in queries.astype(np.float64):
        gap = np.sqrt(((wide - query) ** 2).sum(axis=1))
        near = np.argsort(gap, kind="stable")[:k]
        scores.append(known[near].mean() / density(gap, near))
    return np.array(scores)


@pytest.mark.parametrize("make", [data, repeated])
@pytest.mark.parametrize("k", [1, 5, 20, 300])
def test_scores_are_those_of_scikit_learn_and_the_paper(make: Any, k: int) -> None:
    rows = make(200)
    queries = np.concatenate([data(40, seed=2) * 2, rows[:9] + np.float32(1e-3)])
    detector, other = LOF(k).fit(rows), peer(rows, k)
    assert detector.decision_function(queries) == pytest.approx(-other.score_samples(queries.astype(float)), rel=CLOSE)
    assert detector.decision_scores_ == pytest.approx(-other.negative_outlier_factor_, rel=CLOSE)
    assert detector.decision_function(queries) == pytest.approx(naive(rows, queries, k), rel=CLOSE)


def test_scores_agree_with_pyod_within_its_32_bit_distances() -> None:
    rows, queries = data(400, 16), data(50, 16, seed=3)
    theirs = PyodLOF(n_neighbors=20, novelty=True).fit(rows)
    detector = LOF(n_neighbors=20).fit(rows)
    assert detector.decision_function(queries) == pytest.approx(theirs.decision_function(queries), rel=1e-5)
    assert detector.decision_scores_ == pytest.approx(theirs.decision_scores_, rel=1e-5)
    assert detector.threshold_ == pytest.approx(theirs.threshold_, rel=1e-5)
    assert (detector.labels_ == theirs.labels_).all()


def test_a_count_is_as_many_rows() -> None:
    rows, counts = data(60), np.random.default_rng(3).integers(1, 30, 60)
    memory = FeatureMemory()
    memory.add(rows, counts)
    whole = LOF(20).fit(np.repeat(rows, counts, axis=0))
    queries = data(40, seed=4)
    detector = LOF(20, memory=memory)
    assert detector.decision_function(queries).tobytes() == whole.decision_function(queries).tobytes()
    detector.fit(force=True)
    assert detector.decision_scores_.tobytes() == whole.decision_scores_.tobytes()


@pytest.mark.parametrize("make", [data, repeated])
@pytest.mark.parametrize(("n", "k"), [(60, 5), (60, 20), (21, 20), (22, 20), (12, 20), (4, 2), (3, 20)])
def test_unseen_scores_are_those_of_a_fit_without_the_row(make: Any, n: int, k: int) -> None:
    rows = make(n)
    detector = LOF(k).fit(rows)
    wanted = [LOF(k).fit(np.delete(rows, i, axis=0))._scores(rows[i : i + 1])[0] for i in range(len(rows)) if n > 3]
    if n == 3:  # a fit wants three rows, but two can score
        for i in range(len(rows)):
            memory = FeatureMemory()
            memory.add(np.delete(rows, i, axis=0))
            wanted.append(LOF(k, memory=memory).decision_function(rows[i : i + 1])[0])
    assert detector.unseen_scores(rows) == pytest.approx(np.array(wanted), rel=CLOSE)
    assert (detector.unseen_scores(rows[::-1]) == detector.unseen_scores(rows)[::-1]).all()


def test_unseen_scores_take_one_row_from_the_exemplar_that_stands_for_it() -> None:
    rows = data(300, 3)
    detector = LOF(10, memory=CoverMemory(1000, radius=0.5)).fit(rows)
    memory = detector.memory
    assert len(memory) < 200
    gaps = np.sqrt(((rows[:, None].astype(float) - memory.rows) ** 2).sum(axis=2))
    for i in range(0, 300, 7):
        counts, own = memory.counts, int(gaps[i].argmin())
        counts[own] -= gaps[i, own] <= memory.normal.reach
        less = FeatureMemory()
        less.add(memory.rows[counts > 0], counts[counts > 0])
        wanted = LOF(10, memory=less).decision_function(rows[i : i + 1])
        assert detector.unseen_scores(rows[i : i + 1]) == pytest.approx(wanted, rel=CLOSE)


def test_a_calibration_row_that_is_gone_scores_as_a_new_one() -> None:
    detector = LOF(5).fit(data())
    gone = detector.memory.calibration.rows[:4].copy()
    detector.memory.normal.forget(detector.memory.ids[(detector.memory.rows[:, None] == gone).all(axis=2).any(axis=1)])
    assert len(detector.memory) == 296
    assert detector.unseen_scores(gone).tobytes() == detector.decision_function(gone).tobytes()


def test_repeats_and_equal_rows_have_finite_scores() -> None:
    rows = np.ones((30, 4), np.float32)
    detector = LOF(5).fit(rows)
    assert (detector.decision_scores_ == 1.0).all()
    assert detector.decision_function(rows[:2]) == pytest.approx([1.0, 1.0], rel=1e-9)
    assert np.isfinite(detector.decision_function(rows[:2] + 1e30)).all()
    assert detector.unseen_scores(rows[:1]) == pytest.approx([1.0], rel=1e-9)
    detector.partial_fit(data(3, 4))
    assert np.isfinite(detector.decision_function(np.concatenate([rows, data(30, 4)]))).all()
    assert np.isfinite(detector.p_value(data(5, 4))).all()


@pytest.mark.parametrize(
    ("spread", "at"), [(1e-42, 0.0), (1e-30, 0.0), (1e-3, 50.0), (1e-5, 50.0), (1e9, 50.0), (1e37, 0.0)]
)
def test_no_scale_and_no_distance_is_too_large_or_too_small(spread: float, at: float) -> None:
    rows = (data(150, 6).astype(np.float64) * spread + at).astype(np.float32)
    rows[3] += np.float32(min(spread * 1e6, 1e37))  # a far row in the memory must blur nothing
    far = np.full((1, 6), 3e38, np.float32)
    queries = np.concatenate([data(20, 6, seed=1) * np.float32(spread) + np.float32(at), rows[:5], far, -far])
    detector = LOF(4).fit(np.unique(rows, axis=0))
    assert detector.decision_function(queries) == pytest.approx(naive(detector.memory.rows, queries, 4), rel=1e-9)


@pytest.mark.parametrize("small", [{"_ROWS": 7}, {"_COLUMNS": 64}, {"_PAIRS": 300}, {"_CHUNKS_PER_NEIGHBOUR": 1}])
def test_how_the_product_is_cut_changes_no_bit(small: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from jamais.detectors.lof import candidates

    def results() -> list[bytes]:
        detector = LOF(6).fit(repeated(180))
        detector.partial_fit(data(90, seed=8))
        detector.forget(np.arange(0, 100, 3))
        scores = [detector.decision_function(data(50, seed=5)), detector.decision_scores_, detector.p_value(data(9))]
        return [one.tobytes() for one in scores]

    before = results()
    for name, value in small.items():
        monkeypatch.setattr(candidates, name, value)
    assert results() == before


@pytest.mark.parametrize("kind", ["random", "grid", "near repeats"])
def test_a_row_alone_has_the_bits_of_a_row_in_a_batch(kind: str) -> None:
    rng = np.random.default_rng(4)
    if kind == "grid":
        rows = rng.integers(0, 4, size=(300, 3)).astype(np.float32)
    elif kind == "random":
        rows = data(300, 40)
    else:
        rows = (data(6, 40)[rng.integers(0, 6, 300)] * 50 + 1e-4 * rng.normal(size=(300, 40))).astype(np.float32)
    detector = LOF(8).fit(rows[:250])
    together = detector.decision_function(rows)
    assert together.tobytes() == np.concatenate([detector.decision_function(row[None]) for row in rows]).tobytes()
    assert together[::-1].tobytes() == detector.decision_function(rows[::-1]).tobytes()


def test_explain_says_how_dense_it_is_and_which_columns_are_far() -> None:
    detector = LOF(10).fit(data())
    query = data(2, seed=6)
    query[1, 4] += 30
    usual, strange = detector.explain(query)
    assert strange.abnormal
    assert strange.features[0][0] == 4
    assert strange.features[0][1] > 0.9
    assert strange.details["neighbour_density"] / strange.details["density"] == pytest.approx(strange.score)
    assert strange.details["k_distance"] > usual.details["k_distance"] > usual.nearest[0].distance


def test_few_rows_and_wrong_settings_say_what_is_wanted() -> None:
    detector = LOF()
    with pytest.raises(NotReadyError, match="fit"):
        detector.decision_function(data(2))
    with pytest.raises(NotReadyError, match="needs 3"):
        detector.fit(data(2))
    detector.partial_fit(data(1), counts=np.array([2]))
    assert np.isfinite(detector.decision_function(data(3))).all()
    assert detector.p_value(data(3)).shape == (3,)
    with pytest.raises(ShapeMismatchError):
        detector.decision_function(data(3, width=5))
    with pytest.raises(InputError, match="finite"):
        detector.decision_function(np.full((1, 7), np.nan))
    for wrong in ({"n_neighbors": 0}, {"n_neighbors": 2.5}, {"n_neighbors": True}, {"contamination": 0.9}):
        with pytest.raises(SettingsError):
            LOF(**wrong)


def test_importing_the_detector_imports_neither_torch_nor_scikit_learn() -> None:
    code = "import sys, jamais.detectors.lof; print({'torch', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

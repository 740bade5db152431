from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import jamais.detectors
from jamais.detectors.detector import Detector
from jamais.detectors.knn import KNN
from jamais.detectors.sklearn_face import fitted
from jamais.errors import MissingExtraError
from jamais.memory.cover import CoverMemory
from jamais.memory.feature_memory import FeatureMemory
from jamais.testing import digest

KINDS = [getattr(jamais.detectors, name) for name in jamais.detectors.__all__ if name != "Detector"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def data(n: int = 200, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


def with_outliers() -> tuple[np.ndarray, np.ndarray]:
    rows = np.concatenate([data(180), data(20, seed=1) * 5])
    truth = np.repeat([1, -1], [180, 20])
    order = np.random.default_rng(2).permutation(200)
    return rows[order], truth[order]


@every_kind
def test_scikit_learns_own_checks_pass(kind: type[Detector]) -> None:
    for estimator, check in estimator_checks_generator(kind().as_sklearn()):
        if check.func.__name__ != "check_array_api_input":  # wants an environment variable before SciPy is imported
            check(estimator)


@every_kind
def test_scores_are_those_of_the_detector_with_the_other_sign(kind: type[Detector]) -> None:
    rows, truth = with_outliers()
    detector, estimator = kind().fit(rows), kind().as_sklearn().fit(rows)
    queries = data(50, seed=3) * 2
    assert estimator.score_samples(queries).tobytes() == (-detector.decision_function(queries)).tobytes()
    assert (
        estimator.decision_function(queries).tolist() == (estimator.score_samples(queries) - estimator.offset_).tolist()
    )
    assert (estimator.predict(queries) == np.where(estimator.decision_function(queries) >= 0, 1, -1)).all()
    assert estimator.p_value(queries).tolist() == detector.p_value(queries).tolist()
    assert roc_auc_score(truth, estimator.score_samples(rows)) > 0.9
    assert (estimator.fit_predict(rows) == -1).sum() == pytest.approx(20, abs=1)
    assert estimator.n_features_in_ == 6


@every_kind
def test_settings_survive_clone_and_come_from_the_detector(kind: type[Detector]) -> None:
    estimator = kind(contamination=0.2, memory=70).as_sklearn()
    assert estimator.get_params()["contamination"] == 0.2
    assert estimator.get_params()["memory"] == 70
    twin = clone(estimator)
    assert twin.get_params() == estimator.get_params()
    assert type(twin) is type(estimator)
    assert twin.set_params(contamination=0.05).fit(data()).detector_.contamination == 0.05
    assert len(twin.detector_.memory) <= 70


@every_kind
def test_pickle_joblib_and_copy_keep_every_bit(kind: type[Detector], tmp_path: Path) -> None:
    estimator = kind().as_sklearn().fit(data())
    joblib.dump(estimator, tmp_path / "kept")
    queries = data(30, seed=4)
    wanted = estimator.decision_function(queries)
    for back in (pickle.loads(pickle.dumps(estimator)), joblib.load(tmp_path / "kept"), copy.deepcopy(estimator)):
        assert type(back) is type(estimator)
        assert back.decision_function(queries).tobytes() == wanted.tobytes()
        back.partial_fit(queries)
    assert estimator.decision_function(queries).tobytes() == wanted.tobytes()


@every_kind
def test_learning_more_follows_the_detector_and_an_alarm_rate_moves_the_offset(kind: type[Detector]) -> None:
    estimator = kind().as_sklearn().partial_fit(data())
    offset = estimator.offset_
    assert estimator.partial_fit(data(50, seed=5)).offset_ == offset
    assert int(estimator.detector_.memory.counts.sum()) == 250
    assert estimator.set_alarm_rate(0.02) is estimator
    assert estimator.offset_ == -estimator.detector_.threshold_
    assert (estimator.predict(data(400, seed=6)) == -1).mean() < 0.08
    estimator.partial_fit(data(50, seed=7))
    assert estimator.offset_ == -estimator.detector_.threshold_
    assert estimator.fit(data()).offset_ == offset


def test_it_works_inside_pipelines_searches_and_cross_validation() -> None:
    rows, truth = with_outliers()
    pipeline = make_pipeline(StandardScaler(), KNN().as_sklearn())
    assert roc_auc_score(truth, pipeline.fit(rows).decision_function(rows)) > 0.9
    found = cross_val_predict(pipeline, rows, cv=4, method="decision_function")
    assert roc_auc_score(truth, found) > 0.9
    grid = {"n_neighbors": [1, 5], "contamination": [0.05, 0.1]}
    search = GridSearchCV(KNN().as_sklearn(), grid, scoring="roc_auc", cv=3, error_score="raise", n_jobs=1)
    assert search.fit(rows, truth).best_score_ > 0.9
    assert set(search.best_params_) == set(grid)


@pytest.mark.slow
def test_worker_processes_find_the_class() -> None:
    rows, truth = with_outliers()
    grid = {"n_neighbors": [1, 5]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of workers that start or stop
        search = GridSearchCV(KNN().as_sklearn(), grid, scoring="roc_auc", cv=3, error_score="raise", n_jobs=2)
        assert search.fit(rows, truth).best_score_ > 0.9


def test_data_frames_give_their_column_names() -> None:
    names = [f"c{i}" for i in range(6)]
    frame = pd.DataFrame(data(), columns=names)
    estimator = KNN().as_sklearn().fit(frame)
    assert estimator.feature_names_in_.tolist() == names
    assert estimator.predict(frame[:5]).tolist() == estimator.fit(pl.from_pandas(frame)).predict(frame[:5]).tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[names[::-1]])


def test_the_estimator_of_a_fitted_detector_is_unfitted_and_leaves_it_alone() -> None:
    detector = KNN(n_neighbors=3, memory=60).fit(data(50))
    before = digest(detector.state_dict())
    estimator = detector.as_sklearn()
    with pytest.raises(NotFittedError):
        estimator.predict(data(3))
    estimator.fit(data(40, width=4))
    assert digest(detector.state_dict()) == before
    assert estimator.detector_ is not detector


def test_a_fitted_detector_can_be_wrapped_as_it_is() -> None:
    detector = KNN().fit(data()).set_alarm_rate(0.05)
    estimator, queries = fitted(detector), data(100, seed=8) * 1.5
    assert estimator.detector_ is detector
    assert ((estimator.predict(queries) == -1) == (detector.predict(queries) == 1)).all()
    detector.partial_fit(queries)
    assert estimator.score_samples(queries).tolist() == (-detector.decision_function(queries)).tolist()


def test_a_memory_given_as_a_parameter_is_copied_never_filled() -> None:
    given = FeatureMemory(CoverMemory(30, radius=1.5), calibration=50, seed=3)
    estimator = KNN(memory=given).as_sklearn()
    first = estimator.fit(data()).decision_function(data(20, seed=9))
    kept = estimator.get_params()["memory"]
    assert len(given) == len(kept) == 0
    assert kept.normal.radius == 1.5
    assert kept.calibration.capacity == 50
    assert estimator.detector_.memory.normal.radius >= 1.5
    assert estimator.fit(data()).decision_function(data(20, seed=9)).tobytes() == first.tobytes()


def test_a_pickle_from_before_a_setting_existed_gets_its_default() -> None:
    make, arguments, state = KNN(n_neighbors=3).as_sklearn().__reduce__()
    del state["metric"]
    old = make(*arguments)
    old.__setstate__(state)
    assert old.get_params() == KNN(n_neighbors=3).as_sklearn().get_params()
    assert old.fit(data()).predict(data()).shape == (200,)


def test_one_neighbour_still_gives_an_offset_that_lets_new_rows_pass() -> None:
    estimator = KNN(n_neighbors=1).as_sklearn().fit(data())
    assert 0.03 < (estimator.predict(data(500, seed=10)) == -1).mean() < 0.25


def test_too_few_rows_say_how_many_there_were() -> None:
    with pytest.raises(ValueError, match="n_samples = 4"):
        KNN().as_sklearn().fit(data(4))
    with pytest.raises(ValueError, match="contamination"):
        KNN().as_sklearn().set_params(contamination=0.9).fit(data())


def test_importing_detectors_imports_no_scikit_learn() -> None:
    code = "import sys, jamais.detectors.knn, jamais.detectors.sklearn_face; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unusual(KNN):
        """A class whose estimator was not made before."""

    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(MissingExtraError, match=r"Unusual\.as_sklearn.*jamais\[sklearn\]"):
        Unusual().as_sklearn()


def test_a_detector_of_ones_own_has_an_estimator_too() -> None:
    class Own(KNN):
        def __init__(self, n_neighbors: int = 2, contamination: float = 0.1, memory: Any = None) -> None:
            super().__init__(n_neighbors, contamination=contamination, memory=memory)

        def settings(self) -> dict[str, Any]:
            return {"n_neighbors": self.n_neighbors, "contamination": self.contamination}

    assert clone(Own(3).as_sklearn()).fit(data()).detector_.n_neighbors == 3

"""PyOD's documented usage (README and examples of PyOD 3), with our classes in place of theirs."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.base import clone

import jamais.detectors
from jamais.detectors.detector import Detector
from jamais.detectors.knn import KNN
from jamais.detectors.training import Training
from jamais.errors import NotReadyError, SettingsError
from jamais.testing import digest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what PyOD imports
    from pyod.models.base import BaseDetector
    from pyod.utils.data import evaluate_print, generate_data
    from pyod.utils.example import visualize
    from pyod.utils.persistence import load, save

KINDS = [getattr(jamais.detectors, name) for name in jamais.detectors.__all__ if name != "Detector"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def pyods_data(n_train: int = 200) -> Any:
    return generate_data(n_train=n_train, n_test=100, n_features=2, contamination=0.1, random_state=42)


@every_kind
def test_the_quick_start_of_the_readme(kind: type[Detector], capsys: pytest.CaptureFixture[str]) -> None:
    contamination = 0.1  # percentage of outliers
    n_train = 200  # number of training points
    n_test = 100  # number of testing points

    # generate sample data
    X_train, X_test, y_train, y_test = generate_data(
        n_train=n_train, n_test=n_test, n_features=2, contamination=contamination, random_state=42
    )

    # train kNN detector
    clf_name = "KNN"
    clf = kind()
    clf.fit(X_train)

    # get the prediction label and outlier scores of the training data
    y_train_pred = clf.labels_  # binary labels (0: inliers, 1: outliers)
    y_train_scores = clf.decision_scores_  # raw outlier scores

    # get the prediction on the test data
    y_test_pred = clf.predict(X_test)  # outlier labels (0 or 1)
    y_test_scores = clf.decision_function(X_test)  # outlier scores

    # it is possible to get the prediction confidence as well
    y_test_pred, y_test_pred_confidence = clf.predict(X_test, return_confidence=True)

    # evaluate and print the results
    print("\nOn Training Data:")
    evaluate_print(clf_name, y_train, y_train_scores)
    print("\nOn Test Data:")
    evaluate_print(clf_name, y_test, y_test_scores)
    printed = capsys.readouterr().out
    assert printed.count("KNN ROC:") == 2
    if kind.__name__ in ("KNN", "LOF", "IForest"):  # those that PyOD has, too
        assert "On Test Data:\nKNN ROC:1.0, precision @ rank n:1.0" in printed
    assert y_train_pred.shape == y_train_scores.shape == (200,)
    assert y_train_pred.sum() == pytest.approx(20, abs=1)
    assert set(y_test_pred) == {0, 1}
    assert ((y_test_pred_confidence >= 0) & (y_test_pred_confidence <= 1)).all()


@every_kind
def test_the_five_lines_of_the_readme(kind: type[Detector]) -> None:
    X_train, X_test, _, _ = pyods_data()
    clf = kind()
    clf.fit(X_train)
    y_train_scores = clf.decision_scores_  # training anomaly scores
    y_test_scores = clf.decision_function(X_test)  # test anomaly scores
    assert y_train_scores.shape == (200,)
    assert y_test_scores.shape == (100,)


@every_kind
def test_every_line_of_the_cheat_sheet(kind: type[Detector]) -> None:
    X_train, X_test, y_train, _ = pyods_data()
    clf = kind(contamination=0.1)
    assert clf.fit(X_train, y_train) is clf  # y is ignored
    assert (clf.labels_ == (clf.decision_scores_ > clf.threshold_)).all()
    assert (clf.predict(X_test) == (clf.decision_function(X_test) > clf.threshold_)).all()
    for arguments in ({}, {"method": "linear"}, {"method": "unify"}):
        proba, sure = clf.predict_proba(X_test, return_confidence=True, **arguments)
        assert proba.shape == (100, 2)
        assert np.abs(proba.sum(axis=1) - 1).max() < 1e-12
        assert proba.min() >= 0
        assert sure.tolist() == clf.predict_confidence(X_test).tolist()
    assert set(clf.predict_with_rejection(X_test, T=5)) <= {-2, 0, 1}
    assert clf.fit_predict(X_train).tolist() == clf.labels_.tolist()
    assert clf.get_params()["contamination"] == 0.1
    assert clf.set_params(contamination=0.2).fit(X_train).labels_.sum() == pytest.approx(40, abs=1)
    assert type(clf).__name__ in repr(clf)
    assert "contamination=0.2" in repr(clf)


@every_kind
def test_pyods_pictures_can_be_drawn(kind: type[Detector], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    X_train, X_test, y_train, y_test = pyods_data()
    clf = kind().fit(X_train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        visualize("KNN", X_train, y_train, X_test, y_test, clf.labels_, clf.predict(X_test), show_figure=False)
    plt.close("all")


@every_kind
def test_joblib_pickle_and_pyods_own_save_keep_every_bit(kind: type[Detector], tmp_path: Path) -> None:
    X_train, X_test, _, _ = pyods_data()
    clf = kind().fit(X_train)
    joblib.dump(clf, tmp_path / "clf.joblib")
    save(clf, tmp_path / "clf.pyod.joblib", metadata={"dataset": "demo"})
    copies = [
        joblib.load(tmp_path / "clf.joblib"),
        load(tmp_path / "clf.pyod.joblib", trusted=True),
        pickle.loads(pickle.dumps(clf)),
    ]
    for copied in copies:
        assert copied.decision_function(X_test).tobytes() == clf.decision_function(X_test).tobytes()
        assert copied.decision_scores_.tobytes() == clf.decision_scores_.tobytes()
        assert digest(copied.state_dict()) == digest(clf.state_dict())


# (An ensemble makes its members from what it is given, so `clone` wants its `as_sklearn()`.)
@pytest.mark.parametrize("kind", [one for one in KINDS if one.__name__ != "Ensemble"], ids=lambda kind: kind.__name__)
def test_scikit_learn_clones_it(kind: type[Detector]) -> None:
    twin = clone(kind(contamination=0.2).fit(pyods_data()[0]))
    assert twin.get_params() == kind(contamination=0.2).get_params()
    with pytest.raises(NotReadyError):
        twin.decision_function(np.zeros((1, 2)))


class GivenScores(BaseDetector):  # type: ignore[misc]
    """PyOD's base class over scores that are given: column 0 of X."""

    def __init__(self, contamination: float) -> None:
        super().__init__(contamination=contamination)

    def fit(self, X: Any, y: object = None) -> GivenScores:
        self.decision_scores_ = X[:, 0]
        self._set_n_classes(None)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> Any:
        return X[:, 0]


def beside_pyod(n: int, contamination: float = 0.1) -> tuple[KNN, GivenScores, np.ndarray, np.ndarray]:
    """Fit KNN and give PyOD's base class its scores; return both, queries, and their scores as a column."""
    rows = np.random.default_rng(n).normal(size=(n, 3))
    queries = np.concatenate([np.random.default_rng(0).normal(size=(300, 3)) * 1.3, rows[:50]])
    ours = KNN(contamination=contamination).fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GivenScores(contamination=contamination).fit(ours.decision_scores_[:, None])
    return ours, theirs, queries, ours.decision_function(queries)[:, None]


@pytest.mark.parametrize("n", [40, 200, 1000])
@pytest.mark.parametrize("contamination", [0.05, 0.1, 0.5])
def test_probabilities_and_confidence_are_pyods_own(n: int, contamination: float) -> None:
    ours, theirs, queries, scores = beside_pyod(n, contamination)
    assert ours.threshold_ == theirs.threshold_
    assert ours.labels_.tolist() == theirs.labels_.tolist()
    for method in ("linear", "unify"):
        gap = ours.predict_proba(queries, method=method) - theirs.predict_proba(scores, method=method)
        assert np.abs(gap).max() < 1e-9
    assert np.abs(ours.predict_confidence(queries) - theirs.predict_confidence(scores)).max() < 1e-9
    for T in (0.75, 2, 5, 32):
        assert (
            ours.predict_with_rejection(queries, T=T).tolist()
            == theirs.predict_with_rejection(scores, T, c_r=1).tolist()
        )


@pytest.mark.slow
@pytest.mark.parametrize("contamination", [0.01, 0.1])
def test_confidence_stays_near_pyods_where_not_all_scores_are_kept(contamination: float) -> None:
    ours, theirs, queries, scores = beside_pyod(20_000, contamination)
    assert ours.state_dict()["training"]["ranks"].size <= 1000
    assert np.abs(ours.predict_confidence(queries) - theirs.predict_confidence(scores)).max() < 0.01


@every_kind
def test_confidence_is_the_same_after_loading(kind: type[Detector]) -> None:
    X_train, X_test, _, _ = pyods_data()
    first, second = kind().fit(X_train), kind()
    second.load_state_dict(first.state_dict())
    assert second.predict_confidence(X_test).tobytes() == first.predict_confidence(X_test).tobytes()
    assert (
        second.predict_proba(X_test, method="unify").tobytes() == first.predict_proba(X_test, method="unify").tobytes()
    )
    with pytest.raises(NotReadyError, match="not saved"):
        second.decision_scores_  # noqa: B018


@given(n=st.integers(2, 5000), contamination=st.floats(0.001, 0.5), seed=st.integers(0, 99), digits=st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_ranks_are_counted_nearly_and_up_to_a_thousand_exactly(
    n: int, contamination: float, seed: int, digits: int
) -> None:
    scores = np.random.default_rng(seed).normal(size=n).round(digits)
    queries = np.concatenate([np.random.default_rng(seed + 1).normal(size=100).round(digits), scores[:50], [-99, 99]])
    counted = Training.of(scores, contamination).n_at_most(queries)
    wanted = (scores <= queries[:, None]).sum(axis=1)
    assert np.abs(counted - wanted).max() <= (0 if n <= 1000 else n / 499 + 1)


@given(n=st.integers(2, 10_000), share=st.floats(0.0001, 0.9999), place=st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_binomial_tails_are_scipys(n: int, share: float, place: float) -> None:
    from jamais.detectors.probabilities import _binomial_tails

    k = min(int(n * share), n - 1)
    p = np.array([(1 + place * n) / (n + 2)])
    more, not_more = _binomial_tails(n, k, p)
    assert more[0] == pytest.approx(binom.sf(k, n, p[0]), rel=1e-8, abs=1e-200)
    assert not_more[0] == pytest.approx(binom.cdf(k, n, p[0]), rel=1e-8, abs=1e-200)


def test_an_alarm_rate_changes_the_verdicts_that_confidence_is_about() -> None:
    ours, _, queries, scores = beside_pyod(1000)
    before = ours.predict_confidence(queries)
    ours.set_alarm_rate(0.01)
    after = ours.predict_confidence(queries)
    sure_before = (scores[:, 0] > np.quantile(ours.decision_scores_, 0.95)) & (ours.predict(queries) == 1)
    assert (before != after).any()
    assert (before[sure_before] > 0.9).all()


def test_settings_that_do_not_exist_are_refused_and_the_memory_stays() -> None:
    clf = KNN(n_neighbors=3).fit(pyods_data()[0])
    before = digest(clf.state_dict())
    with pytest.raises(SettingsError, match="no setting 'neighbours', but n_neighbors"):
        clf.set_params(neighbours=3)
    with pytest.raises(SettingsError, match="n_neighbors >= 1"):
        clf.set_params(n_neighbors=0)
    assert digest(clf.state_dict()) == before
    assert clf.set_params() is clf
    assert digest(clf.state_dict()) == before
    wanted = KNN(n_neighbors=7).fit(pyods_data()[0])
    clf.set_params(n_neighbors=7)
    queries = pyods_data()[1]
    assert clf.decision_function(queries).tobytes() == wanted.decision_function(queries).tobytes()
    with pytest.raises(NotReadyError, match="no threshold yet"):
        clf.predict(queries)
    assert clf.fit().threshold_ == wanted.threshold_

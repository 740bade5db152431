from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from jamais.detectors.iforest import IForest

Labelled = tuple[str, np.ndarray, np.ndarray]


def made_up() -> Iterator[Labelled]:
    """Ten sets with 5 % of rows that are none of the normal ones."""
    rng = np.random.default_rng(0)
    n, few = 950, 50

    def labelled(name: str, normal: np.ndarray, strange: np.ndarray) -> Labelled:
        return name, np.concatenate([normal, strange]), np.repeat([0, 1], [len(normal), len(strange)])

    for width in (2, 16, 64):
        yield labelled(f"blob {width}", rng.normal(size=(n, width)), rng.normal(size=(few, width)) * 1.8)
    centres = rng.normal(size=(8, 6)) * 6
    blobs = centres[rng.integers(0, 8, n)] + rng.normal(size=(n, 6))
    yield labelled("clusters", blobs, rng.uniform(-12, 12, size=(few, 6)))
    yield labelled("near clusters", blobs, centres[rng.integers(0, 8, few)] + 3 * rng.normal(size=(few, 6)))
    mixed = rng.normal(size=(n, 8)) @ rng.normal(size=(8, 8))
    yield labelled("correlated", mixed, rng.normal(size=(few, 8)) * mixed.std(axis=0) * 1.5)
    tailed = rng.standard_t(3, size=(n, 5))
    yield labelled("heavy tails", tailed, rng.standard_t(3, size=(few, 5)) + 3)
    yield labelled("counts", rng.poisson(3, size=(n, 10)), rng.poisson(6, size=(few, 10)))
    sparse = rng.normal(size=(n, 30)) * (rng.random((n, 30)) < 0.1)
    yield labelled("mostly zero", sparse, rng.normal(size=(few, 30)) * (rng.random((few, 30)) < 0.3))
    one = rng.normal(size=(n + few, 20))
    one[n:, 3] += 5
    yield labelled("one column of 20", one[:n], one[n:])


def bundled() -> Iterator[Labelled]:
    """Eleven sets of scikit-learn: one class is normal, and a few rows of the others are strange."""
    cancer = load_breast_cancer()
    yield "breast cancer", *_few_strange(cancer.data, 1 - cancer.target)
    for name, loaded, classes in (
        ("wine", load_wine(), (0, 1, 2)),
        ("iris", load_iris(), (0, 1)),
        ("digits", load_digits(), (0, 1, 3, 6, 9)),
    ):
        for own in classes:
            yield f"{name} {own}", *_few_strange(loaded.data, (loaded.target != own).astype(int))


def _few_strange(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    strange = np.random.default_rng(2).permutation(np.flatnonzero(labels))
    kept = np.concatenate([np.flatnonzero(labels == 0), strange[: max(10, int((labels == 0).sum()) // 8)]])
    return rows[kept], labels[kept]


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(roc_auc_score(labels, scores))


@pytest.mark.slow
@pytest.mark.parametrize("seen", ["normal rows", "all rows"])
def test_it_tells_rows_apart_as_well_as_scikit_learn_on_21_sets(seen: str) -> None:
    gaps = []
    for name, rows, labels in (*made_up(), *bundled()):
        data = rows.astype(np.float32)
        order = np.random.default_rng(1).permutation(len(data))
        data, labels = data[order], labels[order]
        half = np.arange(len(data)) % 2 == 0
        learned = data[half & (labels == 0)] if seen == "normal rows" else data
        asked, truth = (data[~half], labels[~half]) if seen == "normal rows" else (data, labels)
        ours, theirs = [], []
        for seed in range(5):
            ours.append(auroc(IForest(random_state=seed).fit(learned).decision_function(asked), truth))
            size = min(256, 3 * len(learned) // 4)
            peer = IsolationForest(max_samples=size, random_state=seed).fit(learned)
            theirs.append(auroc(-peer.score_samples(asked), truth))
        gaps.append(np.mean(ours) - np.mean(theirs))
        print(f"{name:>18} ours {np.mean(ours):.4f} scikit-learn {np.mean(theirs):.4f}")
    print(f"mean gap {np.mean(gaps):+.4f}")
    assert len(gaps) == 21
    assert abs(np.mean(gaps)) < 0.005


@pytest.mark.slow
def test_p_values_are_valid_before_and_after_fifty_rounds_of_learning() -> None:
    rng = np.random.default_rng(0)

    def normal(n: int) -> np.ndarray:
        return (rng.normal(size=(n, 8)) @ np.diag([1, 1, 2, 3, 1, 1, 1, 9])).astype(np.float32)

    asked = normal(20_000)
    detector = IForest().fit(normal(3000))
    for rounds in (0, 50):
        for _ in range(rounds):
            detector.partial_fit(normal(20))
        p = detector.p_value(asked)
        for alpha in (0.1, 0.05, 0.01):
            noise = 3 * np.sqrt(alpha / 2000 + alpha / 20_000)  # of 2,000 calibration rows and of those asked
            assert abs((p <= alpha).mean() - alpha) < 0.2 * alpha + noise


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200, 500])
def test_p_values_of_few_rows_are_valid_too(n: int) -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for seed in range(60):
        rows = rng.normal(size=(n + 300, 8)).astype(np.float32)
        p = IForest(random_state=seed).fit(rows[:n]).p_value(rows[n:])
        ratios.append((p <= 0.1).mean() / 0.1)
    noise = 3 * np.std(ratios) / np.sqrt(len(ratios))
    assert 0.8 - noise < np.mean(ratios) < 1 + noise


def test_scikit_learn_accepts_its_estimator() -> None:
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(IForest(n_estimators=20).as_sklearn(), on_fail=None, on_skip=None)
    failed = [one["check_name"] for one in results if one["status"] == "failed"]
    assert not failed


def test_the_usage_that_pyod_documents_runs() -> None:
    rng = np.random.default_rng(0)
    X_train = np.concatenate([rng.normal(size=(180, 2)), rng.uniform(-8, 8, size=(20, 2))])
    X_test = np.concatenate([rng.normal(size=(90, 2)), rng.uniform(-8, 8, size=(10, 2))])
    clf = IForest(contamination=0.1)
    clf.fit(X_train)
    assert clf.labels_.sum() == (clf.decision_scores_ > clf.threshold_).sum() == 20
    y_test_pred, confidence = clf.predict(X_test, return_confidence=True)
    assert y_test_pred[90:].mean() > 0.5 > y_test_pred[:90].mean()
    assert confidence.shape == (100,)
    assert clf.predict_proba(X_test).shape == (100, 2)
    assert auroc(clf.decision_function(X_test), np.repeat([0, 1], [90, 10])) > 0.8

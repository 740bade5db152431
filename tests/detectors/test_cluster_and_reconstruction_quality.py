"""Do clusters and reconstruction find outliers in real sets at least as well as PyOD's detectors of the same kind?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from jamais.detectors.cluster import Cluster
from jamais.detectors.reconstruction import Reconstruction

pytestmark = pytest.mark.slow
SEEDS = range(3)


def sets() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give rows to learn, rows to judge, and which of these are outliers, from what scikit-learn bundles."""
    from sklearn.datasets import load_breast_cancer, load_digits, load_wine

    cancer, wine, digits = (load(return_X_y=True) for load in (load_breast_cancer, load_wine, load_digits))
    parts = [(cancer[0], cancer[1] == 0), (wine[0], wine[1] == 0), *((digits[0], digits[1] == d) for d in (0, 3, 8))]
    for X, strange in parts:
        for seed in SEEDS:
            order = np.random.default_rng(seed).permutation(np.flatnonzero(~strange))
            learned, kept = order[: int(0.6 * len(order))], order[int(0.6 * len(order)) :]
            new = np.concatenate([kept, np.flatnonzero(strange)])
            mean, spread = X[learned].mean(axis=0), X[learned].std(axis=0)
            scaled = (X - mean) / np.where(spread > 0, spread, 1.0)
            yield scaled[learned], scaled[new], strange[new]


def auroc(strange: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(strange, np.nan_to_num(scores, posinf=1e300)))


def peer(name: str, learned: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Score with PyOD's CBLOF (with plain k-means where it raises) or PCA."""
    from pyod.models.cblof import CBLOF
    from pyod.models.pca import PCA
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "pca":
            return PCA(random_state=0).fit(learned).decision_function(new)
        try:
            return CBLOF(random_state=0).fit(learned).decision_function(new)
        except ValueError:
            return KMeans(8, n_init=1, random_state=0).fit(learned).transform(new).min(axis=1)


@pytest.mark.parametrize(("make", "name"), [(Cluster, "cblof"), (Reconstruction, "pca")])
def test_mean_auroc_is_not_below_that_of_pyod(make: type, name: str) -> None:
    pytest.importorskip("pyod")
    ours, theirs = [], []
    for learned, new, strange in sets():
        ours.append(auroc(strange, make().fit(learned).decision_function(new)))
        theirs.append(auroc(strange, peer(name, learned, new)))
    print(f"{name}: ours {np.mean(ours):.4f}, PyOD's {np.mean(theirs):.4f}")
    assert np.mean(ours) >= np.mean(theirs)
    assert np.mean(ours) > 0.8

"""What do classical detectors say, fitted on the train part only, with the settings that TSB-AD publishes for them?

Settings are `Optimal_Multi_algo_HP_dict` of TSB-AD (commit 8763009); TSB-AD fits these on all rows, here they see the
train part only. Where there are more windows to fit on than `FIT_WINDOWS`, evenly spaced ones are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Score = Callable[[Floats], Floats]
Fit = Callable[[Floats], Score]

FIT_WINDOWS = 4000
FIT_ROWS = 8000
CHUNK = 2000
WINDOW = 100


def random(train: Floats) -> Score:
    """Uniform noise: what a figure is worth."""
    del train
    return lambda rows: np.random.default_rng(0).random(len(rows))


def squared_norm(train: Floats) -> Score:
    """Mean square of the rows, every channel scaled by its own train part."""
    scale = scaler(train)
    return lambda rows: np.asarray((scale(rows) ** 2).mean(axis=1))


def pca_residual(train: Floats) -> Score:
    """What is left of a scaled row beside the components that hold 90 % of the variance; not one of TSB-AD's."""
    from sklearn.decomposition import PCA

    scale = scaler(train)
    model = PCA(n_components=0.9, svd_solver="full").fit(scale(train))

    def score(rows: Floats) -> Floats:
        scaled = scale(rows)
        left = scaled - model.inverse_transform(model.transform(scaled))
        return np.asarray((left**2).sum(axis=1))

    return score


def pca_points(train: Floats) -> Score:
    """TSB-AD's PCA on single rows, as published at first."""
    return _pca(train, 1, normalise=False)


def pca_windows(train: Floats) -> Score:
    """TSB-AD's PCA on windows of 100 rows, version 1.5: channels keep their scale within a window."""
    return _pca(train, WINDOW, normalise=False)


def pca_windows_scaled(train: Floats) -> Score:
    """TSB-AD's PCA on windows of 100 rows, its current code: every window is scaled as a whole."""
    return _pca(train, WINDOW, normalise=True)


def kmeans(train: Floats) -> Score:
    """KMeansAD: 10 clusters of windows of 40 rows; a row's score is the mean over the windows that hold it."""
    from sklearn.cluster import KMeans

    width = min(40, len(train))
    fitted = np.concatenate(list(_windows(train, width, normalise=True, most=3 * FIT_WINDOWS)))
    model = KMeans(10, n_init=1, random_state=0).fit(fitted)

    def score(rows: Floats) -> Floats:
        return _spread(_scored(rows, width, lambda part: model.transform(part).min(axis=1)), width, len(rows))

    return score


def iforest_windows(train: Floats) -> Score:
    """TSB-AD's IForest: 25 trees, .8 of the features, on windows of 100 rows."""
    return _iforest(train, WINDOW, normalise=True)


def iforest_points(train: Floats) -> Score:
    """Take the same forest on single rows."""
    return _iforest(train, 1, normalise=False)


def knn(train: Floats) -> Score:
    """TSB-AD's KNN: mean distance of a row, scaled across its channels, to its 50 nearest."""
    return _knn(train, across=True)


def knn_scaled(train: Floats) -> Score:
    """Take the same, every channel scaled by its own train part."""
    return _knn(train, across=False)


PEERS: dict[str, Fit] = {
    "random": random,
    "squared norm": squared_norm,
    "PCA residual": pca_residual,
    "PCA points": pca_points,
    "PCA windows": pca_windows,
    "PCA windows, scaled": pca_windows_scaled,
    "KMeansAD": kmeans,
    "IForest points": iforest_points,
    "IForest windows": iforest_windows,
    "KNN": knn,
    "KNN, channels scaled": knn_scaled,
}


def scaler(train: Floats) -> Callable[[Floats], Floats]:
    """Return what scales rows [m, C], every channel by its own train part."""
    middle, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.maximum(spread, 1e-2 * max(float(np.median(spread)), 1e-6))  # a constant channel is not divided by 0
    return lambda rows: (rows - middle) / spread


def _pca(train: Floats, width: int, *, normalise: bool) -> Score:
    """Return the sum of distances to the first components, which hold .25 of the variance, over their shares of it."""
    from sklearn.decomposition import PCA

    width = min(width, len(train))
    fitted = np.concatenate(list(_windows(train, width, normalise=normalise, most=FIT_WINDOWS if width > 1 else None)))
    middle, spread = fitted.mean(axis=0), fitted.std(axis=0)
    spread[spread == 0] = 1
    most = min(30, *fitted.shape)
    solver = "randomized" if fitted.shape[1] > 500 else "full"
    model = PCA(most, svd_solver=solver, random_state=0).fit((fitted - middle) / spread)
    shares = model.explained_variance_ratio_
    n = min(int(np.searchsorted(np.cumsum(shares), 0.25)) + 1, most)
    parts = model.components_[:n].astype(np.float32)

    def far(part: Rows) -> Floats:
        scaled = (part - middle) / spread
        squares = (scaled**2).sum(axis=1, keepdims=True) - 2 * scaled @ parts.T + (parts**2).sum(axis=1)
        return np.asarray((np.sqrt(np.maximum(squares, 0)) / shares[:n]).sum(axis=1), dtype=np.float64)

    return lambda rows: _centred(_scored(rows, width, far, normalise=normalise), width, len(rows))


def _iforest(train: Floats, width: int, *, normalise: bool) -> Score:
    from sklearn.ensemble import IsolationForest

    width = min(width, len(train))
    most = FIT_WINDOWS if width > 1 else None
    fitted = np.concatenate(list(_windows(train, width, normalise=normalise, most=most)))
    model = IsolationForest(n_estimators=25, max_features=0.8, random_state=0).fit(fitted)
    return lambda rows: _centred(
        _scored(rows, width, lambda part: -_depths(model, part), normalise=normalise), width, len(rows)
    )


def _depths(model: Any, part: Rows) -> Floats:
    """Return the mean depth of the leaves; scikit-learn's score orders alike, but copies most columns for each tree."""
    total, every = np.zeros(len(part)), np.arange(len(part))
    for made, features in zip(model.estimators_, model.estimators_features_, strict=True):
        tree = made.tree_
        columns = features[np.maximum(tree.feature, 0)]
        node, depth = np.zeros(len(part), dtype=np.int64), np.zeros(len(part))
        for _ in range(tree.max_depth):
            inner = tree.children_left[node] >= 0
            left = part[every, columns[node]] <= tree.threshold[node]
            node = np.where(inner, np.where(left, tree.children_left[node], tree.children_right[node]), node)
            depth += inner
        n = np.maximum(tree.n_node_samples[node], 1).astype(np.float64)
        unsplit = 2 * (np.log(np.maximum(n - 1, 1)) + np.euler_gamma) - 2 * (n - 1) / n
        total += depth + np.where(n <= 1, 0, np.where(n == 2, 1, unsplit))
    return total / len(model.estimators_)


def _knn(train: Floats, *, across: bool) -> Score:
    from sklearn.neighbors import NearestNeighbors

    scale = _across if across else scaler(train)
    fitted = scale(train[_evenly(len(train), FIT_ROWS)]).astype(np.float32)
    model = NearestNeighbors(n_neighbors=min(50, len(fitted)), algorithm="brute").fit(fitted)

    def score(rows: Floats) -> Floats:
        scaled = scale(rows).astype(np.float32)
        parts = [scaled[at : at + CHUNK] for at in range(0, len(scaled), CHUNK)]
        return np.concatenate([model.kneighbors(part)[0].mean(axis=1) for part in parts]).astype(np.float64)

    return score


def _across(rows: Floats) -> Floats:
    if rows.shape[1] == 1:
        return rows
    spread = rows.std(axis=1, ddof=1, keepdims=True)
    return np.asarray((rows - rows.mean(axis=1, keepdims=True)) / np.where(spread == 0, 1, spread))


def _windows(rows: Floats, width: int, *, normalise: bool, most: int | None = None) -> Iterator[Rows]:
    """Yield windows [some, C * width] in order, `most` evenly spaced ones of them."""
    every = sliding_window_view(rows, width, axis=0)
    chosen = _evenly(len(every), most)
    for at in range(0, len(chosen), CHUNK):
        flat = every[chosen[at : at + CHUNK]].reshape(-1, rows.shape[1] * width)
        if normalise and flat.shape[1] > 1:
            flat = _across(flat)
        yield flat.astype(np.float32)


def _evenly(n: int, most: int | None) -> NDArray[np.int64]:
    return np.arange(n) if most is None or n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _scored(rows: Floats, width: int, far: Callable[[Rows], Floats], *, normalise: bool = True) -> Floats:
    if len(rows) < width:
        raise ValueError(f"{len(rows)} rows are less than one window of {width}")
    return np.concatenate([far(part) for part in _windows(rows, width, normalise=normalise)]).astype(np.float64)


def _centred(scores: Floats, width: int, n: int) -> Floats:
    """Put a window's score at its middle; the ends repeat the first and the last."""
    before = -(-(width - 1) // 2)
    return np.pad(scores, (before, n - len(scores) - before), mode="edge")


def _spread(scores: Floats, width: int, n: int) -> Floats:
    """Give each row the mean over the windows that hold it."""
    total = np.concatenate([[0.0], np.cumsum(scores)])
    rows = np.arange(n)
    first, after = np.maximum(rows - width + 1, 0), np.minimum(rows + 1, len(scores))
    return np.asarray((total[after] - total[first]) / (after - first))

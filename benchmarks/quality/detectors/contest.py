"""Who takes part, and what are their figures on one split?"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality.detectors.sets import Split
from jamais.detectors.detector import Detector
from jamais.detectors.ensemble import Ensemble
from jamais.evaluation import auroc, average_precision
from jamais.types import Floats, Vectors

MEMBERS = ("knn", "lof", "iforest", "cluster", "reconstruction")
NOISE = "pure noise"
ENSEMBLES = {"ensemble": MEMBERS, "ensemble + noise": (*MEMBERS, NOISE)}


@dataclass(frozen=True)
class Figure:
    """One method on one split."""

    split: Split
    method: str
    whose: str
    auroc: float
    average_precision: float
    seconds: float
    """CPU time of fit and scoring, where it was measured alone."""
    note: str = ""


def figures(split: Split, *, peers: bool = True) -> Iterator[Figure]:
    """Measure ours, PyOD's and two trivial baselines on one split."""
    yield from _ours(split)
    if peers:
        for name, make in _PEERS.items():
            yield _peer(split, name, make)
    random = np.random.default_rng([split.seed, zlib.crc32(split.data.encode())]).random(len(split.test))
    yield _figure(split, "random", "trivial", random, 0.0)
    centre = split.fit.mean(axis=0)
    yield _figure(split, "distance to the mean", "trivial", ((split.test - centre) ** 2).sum(axis=1), 0.0)


def _ours(split: Split) -> Iterator[Figure]:
    """Fit one ensemble: its members are fitted as if each were alone, and a noise member joins them afterwards."""
    begin = time.process_time()
    ensemble = Ensemble(list(MEMBERS), random_state=split.seed).fit(split.fit)
    scores = ensemble.decision_function(split.test)
    seconds = time.process_time() - begin
    for name, member in ensemble.detectors.items():
        begin = time.process_time()
        own = member.decision_function(split.test)
        yield _figure(split, name, "jamais", own, time.process_time() - begin, "scoring only")
    yield _figure(split, "ensemble", "jamais", scores, seconds)
    noise = PureNoise(split.seed, memory=ensemble.memory)
    noisy = Ensemble([*ensemble.detectors.values(), noise], random_state=split.seed, memory=ensemble.memory)
    yield _figure(split, NOISE, "jamais", noise.decision_function(split.test), 0.0)
    yield _figure(split, "ensemble + noise", "jamais", noisy.decision_function(split.test), 0.0)


def _peer(split: Split, name: str, make: Callable[[int], Any]) -> Figure:
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyOD has to say about its own future
        try:
            scores = make(split.seed).fit(split.fit).decision_function(split.test)
            note = ""
        except ValueError as error:  # CBLOF finds "no valid cluster separation" on some data
            scores, note = np.zeros(len(split.test)), f"raised: {error}".partition(".")[0][:60]
    scores = np.nan_to_num(np.asarray(scores, dtype=np.float64), posinf=1e300)
    return _figure(split, name, "PyOD", scores, time.process_time() - begin, note)


def _figure(split: Split, method: str, whose: str, scores: Floats, seconds: float, note: str = "") -> Figure:
    labels = split.abnormal.astype(np.int64)
    return Figure(split, method, whose, auroc(labels, scores), average_precision(labels, scores), seconds, note)


def _pyod(module: str, name: str, **settings: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from importlib import import_module

        kind = getattr(import_module(f"pyod.models.{module}"), name)
        return kind(**settings, **({"random_state": seed} if module in ("iforest", "cblof", "pca") else {}))

    return make


_PEERS: dict[str, Callable[[int], Any]] = {
    "KNN": _pyod("knn", "KNN"),
    "LOF": _pyod("lof", "LOF"),
    "IForest": _pyod("iforest", "IForest"),
    "CBLOF": _pyod("cblof", "CBLOF"),
    "PCA": _pyod("pca", "PCA"),
}


class PureNoise(Detector):
    """Scores each row by a checksum of its bytes: the same for the same row, and about nothing."""

    def __init__(self, seed: int = 0, contamination: float = 0.1, memory: Any = None) -> None:
        super().__init__(contamination, memory)
        self.seed = seed

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "contamination": self.contamination}

    def _refit(self) -> None:
        """There is nothing to derive."""

    def _scores(self, rows: Vectors) -> Floats:
        return np.array([zlib.crc32(row.tobytes(), self.seed + 1) / 2**32 for row in rows], dtype=np.float64)

    _unseen_scores = _scores

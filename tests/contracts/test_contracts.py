"""Does every public detector, memory and watcher keep its contract, and would a broken one be noticed?"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference import small_log, small_series

import jamais
import jamais.detectors
import jamais.memory
from jamais import registry
from jamais.detectors import KNN, LOF, Cluster, Detector, Ensemble, IForest, Reconstruction
from jamais.memory import CoresetMemory, CoverMemory, FeatureMemory, ReservoirMemory, RingMemory
from jamais.testing import (
    DETECTOR_CHECKS,
    MEMORY_CHECKS,
    WATCHER_CHECKS,
    DetectorCase,
    MemoryCase,
    WatcherCase,
    digest,
)

WIDTH, N = 7, 90


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)


def upright(some: np.ndarray) -> np.ndarray:
    """Move rows so that all point one way: then others are far by length and by angle."""
    return some + 6 * np.eye(1, WIDTH, dtype=np.float32)


DETECTORS: dict[str, Callable[[], Any]] = {
    "KNN": lambda: KNN(n_neighbors=3),
    "KNN cosine mean": lambda: KNN(n_neighbors=4, metric="cosine", method="mean"),
    "KNN bounded": lambda: KNN(n_neighbors=3, memory=40),
    "KNN of the newest": lambda: KNN(n_neighbors=3, memory=RingMemory(40)),
    "LOF": lambda: LOF(n_neighbors=10),
    "LOF bounded": lambda: LOF(n_neighbors=5, memory=ReservoirMemory(40)),
    "IForest": lambda: IForest(n_estimators=20),
    "IForest oblique": lambda: IForest(n_estimators=10, extension=2, memory=60),
    "Cluster": lambda: Cluster(),
    "Cluster of three": lambda: Cluster(n_clusters=3, memory=50),
    "Reconstruction": lambda: Reconstruction(),
    "Ensemble": lambda: Ensemble(),
    "Ensemble of two": lambda: Ensemble(detectors=["knn", "cluster"], memory=50),
}
MEMORIES: dict[str, Callable[[], Any]] = {
    "CoverMemory": lambda: CoverMemory(capacity=24),
    "CoverMemory with a radius": lambda: CoverMemory(capacity=24, radius=1.0),
    "RingMemory": lambda: RingMemory(24),
    "ReservoirMemory": lambda: ReservoirMemory(24),
    "CoresetMemory": lambda: CoresetMemory(24),
    "FeatureMemory": lambda: FeatureMemory(24, calibration=10),
    "FeatureMemory of the newest": lambda: FeatureMemory(RingMemory(24), calibration=10),
}
EXEMPT = {
    "Detector": "the base of all: checked in each that is made of it",
    "NearestRows": "an index over fixed rows: it remembers nothing",
    "Sample": "a uniform sample; tests/memory/test_sample.py holds it to the promises of a memory",
}


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DETECTORS)
def test_detector(name: str, check: Callable[[DetectorCase], None]) -> None:
    check(DetectorCase(DETECTORS[name], rows(N, 0), rows(20, 1)))


@pytest.mark.parametrize("check", MEMORY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MEMORIES)
def test_memory(name: str, check: Callable[[MemoryCase], None]) -> None:
    check(MemoryCase(MEMORIES[name], rows(N, 0)))


@pytest.mark.parametrize("check", WATCHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("mode", small_log.MODES)
def test_watcher(mode: str, check: Callable[[WatcherCase], None], tmp_path: Path) -> None:
    def make() -> Any:
        settings = {**small_log.TINY, **small_log.MODES[mode]}
        return jamais.fit(small_log.normal(150), kind="logs", settings=settings)

    def reload(watcher: Any) -> Any:
        watcher.save(tmp_path / "kept")
        return jamais.load(tmp_path / "kept")

    check(WatcherCase(make, reload, small_log.today(40), small_log.normal(40, seed=9)))


EMBEDDINGS: dict[str, dict[str, Any]] = {
    "knn": {},
    "cosine": {"metric": "cosine"},
    "scaled, small memory": {"scaling": "columns", "memory.capacity": 100},
    "lof": {"method": "lof"},
    "iforest": {"method": "iforest"},
    "cluster": {"method": "cluster", "clusters.n_clusters": 3},
    "reconstruction": {"method": "reconstruction"},
    "ensemble": {"method": "ensemble"},
}


@pytest.mark.parametrize("check", WATCHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_watcher_of_embeddings(name: str, check: Callable[[WatcherCase], None], tmp_path: Path) -> None:
    def make() -> Any:
        settings = {"alarm_rate": 0.02, "reading.block_rows": 64, **EMBEDDINGS[name]}
        return jamais.fit(upright(rows(150, 0)), kind="embeddings", settings=settings)

    def reload(watcher: Any) -> Any:
        watcher.save(tmp_path / "kept")
        return jamais.load(tmp_path / "kept")

    # Far by length and by angle: all fitted rows point up in their first column.
    case = np.concatenate([upright(rows(40, 2)), -4 * upright(rows(30, 1))])
    check(WatcherCase(make, reload, case.tolist(), upright(rows(80, 3)).tolist()))


@pytest.mark.parametrize("check", WATCHER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("hindsight", [False, True], ids=["causal", "hindsight"])
def test_watcher_of_series(hindsight: bool, check: Callable[[WatcherCase], None], tmp_path: Path) -> None:
    def reload(watcher: Any) -> Any:
        watcher.save(tmp_path / "kept")
        return jamais.load(tmp_path / "kept")

    rows, more = small_series.listed(small_series.today()), small_series.normal(120, 2, 560).tolist()
    check(WatcherCase(lambda: small_series.watcher(hindsight=hindsight), reload, rows, more))


def test_no_public_detector_or_memory_is_left_out() -> None:
    """Neither what the two rooms give out, nor a detector that one of their modules hides."""
    for room in (jamais.detectors, jamais.memory):
        for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            import_module(module.name)
    # (MaskedLoss of TinyLogBERT scores only lines that it knows the loss of: tests/models holds it to its promises.)
    made_of_it = {one.__name__ for one in Detector.__subclasses__() if one.__module__.startswith("jamais.detectors.")}
    checked = {name.split()[0] for name in (*DETECTORS, *MEMORIES)}
    assert made_of_it | set(jamais.detectors.__all__) | set(jamais.memory.__all__) == checked | set(EXEMPT)


def test_every_registered_kind_of_watcher_is_checked() -> None:
    assert registry.kinds() == ["embeddings", "logs", "series"]


class Forgetful(KNN):
    """Breaks every promise that a detector makes, one at a time."""

    def __init__(self, broken: str, **settings: Any) -> None:
        super().__init__(**{"n_neighbors": 3, **settings})
        self.broken = broken
        self.given: list[Any] = []

    def settings(self) -> dict[str, Any]:
        return {"broken": self.broken, **super().settings()}

    def decision_function(self, X: Any) -> Any:
        scores = super().decision_function(X)
        if self.broken == "score_is_pure":
            self.memory.add(np.asarray(X))
        if self.broken == "a_row_alone_is_a_row_in_a_batch":
            scores = scores * np.float64(1 + 1e-15 * len(X))
        if self.broken == "order_and_batches_change_nothing":
            scores = scores + 1e-9 * np.arange(len(X))
        if self.broken == "made_twice_it_is_the_same":
            scores = scores + id(self) % 1009
        return scores

    def partial_fit(self, X: Any, y: object = None, **more: Any) -> Any:
        if self.broken == "inputs_are_untouched_and_not_kept":
            X[0, 0] += 1
        if self.broken == "a_refused_input_changes_nothing":
            self.contamination = 0.2
        for tree in self.given:
            tree["training"]["threshold"] += 1
        return super().partial_fit(X, y, **more)

    def state_dict(self) -> Any:
        tree = super().state_dict()
        if self.broken == "a_state_is_a_copy":
            self.given.append(tree)
        if self.broken == "saved_and_loaded_it_goes_on_as_if_never_stopped":
            normal = tree["memory"]["normal"]
            normal["rows"] = normal["rows"][::-1].copy()
        return tree


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
def test_a_broken_detector_is_noticed(check: Callable[[DetectorCase], None]) -> None:
    made = []

    def make() -> Any:
        made.append(Forgetful(check.__name__))  # all are kept, or two might have the same id
        return made[-1]

    with pytest.raises(AssertionError):
        check(DetectorCase(make, rows(N, 0), rows(20, 1)))


def test_a_memory_that_grows_for_ever_is_noticed() -> None:
    class Growing(CoverMemory):
        def __len__(self) -> int:
            return super().__len__() + self.n_seen // 30

    (capacity, *_) = MEMORY_CHECKS
    with pytest.raises(AssertionError, match=r"may hold 24|gives"):
        capacity(MemoryCase(lambda: Growing(24), rows(N, 0)))


def test_a_digest_tells_states_apart_by_every_bit() -> None:
    tree = {"a": np.zeros(3), "b": [1, "x", None, True], "c": 0.0}
    same = {"c": 0.0, "b": [1, "x", None, True], "a": np.zeros(3)}
    assert digest(tree) == digest(same)
    for other in (
        {**tree, "a": np.zeros(3, np.float32)},
        {**tree, "a": np.zeros((3, 1))},
        {**tree, "c": -0.0},
        {**tree, "c": 0},
        {**tree, "b": [1, "x", None]},
        {**tree, "d": None},
    ):
        assert digest(other) != digest(tree)
    with pytest.raises(AssertionError, match="set"):
        digest({"a": {1}})

"""What all detectors share: a change happens wholly or not at all, threads may score together, states are whole."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import jamais.detectors
from jamais.detectors.detector import Detector
from jamais.detectors.knn import KNN
from jamais.errors import CorruptStateError, NotReadyError
from jamais.memory.feature_memory import FeatureMemory
from jamais.testing import digest
from jamais.types import Vectors

KINDS = [getattr(jamais.detectors, name) for name in jamais.detectors.__all__ if name != "Detector"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def data(n: int = 120, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def look(detector: Detector) -> tuple[Any, ...]:
    scores = detector.decision_function(data(20, seed=1))
    return (
        digest(detector.state_dict()),
        scores.tobytes(),
        detector.decision_scores_.tobytes(),
        detector.threshold_,
        detector.p_value(data(20, seed=1)).tobytes(),
    )


def fail(*given: Any) -> Any:
    raise KeyboardInterrupt


@every_kind
@pytest.mark.parametrize("where", ["_refit", "_training_scores"])
def test_a_fit_that_fails_half_way_leaves_the_detector_as_it_was(
    kind: type[Detector], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = kind().fit(data()).set_alarm_rate(0.03)
    detector.partial_fit(data(30, seed=2)).feedback(data(3, seed=3) + 5, [1, 1, 0])
    before, memory = look(detector), detector.memory
    with monkeypatch.context() as broken:
        broken.setattr(detector, where, fail)
        with pytest.raises(KeyboardInterrupt):
            detector.fit(data(80, width=7, seed=4))
    assert look(detector) == before
    assert detector.memory is memory
    more = kind()
    more.load_state_dict(detector.state_dict())
    for one in (detector, more):
        one.partial_fit(data(30, seed=5))
    assert digest(detector.state_dict()) == digest(more.state_dict())
    fresh = kind().fit(data(80, width=7, seed=4))
    assert detector.fit(data(80, width=7, seed=4)).decision_scores_.tobytes() == fresh.decision_scores_.tobytes()


@every_kind
def test_a_first_fit_that_fails_leaves_nothing_behind(kind: type[Detector], monkeypatch: pytest.MonkeyPatch) -> None:
    detector = kind()
    with monkeypatch.context() as broken:
        broken.setattr(detector, "_training_scores", fail)
        with pytest.raises(KeyboardInterrupt):
            detector.fit(data())
    assert len(detector.memory) == 0
    with pytest.raises(NotReadyError):
        detector.predict(data(2))
    assert detector.fit(data()).threshold_ == kind().fit(data()).threshold_


@every_kind
def test_an_engine_that_fails_to_follow_is_derived_anew(kind: type[Detector], monkeypatch: pytest.MonkeyPatch) -> None:
    detector = kind().fit(data())
    with monkeypatch.context() as broken:
        broken.setattr(detector, "_follow", fail)
        broken.setattr(detector, "_refit", fail)
        with pytest.raises(KeyboardInterrupt):
            detector.partial_fit(data(30, seed=2))
    assert int(detector.memory.counts.sum()) == 150  # somebody vouched for them: they are remembered
    scores = detector.decision_function(data(20, seed=1))
    assert np.isfinite(scores).all()
    back = kind()
    back.load_state_dict(detector.state_dict())
    assert back.decision_function(data(20, seed=1)).tobytes() == scores.tobytes()


@every_kind
def test_fitting_twice_is_fitting_once(kind: type[Detector]) -> None:
    once, twice = kind().fit(data()), kind().fit(data(90, seed=9)).fit(data())
    queries = data(20, seed=1)
    assert once.decision_function(queries).tobytes() == twice.decision_function(queries).tobytes()
    assert once.threshold_ == twice.threshold_
    assert once.p_value(queries).tobytes() == twice.p_value(queries).tobytes()


def at_once(n: int, ask: Callable[[], Any]) -> list[Any]:
    """Ask the same `n` times in as many threads that start together."""
    gate = Barrier(n)

    def wait_and_ask() -> Any:
        gate.wait()
        return ask()

    with ThreadPoolExecutor(n) as pool:
        return [one.result() for one in [pool.submit(wait_and_ask) for _ in range(n)]]


@every_kind
def test_threads_that_score_together_while_caches_fill_get_the_same_bits(kind: type[Detector]) -> None:
    fitted, queries = kind().fit(data(200)), data(40, seed=1)
    fitted.feedback(data(2, seed=3) + 5, [1, 1])
    state = fitted.state_dict()
    wanted = fitted.decision_function(queries).tobytes(), fitted.p_value(queries).tobytes()
    for _ in range(5):
        cold = kind()
        cold.load_state_dict(state)
        found = at_once(6, lambda: (cold.decision_function(queries).tobytes(), cold.p_value(queries).tobytes()))  # noqa: B023
        assert set(found) == {wanted}
        assert digest(cold.state_dict()) == digest(state)


@every_kind
def test_threads_that_find_a_shared_memory_changed_follow_it_once(kind: type[Detector]) -> None:
    def changed() -> Detector:
        memory = FeatureMemory()
        detector, other = kind(memory=memory).fit(data(200)), KNN(memory=memory)
        other.partial_fit(data(40, seed=2))
        return detector

    queries = data(40, seed=1)
    alone = changed()
    wanted = alone.decision_function(queries).tobytes(), digest(alone.state_dict())
    for _ in range(5):
        detector = changed()
        assert set(at_once(6, lambda: detector.decision_function(queries).tobytes())) == {wanted[0]}  # noqa: B023
        assert digest(detector.state_dict()) == wanted[1]


@every_kind
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
def test_copies_go_their_own_way(kind: type[Detector], copied: Callable[[Detector], Detector]) -> None:
    first = kind().fit(data())
    second = copied(first)
    before = look(first)
    assert look(second) == before
    second.partial_fit(data(30, seed=2))
    assert look(first) == before
    first.partial_fit(data(30, seed=2))
    assert look(first) == look(second)


def broken_states(state: dict[str, Any]) -> dict[str, Any]:
    """Damage a state in one place after another."""
    wrong: dict[str, Any] = {"nothing": None, "a list": [], "a number": 3, "no keys": {}}
    for name in state if state["engine"] else set(state) - {"engine"}:
        wrong[f"without {name}"] = {key: value for key, value in state.items() if key != name}
        if name not in ("training", "alarm_rate"):  # where None has a meaning
            wrong[f"{name} None"] = {**state, name: None}
        wrong[f"{name} a text"] = {**state, name: "x"}
        wrong[f"{name} a list"] = {**state, name: [1, 2]}
    for name in state["settings"]:
        wrong[f"setting {name}"] = {**state, "settings": {**state["settings"], name: "no such thing"}}
    wrong["strange setting"] = {**state, "settings": {**state["settings"], "strange": 1}}
    for name in ("policy", "normal", "calibration", "abnormal", "quarantine"):
        wrong[f"memory.{name} None"] = {**state, "memory": {**state["memory"], name: None}}
    for name in state["training"]:
        wrong[f"training.{name} a text"] = {**state, "training": {**state["training"], name: "x"}}
    wrong["training.ranks short"] = {**state, "training": {**state["training"], "ranks": np.arange(3)}}
    if state["engine"]:
        wrong["engine empty"] = {**state, "engine": {}}
        for name in state["engine"]:
            wrong[f"engine.{name} a text"] = {**state, "engine": {**state["engine"], name: "x"}}
    return wrong


@every_kind
def test_a_state_that_is_none_is_refused_and_changes_nothing(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    before, memory = look(detector), detector.memory
    other = kind().fit(data(90, seed=6)).state_dict()
    for name, wrong in broken_states(other).items():
        print(name)  # shown where it is not refused
        with pytest.raises(CorruptStateError):
            detector.load_state_dict(wrong)
        assert look(detector) == before, name
        assert detector.memory is memory, name


@every_kind
def test_an_alarm_rate_needs_no_fit(kind: type[Detector]) -> None:
    detector = kind().partial_fit(data(200))
    with pytest.raises(NotReadyError, match="no threshold yet"):
        detector.predict(data(3))
    detector.set_alarm_rate(0.05)
    assert detector.predict(data(400, seed=1)).mean() < 0.12
    assert detector.predict(np.full((1, 5), 50.0)).tolist() == [1]


@every_kind
def test_what_shrank_below_the_fewest_rows_goes_on_as_what_was_loaded(kind: type[Detector]) -> None:
    first, second = kind().fit(data(60)), kind()
    first.forget(first.memory.ids)
    second.load_state_dict(first.state_dict())
    for one in (first, second):
        one.partial_fit(data(60, seed=1))
    if kind.__name__ != "Ensemble":  # whose members' own thresholds are not saved while it cannot score
        assert digest(first.state_dict()) == digest(second.state_dict())
    queries = data(20, seed=2)
    assert first.decision_function(queries).tobytes() == second.decision_function(queries).tobytes()


def test_a_repr_can_be_read_back() -> None:
    text = repr(KNN(n_neighbors=3, metric="cosine"))
    assert text.startswith("KNN(n_neighbors=3, method='largest', metric='cosine', contamination=0.1")


class Slow(KNN):
    """Counts how often its engine is derived."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.n_refits = 0

    def _refit(self) -> None:
        self.n_refits += 1

    def _scores(self, rows: Vectors) -> Any:
        return super()._scores(rows)


def test_threads_derive_the_engine_once() -> None:
    memory = FeatureMemory()
    memory.add(data())
    detector = Slow(memory=memory)
    at_once(8, lambda: detector.decision_function(data(5, seed=1)))
    assert detector.n_refits == 1


@every_kind
@pytest.mark.parametrize("n_kinds", [1, 3, 12])
def test_the_next_copy_of_a_row_seen_thirty_times_is_no_news(kind: type[Detector], n_kinds: int) -> None:
    kinds = data(n_kinds, seed=4)
    detector = kind().fit(np.repeat(kinds, 30, axis=0))
    detector.partial_fit(np.repeat(kinds, 2, axis=0))
    assert (detector.p_value(kinds) > 0.9 / n_kinds).all()

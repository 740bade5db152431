from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jamais.detectors.lof import LOF
from jamais.errors import CorruptStateError
from jamais.testing import digest


def data(n: int = 120, width: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def changed() -> LOF:
    detector = LOF(6).fit(np.repeat(data(), [1, 1, 2, 3] * 30, axis=0))
    detector.forget(detector.memory.ids[::7])
    return detector.partial_fit(data(20, seed=1))


def test_a_loaded_one_scores_the_same_bits_without_making_a_list() -> None:
    first, second = changed(), LOF()
    second.load_state_dict(first.state_dict())
    assert second.n_neighbors == 6
    queries = data(40, seed=2)
    assert second.decision_function(queries).tobytes() == first.decision_function(queries).tobytes()
    assert second.p_value(queries).tobytes() == first.p_value(queries).tobytes()
    assert second._engine().n_asked == 0


def test_learning_and_forgetting_go_on_as_if_never_stopped() -> None:
    first, second = changed(), LOF()
    second.load_state_dict(first.state_dict())
    for i in range(8):
        for detector in (first, second):
            detector.forget(detector.memory.ids[i::9])
            detector.partial_fit(data(15, seed=30 + i))
        assert digest(first.state_dict()) == digest(second.state_dict())
    assert second._engine().n_asked < 300


def test_a_memory_too_small_to_score_is_saved_too() -> None:
    first, second = LOF(), LOF(3)
    first.partial_fit(data(1))
    second.load_state_dict(first.state_dict())
    second.partial_fit(data(5, seed=1))
    first.partial_fit(data(5, seed=1))
    assert digest(first.state_dict()) == digest(second.state_dict())


def _set(name: str, place: tuple[int, int], value: float) -> Callable[[Any], None]:
    def spoil(engine: Any) -> None:
        engine[name][place] = value

    return spoil


def _put(name: str, make: Callable[[Any], Any]) -> Callable[[Any], None]:
    def spoil(engine: Any) -> None:
        engine[name] = make(engine[name])

    return spoil


SPOILT: dict[str, Callable[[Any], None]] = {
    "a row that there is not": _set("near", (0, 0), 10_000),
    "a negative row": _set("near", (0, 0), -1),
    "the smallest number": _set("near", (2, 1), np.iinfo(np.int32).min),
    "itself": _set("near", (3, 0), 3),
    "a falling distance": _set("far", (0, 0), 1e9),
    "a negative distance": _set("far", (0, 0), -1.0),
    "no number": _set("far", (0, 1), np.nan),
    "infinity": _set("far", (0, 5), np.inf),
    "a row twice": _put("near", lambda near: np.concatenate([near[:, :1], near[:, :-1]], axis=1)),
    "too few rows": _put("near", lambda near: near[:-1]),
    "too few columns": _put("near", lambda near: near[:, :3]),
    "other columns": _put("far", lambda far: far[:, :-1]),
    "wide integers": _put("near", lambda near: near.astype(np.int64)),
    "narrow floats": _put("far", lambda far: far.astype(np.float32)),
    "one dimension": _put("near", lambda near: near.ravel()),
    "no array": _put("far", lambda far: "far"),
    "no lists": _put("near", lambda near: near[:, :0]),
    "far too many columns": lambda engine: engine.update(
        near=np.pad(engine["near"], ((0, 0), (0, 500)), constant_values=-1),
        far=np.pad(engine["far"], ((0, 0), (0, 500))),
    ),
    "nothing": lambda engine: engine.clear(),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_state_is_refused_and_changes_nothing(name: str) -> None:
    tree = changed().state_dict()
    SPOILT[name](tree["engine"])
    detector = LOF(4).fit(data(30))
    before = digest(detector.state_dict())
    with pytest.raises(CorruptStateError, match="LOF"):
        detector.load_state_dict(tree)
    assert digest(detector.state_dict()) == before


@pytest.mark.parametrize("bits", range(60))
def test_random_damage_is_refused_or_can_be_scored_with(bits: int) -> None:
    rng = np.random.default_rng(bits)
    tree = changed().state_dict()
    name = ("near", "far")[bits % 2]
    raw = tree["engine"][name].view(np.uint8).reshape(-1)
    raw[rng.integers(0, len(raw), 4)] ^= rng.integers(1, 256, 4).astype(np.uint8)
    detector = LOF()
    try:
        detector.load_state_dict(tree)
    except CorruptStateError:
        return
    detector.decision_function(data(5))
    detector.forget(detector.memory.ids[::3])
    detector.partial_fit(data(9, seed=9))
    detector.p_value(data(5))

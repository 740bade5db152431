"""Every detector answers bad input with a clear error or a documented answer, and stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch

import jamais.detectors
from jamais.detectors.detector import Detector
from jamais.errors import InputError, JamaisError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.testing import digest

WIDTH = 5
KINDS = [getattr(jamais.detectors, name) for name in jamais.detectors.__all__ if name != "Detector"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def data(n: int = 120, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def with_one(value: Any, dtype: Any = np.float64) -> np.ndarray:
    rows = data(30).astype(dtype)
    rows[7, 2] = value
    return rows


def masked() -> Any:
    return np.ma.masked_array(data(30), mask=data(30) > 2.0)


def ragged() -> Any:
    return [[1.0] * WIDTH, [1.0] * (WIDTH - 1)]


REFUSED: dict[str, tuple[Callable[[], Any], type[JamaisError], str]] = {
    "NaN": (lambda: with_one(np.nan), InputError, "row 7 holds NaN or infinity"),
    "infinity": (lambda: with_one(np.inf), InputError, "finite"),
    "minus infinity": (lambda: with_one(-np.inf), InputError, "finite"),
    "more than 32 bits hold": (lambda: with_one(1e39), InputError, "3e38"),
    "None inside": (lambda: with_one(None, object), InputError, "NaN|numbers"),
    "a text inside": (lambda: with_one("high", object), InputError, "numbers"),
    "a number as text inside": (lambda: with_one("1.5", object), InputError, "numbers"),
    "texts": (lambda: data(30).astype(str), InputError, "numbers"),
    "bytes": (lambda: data(30).astype("S"), InputError, "numbers"),
    "dates": (lambda: data(30).astype("datetime64[s]"), InputError, "numbers"),
    "durations": (lambda: data(30).astype("timedelta64[s]"), InputError, "numbers"),
    "complex": (lambda: data(30) * 1j, InputError, "real"),
    "complex tensor": (lambda: torch.tensor(data(30) * 1j), InputError, "real"),
    "records": (lambda: np.zeros(30, dtype=[("a", "f4"), ("b", "f4")]), InputError, "numbers"),
    "masked": (masked, InputError, "masked"),
    "sparse": (lambda: scipy.sparse.csr_matrix(data(30)), InputError, "toarray"),
    "sparse tensor": (lambda: torch.tensor(data(30)).to_sparse(), InputError, "to_dense"),
    "ragged": (ragged, InputError, "numbers"),
    "a dict": (lambda: {"a": 1}, InputError, "numbers"),
    "a sentence": (lambda: "rows", InputError, "numbers"),
    "a generator": (lambda: (row for row in data(30)), InputError, "numbers"),
    "a frame with texts": (lambda: pd.DataFrame({"a": ["x", "y"] * 15, "b": 1.0}), InputError, "numbers"),
    "a frame with gaps": (
        lambda: pd.DataFrame(with_one(1.0)).astype("Float64").mask(data(30) > 2),
        InputError,
        "NaN|numbers",
    ),
    "a polars frame with gaps": (
        lambda: pl.DataFrame({c: [1.0, None, 2.0] for c in "abcde"}),
        InputError,
        "NaN|numbers",
    ),
    "one number": (lambda: 3.0, ShapeMismatchError, "Reshape"),
    "one flat row": (lambda: data()[0], ShapeMismatchError, r"X\[None, :\]"),
    "three dimensions": (lambda: data().reshape(4, 30, WIDTH), ShapeMismatchError, "Reshape"),
    "no columns": (lambda: np.empty((30, 0)), ShapeMismatchError, r"\[n, "),
    "an empty list": (list, ShapeMismatchError, "Reshape"),
}
TAKES_ROWS = (
    "fit", "partial_fit", "fit_predict", "decision_function", "predict", "predict_proba", "predict_confidence",
    "predict_with_rejection", "p_value", "p_extrapolated", "explain",
)  # fmt: skip


class AsItWas:
    """Holds that a detector is, to the bit, what it was."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.before = self.look()

    def look(self) -> tuple[Any, ...]:
        one = self.detector
        scores = one.decision_function(data(20, seed=1))
        return (
            digest(one.state_dict()),
            scores.tobytes(),
            one.decision_scores_.tobytes(),
            one.threshold_,
            id(one.memory),
        )

    def check(self) -> None:
        assert self.look() == self.before


@cache
def fitted(kind: type[Detector]) -> Detector:
    """Give one and the same detector to all tests that must leave it as it was."""
    return kind().fit(data())


@every_kind
@pytest.mark.parametrize("method", TAKES_ROWS)
def test_rows_that_are_no_rows_are_refused_and_nothing_changes(kind: type[Detector], method: str) -> None:
    detector = fitted(kind)
    same = AsItWas(detector)
    for name, (make, error, said) in REFUSED.items():
        with pytest.raises(error, match=said) as caught:
            getattr(detector, method)(make())
        assert detector.name in str(caught.value), f"{name}: the message does not say who was asked"
    same.check()


@every_kind
def test_a_wrong_width_is_named_and_fit_may_change_it(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    same = AsItWas(detector)
    for method in ("partial_fit", "decision_function", "predict", "predict_proba", "p_value", "explain"):
        with pytest.raises(ShapeMismatchError, match=rf"\[n, {WIDTH}\], got .*{WIDTH + 2}"):
            getattr(detector, method)(data(10, WIDTH + 2))
    same.check()
    assert detector.fit(data(90, WIDTH + 2)).n_features_in_ == WIDTH + 2
    assert detector.decision_function(data(4, WIDTH + 2)).shape == (4,)


@every_kind
def test_too_few_rows_to_fit_are_refused_and_the_fitted_detector_stays(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    same = AsItWas(detector)
    for n in (0, 1):
        with pytest.raises(NotReadyError, match=rf"{detector.name} needs \d+ .*has {n}"):
            detector.fit(data(n))
    same.check()
    fresh = kind()
    with pytest.raises(NotReadyError):
        fresh.fit(data(1))
    assert len(fresh.memory) == 0


@every_kind
def test_no_rows_get_no_scores_and_teach_nothing(kind: type[Detector]) -> None:
    detector = fitted(kind)
    same = AsItWas(detector)
    nothing = np.empty((0, WIDTH))
    for method in ("decision_function", "predict", "predict_confidence", "predict_with_rejection", "p_value"):
        assert getattr(detector, method)(nothing).shape == (0,)
    assert detector.predict_proba(nothing).shape == (0, 2)
    assert detector.explain(nothing) == []
    detector.partial_fit(nothing)
    detector.partial_fit(nothing, trust="unknown")
    detector.feedback(nothing, [])
    same.check()


@every_kind
def test_all_kinds_of_numbers_are_the_same_rows(kind: type[Detector]) -> None:
    rows = data().astype(np.float16).astype(np.float32)  # float16 and bfloat16 must hold them
    rows = torch.tensor(rows).bfloat16().float().numpy()
    wide = np.repeat(rows, 2, axis=1)
    kinds: dict[str, Any] = {
        "float16": rows.astype(np.float16),
        "float64": rows.astype(np.float64),
        "big endian": rows.astype(">f8"),
        "object": rows.astype(object),
        "Fortran order": np.asfortranarray(rows),
        "every other column": wide[:, ::2],
        "nested lists": rows.tolist(),
        "tensor": torch.tensor(rows),
        "tensor with gradient": torch.tensor(rows, requires_grad=True),
        "bfloat16 tensor": torch.tensor(rows).bfloat16(),
        "float64 tensor": torch.tensor(rows).double(),
        "every other column of a tensor": torch.tensor(wide)[:, ::2],
        "list of tensors": list(torch.tensor(rows, requires_grad=True)),
        "pandas": pd.DataFrame(rows),
        "pandas without gaps": pd.DataFrame(rows.astype(np.float64)).astype("Float64"),
        "polars": pl.DataFrame(rows),
    }
    wanted = kind().fit(rows).decision_function(rows)
    fitted = kind().fit(rows)
    for name, same in kinds.items():
        assert fitted.decision_function(same).tobytes() == wanted.tobytes(), name
    for name in ("float64", "object", "bfloat16 tensor", "polars"):
        assert kind().fit(kinds[name]).decision_function(rows).tobytes() == wanted.tobytes(), name


@every_kind
def test_whole_numbers_and_truth_values_are_numbers(kind: type[Detector]) -> None:
    rows = np.random.default_rng(0).integers(0, 4, size=(120, WIDTH))
    detector = kind().fit(rows)
    scores = detector.decision_function(rows)
    assert np.isfinite(scores).all()
    assert detector.decision_function(rows.astype(np.uint8)).tobytes() == scores.tobytes()
    assert detector.decision_function(torch.tensor(rows)).tobytes() == scores.tobytes()
    flags = kind().fit(rows > 1)
    assert flags.decision_function((rows > 1).astype(float)).tobytes() == flags.decision_function(rows > 1).tobytes()


@every_kind
def test_constant_columns_and_constant_rows_have_finite_scores(kind: type[Detector]) -> None:
    rows = data()
    rows[:, 2] = 7.0
    detector = kind().fit(rows)
    queries = data(20, seed=2)
    queries[:, 2] = 7.0
    assert np.isfinite(detector.decision_function(queries)).all()
    queries[:, 2] = 8.0
    assert np.isfinite(detector.decision_function(queries)).all()
    same = kind().fit(np.ones((60, WIDTH)))
    for value in (1.0, 1.0 + 1e-6, 5.0, -1e30):
        assert np.isfinite(same.decision_function(np.full((1, WIDTH), value))).all()
        assert np.isfinite(same.predict_proba(np.full((1, WIDTH), value))).all()
    assert same.predict(np.ones((2, WIDTH))).tolist() == [0, 0]
    assert np.isfinite(same.predict_proba(np.full((1, WIDTH), 5.0), method="linear")).all()
    assert np.isfinite(same.predict_proba(np.full((1, WIDTH), 5.0), method="unify")).all()
    digest(same.state_dict())


@every_kind
@pytest.mark.parametrize("size", [1e-30, 1e-6, 1e6, 1e18, 3e37])
def test_very_small_and_very_large_numbers_have_finite_scores(kind: type[Detector], size: float) -> None:
    detector = kind().fit(data().astype(np.float64) * size)
    for query in (data(10, seed=3).astype(np.float64) * size, np.zeros((2, WIDTH)), np.full((1, WIDTH), 3e38)):
        scores = detector.decision_function(query)
        assert np.isfinite(scores).all()
        assert np.isfinite(detector.p_value(query)).all()
    assert np.isfinite(detector.decision_scores_).all()


@every_kind
def test_numbers_beside_the_rows_are_checked_before_anything_is_learned(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    same = AsItWas(detector)
    rows = data(4, seed=4)
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (ShapeMismatchError, {"counts": np.ones(3, int)}),
        (ShapeMismatchError, {"counts": np.ones((4, 1), int)}),
        (InputError, {"counts": np.array([1, 0, 1, 1])}),
        (InputError, {"counts": np.array([1, 2.5, 1, 1])}),
        (InputError, {"counts": np.array([1, np.nan, 1, 1])}),
        (InputError, {"counts": ["1", "2", "x", "4"]}),
        (InputError, {"counts": np.ones(4, int), "trust": "unknown"}),
        (ShapeMismatchError, {"times": np.ones(3, int)}),
        (ShapeMismatchError, {"times": np.ones(3, int), "trust": "unknown"}),
        (InputError, {"times": np.array([1, 2, 3, np.nan])}),
        (InputError, {"times": ["now"] * 4}),
        (SettingsError, {"trust": "yes"}),
    ]
    for error, named in wrong:
        with pytest.raises(error):
            detector.partial_fit(rows, **named)
        same.check()


@every_kind
def test_answers_that_are_no_answers_are_refused(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    same = AsItWas(detector)
    for labels in ([0, 1], [0, 1, 2, 0], [0, 1, "x", 0], [0.5, 0, 0, 0], [np.nan] * 4):
        with pytest.raises(InputError, match="0, 1 or None"):
            detector.feedback(data(4, seed=4), labels)  # type: ignore[arg-type]
    with pytest.raises(ShapeMismatchError):
        detector.feedback(data(4, WIDTH + 1), [0, 1, 0, 1])
    same.check()
    detector.feedback(data(4, seed=4), [None] * 4)
    assert int(detector.memory.counts.sum()) == 120
    detector.feedback(data(4, seed=4), np.array([False, True, True, False]))
    assert int(detector.memory.counts.sum()) == 122
    assert len(detector.memory.abnormal) == 2


@every_kind
def test_ids_that_are_no_ids_are_refused(kind: type[Detector]) -> None:
    detector = kind().fit(data())
    same = AsItWas(detector)
    for ids in ([1.5], ["x"], [None], [True], np.array([np.nan])):
        with pytest.raises(InputError, match="ids"):
            detector.forget(ids)
    assert detector.forget([10_000, -1]) == 0
    assert detector.forget([]) == 0
    same.check()
    assert detector.forget(3) == 1
    assert detector.forget([4.0, 5.0]) == 2  # whole numbers


@every_kind
def test_settings_that_make_no_sense_are_refused(kind: type[Detector]) -> None:
    for contamination in (0, 0.0, -0.1, 0.6, np.nan, "auto", None, [0.1], True):
        with pytest.raises(SettingsError, match=r"0 < contamination <= 0\.5"):
            kind(contamination=contamination)
    assert kind(contamination=np.float32(0.25)).contamination == 0.25
    for memory in (0, 1, -5, 2.5, "big", True, [100]):
        with pytest.raises(SettingsError, match=r"memory|capacity"):
            kind(memory=memory)
    detector = kind().fit(data())
    same = AsItWas(detector)
    for rate in (0, 1, -1, 2.0, np.nan, "often", None):
        with pytest.raises(SettingsError, match=r"between 0 and 1"):
            detector.set_alarm_rate(rate)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="conformal, linear, unify"):
        detector.predict_proba(data(3), method="best")
    for n_nearest, n_features in ((0, 1), (-1, 1), (1, -1)):
        with pytest.raises(SettingsError, match="n_nearest"):
            detector.explain(data(3), n_nearest=n_nearest, n_features=n_features)
    same.check()
    assert len(detector.explain(data(3), n_nearest=10_000, n_features=10_000)) == 3


@every_kind
def test_before_anything_is_known_every_question_says_call_fit(kind: type[Detector]) -> None:
    detector = kind()
    for method in set(TAKES_ROWS) - {"fit", "partial_fit", "fit_predict"}:
        with pytest.raises(NotReadyError, match="fit"):
            getattr(detector, method)(data(3))
    for name in ("decision_scores_", "threshold_", "labels_", "n_features_in_"):
        with pytest.raises(NotReadyError, match="fit"):
            getattr(detector, name)
    with pytest.raises(NotReadyError, match="fit"):
        detector.fit()
    with pytest.raises(NotReadyError, match="fit"):
        detector.partial_fit(data(3), trust="unknown")
    with pytest.raises(NotReadyError, match="fit"):
        detector.set_alarm_rate(0.01)
    assert detector.memory_features is None


@every_kind
def test_a_memory_smaller_than_what_is_asked_of_it_still_scores(kind: type[Detector]) -> None:
    detector = kind(memory=3).fit(data())
    assert len(detector.memory) <= 3
    assert np.isfinite(detector.decision_function(data(10, seed=5))).all()
    detector.forget(detector.memory.ids[:-1])
    assert len(detector.memory) == 1
    if int(detector.memory.counts.sum()) >= detector.fewest_rows:
        assert np.isfinite(detector.decision_function(data(3))).all()
    detector.forget(detector.memory.ids)
    with pytest.raises(NotReadyError, match="fit"):
        detector.decision_function(data(3))
    detector.partial_fit(data(60, seed=6))
    assert np.isfinite(detector.decision_function(data(10, seed=5))).all()

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError, StateError
from jamais.learning.training_state import EarlyStopping, Progress
from jamais.persistence.tree import flatten, unflatten


def through_a_store(tree: dict) -> dict:
    arrays, plain = flatten(tree)
    return unflatten({path: array.copy() for path, array in arrays.items()}, plain)


@given(
    st.lists(st.floats(allow_nan=True), max_size=30),
    st.integers(0, 30),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from(["min", "max"]),
)
def test_stopping_early_does_not_notice_a_restart(values, at: int, patience: int, delta: float, mode) -> None:
    through = EarlyStopping(patience, delta, mode)
    expected = [(through.look(value, step), through.best, through.best_step) for step, value in enumerate(values)]
    found, stopping = [], EarlyStopping(patience, delta, mode)
    for step, value in enumerate(values):
        if step == at:
            saved = through_a_store(stopping.state_dict())
            stopping = EarlyStopping(patience, delta, mode)
            stopping.load_state_dict(saved)
        found.append((stopping.look(value, step), stopping.best, stopping.best_step))
    assert found == expected


def test_patience_counts_looks_without_a_gain_of_more_than_min_delta() -> None:
    stopping = EarlyStopping(2, min_delta=0.5)
    assert [stopping.look(value, step) for step, value in enumerate([3.0, 2.6, 2.4, 2.0, 1.9])] == [
        False,
        False,
        False,
        False,
        True,
    ]
    assert (stopping.best, stopping.best_step) == (2.4, 2)
    upward = EarlyStopping(1, mode="max")
    assert [upward.look(value, step) for step, value in enumerate([1.0, 2.0, 2.0])] == [False, False, True]


def test_nan_and_infinities_are_never_the_best() -> None:
    for mode in ("min", "max"):
        stopping = EarlyStopping(9, mode=mode)
        for step, value in enumerate([math.nan, -math.inf, math.inf]):
            stopping.look(value, step)
        assert stopping.best is None
        stopping.look(1.0, 3)
        assert (stopping.best, stopping.best_step, stopping.looks_without) == (1.0, 3, 0)


def test_all_figures_come_back_bit_for_bit() -> None:
    progress = Progress(EarlyStopping(3))
    for loss in (0.1 + 0.2, math.nan, -0.0, 5e-324):
        progress.stepped(loss)
    progress.note(recall=0.5)
    progress.epoch = 2
    progress.early_stopping.look(0.25, 4)
    again = Progress(EarlyStopping(3))
    again.load_state_dict(through_a_store(progress.state_dict()))
    assert (again.step, again.epoch, list(again.history)) == (4, 2, ["loss", "recall"])
    pack = struct.Struct("<4d").pack
    assert pack(*again.losses) == pack(*progress.losses)
    assert all(type(loss) is float for loss in again.losses)
    assert again.early_stopping.best == 0.25


def test_figures_are_those_of_the_last_step() -> None:
    progress = Progress()
    progress.stepped(1.0)
    progress.note(recall=0.5)
    assert progress.figures == {"loss": 1.0, "recall": 0.5}
    progress.stepped(0.9)
    assert progress.figures == {"loss": 0.9}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": 1.0}, r"trainer\.step: saved float, wanted int"),
        ({"history": {"loss": [1.0]}}, r"trainer\.history\.loss: saved list"),
        ({"history": {"loss": np.zeros(2, "f4")}}, r"trainer\.history\.loss: wanted a row of float64"),
        ({"early_stopping": None}, r"trainer\.early_stopping: here, but not in the saved state"),
        ({"early_stopping": {}}, r"early_stopping\.mode: not in the saved state"),
        ({"early_stopping": EarlyStopping(1, mode="max").state_dict()}, "saved max, here min"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(change, words) -> None:
    progress = Progress(EarlyStopping(3))
    progress.stepped(1.0)
    with pytest.raises(StateError, match=words):
        progress.load_state_dict(Progress(EarlyStopping(3)).state_dict() | change)
    assert (progress.step, progress.losses) == (1, [1.0])


def test_nonsense_is_refused() -> None:
    for wrong in ((0, 0.0, "min"), (1, -1.0, "min"), (1, math.nan, "min"), (1, 0.0, "most")):
        with pytest.raises(SettingsError):
            EarlyStopping(*wrong)

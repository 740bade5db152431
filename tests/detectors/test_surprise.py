"""Are the errors of forecasts those of a slow twin, the same alone and in the whole, and do they find what breaks?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.detectors.windows import WindowBanks
from jamais.detectors.windows.described.grid import STEPS, notched
from jamais.detectors.windows.described.surprise import LAGS, LATELY, Surprise
from jamais.detectors.windows.described.trailing import Trailing
from jamais.errors import CorruptStateError, InputError


def series(n: int, seed: int = 0, gaps: float = 0.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    time = np.arange(n)[:, None]
    values = np.sin(time / [3.0, 7.0, 20.0]) + 0.1 * chance.normal(size=(n, 3))
    values[chance.random(values.shape) < gaps] = np.nan
    return np.rint(values * STEPS)


def slow_error(made: Surprise, steps: np.ndarray, row: int, channel: int) -> float:
    """Forecast one number with plain loops."""
    before = [steps[row - lag, channel] if row >= lag else np.nan for lag in range(1, LAGS + 1)]
    for lag in reversed(range(LAGS - 1)):
        if np.isnan(before[lag]):
            before[lag] = before[lag + 1]
    for lag in range(1, LAGS):
        if np.isnan(before[lag]):
            before[lag] = before[lag - 1]
    forecast = made.offset[channel] + sum(f * b for f, b in zip(made.factors[:, channel], before, strict=True))
    missed = np.rint(steps[row, channel] - forecast) / made.unit[channel]
    return float(np.rint(np.clip(missed, -8, 8) * STEPS))


def test_the_description_is_that_of_a_slow_twin() -> None:
    steps = series(60, seed=1, gaps=0.2)
    made = Surprise.learned(series(300))
    found = made.of(Trailing(steps))
    errors = np.array([[slow_error(made, steps, row, c) for c in range(3)] for row in range(60)])
    np.testing.assert_array_equal(found[:, :3], notched(errors))
    for row in range(60):
        for c in range(3):
            lately = np.abs(errors[max(0, row - LATELY + 1) : row + 1, c])
            known = lately[~np.isnan(lately)]
            wanted = np.rint(2 * known.sum() / len(known)) if len(known) else np.nan
            np.testing.assert_array_equal(found[row, 3 + c], notched(wanted))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.6]))
def test_a_row_has_the_same_bits_alone_in_pieces_and_in_the_whole(seed: int, piece: int, gaps: float) -> None:
    steps = series(80, seed, gaps)
    made = Surprise.learned(series(200, seed + 1, gaps))
    whole = made.of(Trailing(steps))
    for start in range(0, 80, piece):
        looked = max(0, start - made.w + 1)
        part = made.of(Trailing(steps[looked : start + piece]))[start - looked :]
        np.testing.assert_array_equal(part, whole[start : start + piece])


def test_learning_finds_the_rule_of_a_channel_and_leaves_the_rows_alone() -> None:
    chance = np.random.default_rng(0)
    values = np.zeros((5_000, 1))
    for row in range(2, len(values)):
        values[row] = 1.5 * values[row - 1] - 0.7 * values[row - 2] + chance.normal()
    steps = np.rint(values * STEPS)
    before = steps.copy()
    made = Surprise.learned(steps)
    np.testing.assert_array_equal(steps, before)
    np.testing.assert_allclose(made.factors[:, 0], [1.5, -0.7, 0, 0], atol=0.05)
    assert made.unit[0] == pytest.approx(1.05 * STEPS, rel=0.05)


def test_a_broken_rhythm_within_the_usual_range_is_a_surprise() -> None:
    time = np.arange(3_000)
    values = np.sin(time / 5.0)[:, None] + 0.02 * np.random.default_rng(0).normal(size=(3_000, 1))
    made = Surprise.learned(np.rint(values[:2_000] * STEPS))
    values[2_500:2_503] = values[2_496]  # three frozen rows, no unusual value
    sizes = np.abs(made.of(Trailing(np.rint(values * STEPS))))[:, 0]
    assert set(np.argsort(-sizes[2_000:])[:2] + 2_000) <= set(range(2_500, 2_508))


def test_what_is_missing_or_constant_is_no_surprise() -> None:
    steps = series(200)
    steps[:, 1] = np.nan
    steps[:, 2] = 0.0
    made = Surprise.learned(steps)
    found = made.of(Trailing(steps))
    assert np.isnan(found[:, [1, 4]]).all()
    assert (found[LAGS:, [2, 5]] == 0).all()
    assert np.isnan(found[0]).all()  # nothing before the first row: nothing was forecast


def test_banks_take_it_save_it_and_give_the_same_scores() -> None:
    chance = np.random.default_rng(0)
    values = np.sin(np.arange(900)[:, None] / [3.0, 7.0]) + 0.1 * chance.normal(size=(900, 2))
    banks = WindowBanks()
    banks.fit(values)
    learned = WindowBanks(encoder=Surprise.learned(banks.steps_of(values)))
    learned.fit(values)
    assert Surprise.name in learned.names
    again = WindowBanks()
    again.load_state_dict(learned.state_dict())
    score = learned.look(values).score
    np.testing.assert_array_equal(again.look(values).score, score)
    alone = [learned.look(values[row - learned.past : row + 1], learned.past).score[0] for row in range(200, 210)]
    np.testing.assert_array_equal(alone, score[200:210])


def test_too_few_rows_and_damaged_states_are_told() -> None:
    with pytest.raises(InputError, match="3 rows to learn forecasts from: give at least"):
        Surprise.learned(np.zeros((3, 1)))
    tree = Surprise.learned(series(50)).state_dict()
    for damage, text in (
        ({**tree, "unit": np.zeros(3)}, "positive"),
        ({**tree, "factors": tree["factors"][:1]}, "surprise.factors: saved"),
        ({**tree, "offset": tree["offset"] * np.nan}, "surprise.offset: saved"),
        ({"unit": tree["unit"]}, "not the state of a Surprise"),
    ):
        with pytest.raises(CorruptStateError, match=text):
            Surprise.from_state(damage)

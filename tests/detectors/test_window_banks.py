"""Do window banks say what they promise: the same bits however rows come, and what a slow twin says?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import windows as slow
from tests.reference.small_series import normal, shifted

from jamais.detectors.windows import BankSettings, WindowBanks
from jamais.errors import CorruptStateError, InputError, JamaisError, NotReadyError, ShapeMismatchError
from jamais.testing.bits import digest

SMALL = BankSettings(
    prototypes=24, kept=8, statistics=(1, 16), deviations=(8,), shapes=(16,), patterns=(32,), alike=0.1
)


def fitted(n: int = 500, changed: BankSettings = SMALL, seed: int = 0) -> WindowBanks:
    banks = WindowBanks(changed, seed=seed)
    banks.fit(normal(n))
    return banks


BANKS = fitted()
TODAY = shifted(normal(300, 1, 500), 200, 215)
TODAY[40:60, 0] = np.nan
TODAY[90:95] = np.nan


def test_a_row_scores_what_a_slow_twin_says() -> None:
    banks = WindowBanks(BankSettings(**{**SMALL.__dict__, "forecasts": False}))
    known = normal(500)
    known[100:110, 1] = np.nan
    banks.fit(known)
    found = banks.look(TODAY).score
    for row in (0, 5, 14, 39, 45, 59, 93, 97, 130, 205, 299):
        assert found[row] == pytest.approx(slow.score(banks, TODAY, row), rel=1e-9, abs=1e-12), row


@given(first=st.integers(0, 299), n=st.integers(1, 40), hindsight=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rows_with_what_lies_around_them_have_the_bits_of_the_whole(first: int, n: int, hindsight: bool) -> None:
    whole = BANKS.look(TODAY, hindsight=hindsight)
    last = min(first + n, len(TODAY))
    start = max(0, first - BANKS.past)
    stop = min(len(TODAY), last + BANKS.ahead) if hindsight else last
    some = BANKS.look(TODAY[start:stop], first - start, last - start, hindsight=hindsight)
    np.testing.assert_array_equal(some.score, whole.score[first:last])
    np.testing.assert_array_equal(some.parts, whole.parts[first:last])


def test_rows_too_far_out_for_float32_have_the_bits_they_have_among_others() -> None:
    wild = TODAY.copy()
    wild[100:110] += 1e6 * np.arange(1, 4)
    whole = BANKS.look(wild).score
    for row in (100, 104, 109, 150):
        assert BANKS.look(wild[row - BANKS.past : row + 1], BANKS.past).score[0] == whole[row]


def test_what_is_odd_scores_higher_than_all_that_is_not() -> None:
    score, p = BANKS.look(TODAY).score, BANKS.calibration().p_value(BANKS.look(TODAY).score)[0]
    calm = np.r_[100:199]
    assert score[200:215].max() > score[calm].max()
    assert p[201:215].min() < 0.01 < np.median(p[calm])


def test_with_hindsight_a_row_has_the_mean_of_the_windows_that_hold_it() -> None:
    causal, late = BANKS.look(TODAY), BANKS.look(TODAY, hindsight=True)
    for at, bank in enumerate(BANKS.jury.banks):
        for row in (0, 100, 210, 299):
            held = causal.parts[row : row + bank.descriptor.w, at]
            assert late.parts[row, at] == pytest.approx(held.mean(), abs=1e-8)
    votes = BANKS.jury.score(late.parts)
    assert late.score[150] == pytest.approx(votes[148:153].mean(), abs=1e-8)


def test_p_values_of_ordinary_life_are_not_too_small() -> None:
    banks = fitted(2000, BankSettings(prototypes=64))
    for hindsight in (False, True):
        later = normal(3000, 7, 2000)
        p, _ = banks.calibration(hindsight).p_value(banks.look(later, hindsight=hindsight).score[200:-200])
        assert (p <= 0.05).mean() < 0.1
        assert (p <= 0.01).mean() < 0.03


def test_a_silent_channel_is_told_and_blamed() -> None:
    silent = normal(300, 1, 500)
    silent[150:200, 2] = np.nan
    score = BANKS.look(silent).score
    assert score[166] > BANKS.calibration().threshold(0.001)
    assert BANKS.blame(silent, np.array([166])).shares[0].argmax() == 2
    assert np.isfinite(score).all()


def test_blame_names_the_channel_that_moved_and_sums_to_one() -> None:
    told = BANKS.blame(TODAY, np.array([205, 210]))
    assert told.shares.argmax(axis=1).tolist() == [1, 1]
    np.testing.assert_allclose(told.shares.sum(axis=1), 1.0)
    assert ((told.ends >= 0) & (told.ends < BANKS.n_rows)).all()


def test_places_are_apart_as_banks_say() -> None:
    places = BANKS.places(normal(200, 3, 90), np.array([150, 151, 190]))
    again = BANKS.places(normal(200, 3, 90), np.array([190]))
    np.testing.assert_array_equal(places[2:], again)
    assert np.linalg.norm(places[0] - places[1]) < np.linalg.norm(places[0] - BANKS.places(TODAY, np.array([210]))[0])


def test_a_window_that_comes_once_in_fit_data_that_repeat_is_remembered() -> None:
    values = np.zeros((3000, 2))
    values[::50, 0] = 1.0
    values[1500:1503, 1] = 1.0  # a command that is given once
    banks = WindowBanks(BankSettings(prototypes=128))
    banks.fit(values)
    held = ((banks.remembered.ends >= 1500) & (banks.remembered.ends < 1530)).sum()
    assert held >= 3
    assert banks.remembered.stands.sum() > 4 * len(banks.remembered.stands)


def test_learning_makes_normal_what_was_not_and_stays_bounded() -> None:
    banks, news = fitted(), normal(200, 5, 500) + np.array([0.0, 4.0, 0.0])
    before = banks.look(news).score[40:]
    held = banks.copy()
    came = banks.learn(news)
    assert came > 0
    assert np.median(banks.look(news).score[40:]) < 0.7 * np.median(before)
    assert len(banks.remembered.ends) <= SMALL.prototypes + SMALL.kept
    np.testing.assert_array_equal(held.look(news).score[40:], before)
    for at in range(5):
        banks.learn(normal(300, 10 + at, 700 + 300 * at) * (1 + at))
    assert len(banks.remembered.ends) <= SMALL.prototypes + SMALL.kept
    assert banks.counts.shape == (len(banks.names), len(banks.remembered.ends))


def test_scoring_changes_no_byte_and_a_reloaded_one_goes_on() -> None:
    one = fitted()
    before = digest(one.state_dict())
    score = one.look(TODAY).score
    assert digest(one.state_dict()) == before
    two = WindowBanks()
    two.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(two.look(TODAY).score, score)
    for banks in (one, two):
        banks.learn(normal(200, 4, 500))
    assert digest(one.state_dict()) == digest(two.state_dict())
    np.testing.assert_array_equal(two.look(TODAY, hindsight=True).score, one.look(TODAY, hindsight=True).score)
    np.testing.assert_array_equal(one.calibration().p_value(score)[0], two.calibration().p_value(score)[0])


def test_fitted_twice_it_is_the_same_and_another_seed_draws_others() -> None:
    assert digest(fitted().state_dict()) == digest(fitted().state_dict())
    assert digest(fitted(seed=1).state_dict()) != digest(fitted().state_dict())


@pytest.mark.parametrize("n", [100, 127, 128, 200])
def test_few_rows_are_enough(n: int) -> None:
    banks = WindowBanks()
    banks.fit(normal(n)[:, :1])
    score = banks.look(shifted(normal(60, 1, n)[:, :1], 40, 50, channel=0, by=9.0)).score
    assert np.isfinite(score).all()
    assert score[40:50].max() > score[:40].max()


def test_constant_and_empty_channels_do_no_harm() -> None:
    values = np.concatenate([normal(400), np.full((400, 1), 7.0), np.full((400, 1), np.nan)], axis=1)
    banks = WindowBanks(SMALL)
    banks.fit(values)
    assert banks.scale is not None
    assert banks.scale.constant.tolist() == [0, 0, 0, 1, 1]
    calm = values[:100].copy()
    moved = calm.copy()
    moved[80:, 3] = 8.0
    assert banks.look(moved).score[90] > banks.look(calm).score[90] + 1
    assert banks.blame(moved, np.array([90])).shares[0].argmax() == 3


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (np.zeros((99, 2)), InputError, "99 rows to fit on: give at least 100"),
        (np.zeros(200), ShapeMismatchError, "one channel alone is x"),
        (np.zeros((200, 0)), ShapeMismatchError, "wanted values"),
    ],
)
def test_what_cannot_be_fitted_is_told(values: np.ndarray, kind: type[JamaisError], text: str) -> None:
    with pytest.raises(kind, match=text):
        WindowBanks().fit(values)


def test_asked_too_early_or_with_other_channels_it_says_so() -> None:
    with pytest.raises(NotReadyError, match="fit"):
        WindowBanks().look(TODAY)
    with pytest.raises(ShapeMismatchError, match=r"\[n, 3\]"):
        BANKS.look(TODAY[:, :2])


@pytest.mark.parametrize(
    "wrong",
    [{"prototypes": 0}, {"statistics": (3,)}, {"shapes": (8,)}, {"clip": 1000.0}, {"alike": 1.0}, {"floor": 0.0},
     {"statistics": (), "deviations": (), "shapes": (), "patterns": ()}],
)  # fmt: skip
def test_settings_that_make_no_banks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        BankSettings(**wrong)


@pytest.mark.parametrize("part", ["remembered/windows", "units", "counts", "remembered/stands", "scale/mean"])
def test_parts_that_do_not_fit_together_are_refused_and_change_nothing(part: str) -> None:
    tree: dict[str, Any] = json.loads(json.dumps({})) | BANKS.state_dict()
    inside = tree
    *path, last = part.split("/")
    for name in path:
        inside[name] = dict(inside[name])
        inside = inside[name]
    inside[last] = inside[last][:-1]
    other = fitted(300)
    before = digest(other.state_dict())
    with pytest.raises((CorruptStateError, ValueError)):
        other.load_state_dict(tree)
    assert digest(other.state_dict()) == before

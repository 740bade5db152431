"""Does the exceedance test raise as few false alarms as it promises, and notice what has moved?"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import beta, binom

from jamais.errors import InputError, SettingsError, StateError
from jamais.learning.drift import ODDS, DriftSettings, ExceedanceTest, allowed_rate
from jamais.settings import override


def naive(p_values: list[float], level: float, rate: float, limit: float) -> tuple[int | None, int | None]:
    """Follow the definitions row by row: the sum over all beginnings of the product of likelihood ratios since."""
    shares = [times * rate / (1 - rate + times * rate) for times in ODDS]
    products: list[list[float]] = [[] for _ in ODDS]  # one per beginning
    for row, p in enumerate(p_values):
        for share, since in zip(shares, products, strict=True):
            ratio = share / rate if p <= level else (1 - share) / (1 - rate)
            since.append(1.0)
            for begin in range(len(since)):
                since[begin] *= ratio
        if p <= level and np.mean([sum(since) for since in products]) >= limit:
            best = max(products, key=max)
            return row, int(np.argmax(best))
    return None, None


@given(some.lists(some.sampled_from([0.01, 0.04, 0.3, 0.9]), max_size=120), some.sampled_from([100, 1000]))
def test_it_is_the_sum_over_all_beginnings_of_a_change(p_values: list[float], limit: int) -> None:
    test = ExceedanceTest(DriftSettings(rows_between_false_alarms=limit))
    test.push(p_values)
    noticed, since = naive(p_values, test.level, test.rate, limit)
    assert test.noticed == noticed
    assert test.since == since
    assert test.exceedances == sum(p <= test.level for p in p_values)


@given(some.lists(some.floats(0, 1), max_size=200), some.lists(some.integers(0, 200), max_size=5))
def test_pieces_give_what_the_whole_gives_to_the_bit(p_values: list[float], cuts: list[int]) -> None:
    settings = DriftSettings(quantile=0.5, rows_between_false_alarms=100)
    whole, pieces = ExceedanceTest(settings), ExceedanceTest(settings)
    whole.push(p_values)
    for piece in np.split(np.array(p_values), sorted(min(cut, len(p_values)) for cut in cuts)):
        again = ExceedanceTest()
        again.load_state_dict(json.loads(json.dumps(pieces.state_dict())))
        pieces = again
        pieces.push(piece)
    assert pieces.report() == whole.report()
    if not whole.drifted:
        assert pieces.state_dict() == whole.state_dict()


def test_chance_alone_says_so_no_more_often_than_promised() -> None:
    # On average once in `rows` rows at most: in 400 streams of half as many rows, half of them at most; and in fact
    # less, as beginnings overlap. Binomial p-values, where the rate is exactly the level: the worst case.
    rows, rng = 2_000, np.random.default_rng(0)
    found = 0
    for _ in range(400):
        test = ExceedanceTest(DriftSettings(rows_between_false_alarms=rows))
        found += test.push(rng.random(rows // 2))
    assert binom.sf(found - 1, 400, 0.5) > 1e-3, found
    assert found > 0, "it is not so deaf that the promise costs everything"


def test_a_calibration_of_few_rows_is_allowed_for() -> None:
    # Conformal p-values against 100 calibration rows: the rate given the calibration is anything from .01 to .11.
    rng = np.random.default_rng(1)
    naive_found = found = 0
    for _ in range(100):
        calibration = np.sort(rng.random(100))
        above = 100 - np.searchsorted(calibration, rng.random(5_000), side="left")
        p_values = (1 + above) / 101
        found += ExceedanceTest(calibration_rows=100).push(p_values)
        naive_found += ExceedanceTest().push(p_values)
    assert naive_found > 10, "taken as exact, the p-values of a small calibration drift"
    assert found <= 3


@pytest.mark.parametrize("n", [1, 10, 19, 50, 123, 1_000, 9_999])
@pytest.mark.parametrize("level", [0.05, 0.01, 0.5])
def test_the_rate_allowed_for_is_the_99_percent_quantile_of_a_beta(n: int, level: float) -> None:
    k = max(1, math.floor(level * (n + 1)))
    assert allowed_rate(level, n) == pytest.approx(min(max(level, beta.ppf(0.99, k, n + 1 - k)), 0.9), rel=1e-6)
    assert allowed_rate(level, None) == level


@pytest.mark.parametrize(("share", "most"), [(1.0, 10), (0.5, 30), (0.2, 110), (0.1, 400)])
def test_a_change_is_noticed_soon_and_dated_well(share: float, most: int) -> None:
    rng = np.random.default_rng(2)
    delays, errors = [], []
    for _ in range(40):
        moved = np.where(rng.random(3_000) < share, 0.001, rng.random(3_000))
        test = ExceedanceTest()
        test.push(np.concatenate([rng.random(1_000), moved]))
        assert test.noticed is not None
        assert test.since is not None
        delays.append(test.noticed - 1_000)
        errors.append(abs(test.since - 1_000))
    assert min(delays) >= 0
    assert np.median(delays) < most
    assert np.median(errors) < 2 + most / 4


def test_what_it_finds_does_not_hang_on_what_comes_after() -> None:
    moved = np.concatenate([np.linspace(0.06, 1, 300), np.full(20, 0.01)])
    test = ExceedanceTest()
    assert not test.push(moved[:300])
    assert test.push(moved[300:])
    first = (test.noticed, test.since)
    assert first[1] == 300
    assert test.push(np.ones(5_000)), "it stays said until somebody learns"
    assert (test.noticed, test.since) == first
    report = test.report(["more of this"])
    assert test.noticed == 304
    moved, more = str(report).splitlines()
    assert moved.startswith("normal has moved since row 300: 5 of 5 rows from there are far out, 0.3 were to be ")
    assert moved.endswith("expected (in all 20 of 5,320)")
    assert more == "  more of this"
    test.reset()
    assert not test.drifted
    assert str(test.report(["more of this"])) == "no drift: 0 of 0 rows are far out, 0 were to be expected"


def test_no_rows_are_no_drift() -> None:
    test = ExceedanceTest()
    assert not test.push([])
    assert test.report().rows == 0


@pytest.mark.parametrize("wrong", [[0.1, math.nan], [1.1], [-0.1], [[0.5]], math.nan])
def test_what_is_no_p_value_is_told_and_not_counted(wrong: Any) -> None:
    test = ExceedanceTest()
    test.push([0.01, 0.5])
    before = test.state_dict()
    with pytest.raises(InputError, match="p-value from 0 to 1"):
        test.push(wrong)
    assert test.state_dict() == before


@pytest.mark.parametrize(("name", "value"), [("quantile", 1.0), ("quantile", 0.1), ("rows_between_false_alarms", 10)])
def test_settings_that_make_no_sense_are_told(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=name.split("_")[0]):
        override(DriftSettings(), {name: value})


def test_a_state_of_another_kind_of_test_is_refused() -> None:
    tree = ExceedanceTest().state_dict()
    with pytest.raises(StateError, match="alternatives"):
        ExceedanceTest().load_state_dict({**tree, "sums": [0.0]})

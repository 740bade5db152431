from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jamais.detectors.calibration import Calibration
from jamais.detectors.calibration import conformal as calibration
from jamais.detectors.calibration.tails import Tail, pareto
from jamais.errors import SettingsError

few_scores = st.lists(st.integers(-8, 40).map(lambda k: k / 4), min_size=1, max_size=60)
any_scores = st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=40)


def fitted(scores: Any, smallest_scale: float = 1e-9) -> Calibration:
    one = Calibration(smallest_scale, tail="pareto")
    one.fit(np.array(scores, dtype=np.float64))
    return one


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5])
def test_the_shape_of_a_long_tail_is_found_and_raised_by_its_standard_error(shape: float) -> None:
    excess = np.sort(stats.genpareto(shape, scale=3.0).rvs(20_000, random_state=0))
    tail = pareto(excess, np.ones(len(excess)), 1e-9)
    standard_error = (1 + shape) / 20_000**0.5
    assert tail.shape == pytest.approx(shape + standard_error, abs=4 * standard_error)
    # What lies above the highest of a Pareto law is Pareto, with a scale that has grown with the height.
    assert tail.scale == pytest.approx(3.0 + tail.shape * excess[-1], rel=0.05)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=25), st.data())
def test_a_weight_is_so_many_equal_scores(excess: list[int], data: st.DataObject) -> None:
    values = np.unique(np.array(excess, dtype=np.float64))
    weights = np.array([data.draw(st.integers(1, 5)) for _ in values], dtype=np.float64)
    short = pareto(values, weights, 1e-9)
    long = pareto(np.repeat(values, weights.astype(int)), np.ones(int(weights.sum())), 1e-9)
    assert (short.scale, short.shape) == pytest.approx((long.scale, long.shape))


@pytest.mark.parametrize("name", ["expon", "norm", "uniform", "lognorm", "t", "genpareto", "beta"])
def test_extrapolated_p_values_are_honest_for_tails_of_all_kinds(name: str) -> None:
    """Asked for a tenth and a hundredth of what 1,000 rows resolve, the alarm rate is at most 2.5 and 6 times that.

    An exponential tail alarms up to 6 and 45 times as often on the heavy ones.
    """
    shapes = {"lognorm": (1.0,), "t": (3,), "genpareto": (1 / 3,), "beta": (2, 2)}
    law = getattr(stats, name)(*shapes.get(name, ()))
    worlds = np.random.default_rng(5).random((150, 1000))
    for part, limit in ((0.1, 2.5), (0.01, 6.0)):
        rate = part / 1001
        found = np.mean([law.sf(fitted(law.ppf(world)).threshold(rate)) for world in worlds])
        assert found <= limit * rate


@given(any_scores, any_scores)
def test_p_values_of_scores_of_any_size_are_numbers_between_0_and_1(kept: list[float], asked: list[float]) -> None:
    one = fitted(kept)
    p, beyond = one.p_value(np.array(asked + kept + [np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324]))
    assert ((p > 0) & (p <= 1)).all()
    assert (p[beyond] <= one.finest_rate).all()
    assert not np.isnan(one.nats(np.array([*asked, *kept, np.inf]))).any()
    assert not np.isnan(one.nats_of_kept(np.array(kept))).any()
    assert not np.isnan(one.threshold(1e-9))


@given(few_scores, st.sampled_from(["exponential", "pareto"]))
def test_p_values_never_rise_with_the_score_and_nats_never_fall(kept: list[float], tail: str) -> None:
    one = Calibration(tail=tail)
    one.fit(np.array(kept))
    asked = np.linspace(-5, 300, 2000)
    p, _ = one.p_value(asked)
    assert (np.diff(p) <= 0).all()
    nats = one.nats(asked)
    assert (np.diff(nats) >= -1e-12).all()
    assert nats == pytest.approx(-np.log(p), rel=1e-9, abs=1e-9)


@given(few_scores, st.floats(1e-9, 0.999))
def test_the_threshold_is_the_smallest_score_that_alarms(kept: list[float], rate: float) -> None:
    one = fitted(kept, smallest_scale=0.5)
    limit = one.threshold(rate)
    margin = 1e-9 * max(abs(limit), 1.0)
    p, _ = one.p_value(np.array([limit + margin, limit - margin]))
    assert p[0] <= rate * (1 + 1e-6)
    assert rate < p[1] * (1 + 1e-6)


@given(st.lists(st.integers(-8, 40).map(float), min_size=2, max_size=40), st.sampled_from(["exponential", "pareto"]))
def test_a_kept_score_is_judged_by_all_the_others(kept: list[float], tail: str) -> None:
    whole = Calibration(0.5, tail=tail)
    whole.fit(np.array(kept))
    slow = []
    for i, score in enumerate(kept):
        others = Calibration(0.5, tail=tail)
        others.fit(np.array(kept[:i] + kept[i + 1 :]))
        slow.append(others.nats(np.array([score]))[0])
    assert whole.nats_of_kept(np.array(kept)) == pytest.approx(slow, rel=1e-12, abs=1e-12)
    strange = np.array([-8.5, 0.25, 41.0])
    assert (whole.nats_of_kept(strange) == whole.nats(strange)).all()


def test_a_tail_is_undone_by_its_excess() -> None:
    for tail in (Tail(2.0), Tail(2.0, 0.3)):
        assert tail.nats(np.array([tail.excess(5.0)]))[0] == pytest.approx(5.0)
        assert tail.excess(0.0) == 0.0
    assert Tail(1.0, 0.9).excess(1e6) == np.inf


def test_an_unknown_tail_is_refused() -> None:
    with pytest.raises(SettingsError, match="exponential, pareto"):
        Calibration(tail="fat")


def test_the_logs_keep_their_exponential_tail_to_the_bit() -> None:
    scores = np.random.default_rng(0).gamma(2.0, size=500)
    one = Calibration()
    one.fit(scores)
    top = np.sort(scores)
    scale = max(calibration.SMALLEST_SCALE, float(np.average(top[-50:] - top[-51], weights=np.ones(50))))
    asked = np.array([top[-1] + 0.7, 50.0, 2000.0])
    assert (one.p_value(asked)[0] == np.exp(-(asked - top[-1]) / scale) / 501).all()
    assert one.threshold(1e-4) == top[-1] + scale * np.log((1 / 501) / 1e-4)


def test_a_tail_of_ties_promises_no_certainty() -> None:
    """The top tenth is one value but for rounding: the body says what a step up is worth."""
    body = np.random.default_rng(0).uniform(0.0, 1.0, size=180)
    one = Calibration.of(np.concatenate([body, np.full(20, 1.0), [1.0 + 1e-16, 1.0 + 1e-15]]))
    p, beyond = one.p_value(np.array([1.0, 1.0 + 1e-12, 1.05, 3.0]))
    assert beyond.tolist() == [False, True, True, True]
    assert p[0] > 0.05
    assert p[1] == pytest.approx(one.finest_rate, rel=1e-6)
    assert p[2] > 0.2 * one.finest_rate
    assert p[3] < 0.05 * one.finest_rate


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_scale_of_the_scores_changes_no_p_value(scale: float) -> None:
    scores = np.random.default_rng(0).gamma(2.0, size=400)
    asked = np.linspace(0.0, 60.0, 500)
    one, other = Calibration.of(scores), Calibration.of(scores * scale)
    assert other.p_value(asked * scale)[0] == pytest.approx(one.p_value(asked)[0], rel=1e-9)
    assert other.threshold(1e-5) == pytest.approx(one.threshold(1e-5) * scale)


@given(any_scores, any_scores)
def test_scores_of_any_size_calibrate_themselves(kept: list[float], asked: list[float]) -> None:
    one = Calibration.of(np.array(kept))
    p, _ = one.p_value(np.array(asked + kept + [np.inf, -np.inf]))
    assert ((p > 0) & (p <= 1)).all()
    assert not np.isnan(one.threshold(1e-9))

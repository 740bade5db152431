from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.detectors.calibration import AdaptiveRate, Calibration
from jamais.detectors.calibration.adaptive import MOST_NATS
from jamais.errors import CorruptStateError, InputError, SettingsError
from jamais.testing import digest


@given(
    st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 1e-3, 0.05, 0.3, 1.0]), min_size=1, max_size=30),
    st.integers(1, 40),
    st.sampled_from([0.5, 0.05, 0.004]),
    st.sampled_from([0.1, 0.5, 3.0]),
)
def test_the_share_of_alarms_is_near_the_target_on_any_sequence(
    pattern: list[float], repeats: int, target: float, step: float
) -> None:
    one = AdaptiveRate(target, step)
    alarms = one.decide(np.array(pattern * repeats))
    assert abs(alarms.mean() - target) <= (MOST_NATS + step) / (step * len(alarms))
    assert one.n_alarms == alarms.sum()
    assert one.n_rows == len(alarms)


@given(st.lists(st.floats(0, 1), max_size=30), st.sampled_from([0.3, 0.01]))
def test_alarms_are_those_of_the_slow_twin(p: list[float], target: float) -> None:
    threshold, alarms = -np.log(target), []
    for one in p:
        nats = min(-np.log(one), 50.0) if one > 0 else 50.0
        alarms.append(bool(nats >= threshold))
        threshold += 0.5 * ((1 - target) if alarms[-1] else -target)
    assert AdaptiveRate(target).decide(p).tolist() == alarms


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(0, 40))
def test_cutting_and_saving_a_stream_changes_nothing(p: list[float], at: int) -> None:
    whole, first, second = AdaptiveRate(0.1), AdaptiveRate(0.1), AdaptiveRate(0.7, 2.0)
    wanted = whole.decide(p).tolist()
    head = first.decide(p[:at]).tolist()
    second.load_state_dict(first.state_dict())
    assert head + second.decide(p[at:]).tolist() == wanted
    assert digest(second.state_dict()) == digest(whole.state_dict())


def drifting(seed: int) -> tuple[Any, Any]:
    """P-values of 20,000 rows whose normal life moves by 3 standard deviations, and which rows are abnormal."""
    rng = np.random.default_rng(seed)
    calibration = Calibration()
    calibration.fit(rng.normal(size=2_000))
    moved = 3.0 * np.clip((np.arange(20_000) - 5_000) / 10_000, 0.0, 1.0)
    abnormal = rng.random(20_000) < 0.002
    return calibration.p_value(rng.normal(size=20_000) + moved + 5.0 * abnormal)[0], abnormal


def test_under_drift_the_rate_holds_where_a_fixed_threshold_alarms_on_everything() -> None:
    p, abnormal = drifting(0)
    after = np.arange(len(p)) >= 15_000
    fixed, adaptive = p <= 0.01, AdaptiveRate(0.01).decide(p)
    assert fixed[after & ~abnormal].mean() > 0.5
    assert adaptive[after & ~abnormal].mean() < 0.012
    assert adaptive[after & abnormal].mean() > 0.9
    assert abs(adaptive.mean() - 0.01) < 0.003


def test_without_drift_it_alarms_like_the_fixed_threshold() -> None:
    rng = np.random.default_rng(1)
    calibration = Calibration()
    calibration.fit(rng.normal(size=5_000))
    p = calibration.p_value(rng.normal(size=20_000))[0]
    assert AdaptiveRate(0.05).decide(p).mean() == pytest.approx(0.05, abs=0.002)


def test_a_flood_of_abnormal_rows_is_alarmed_on_at_the_target_rate_only() -> None:
    one = AdaptiveRate(0.01)
    assert one.decide(np.zeros(30_000))[20_000:].mean() == pytest.approx(0.01, abs=0.001)
    assert one.decide(np.ones(30_000))[20_000:].mean() == pytest.approx(0.01, abs=0.001)


def test_it_says_which_p_value_would_be_alarmed_on_next() -> None:
    one = AdaptiveRate(0.01)
    assert one.rate == pytest.approx(0.01)
    one.decide([0.001])
    assert one.rate < 0.01
    one.decide([0.5] * 100)
    assert one.rate > 0.009


@pytest.mark.parametrize("bad", [{"target": 0.0}, {"target": 1.0}, {"target": 0.1, "step": 0.0}])
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="AdaptiveRate wants"):
        AdaptiveRate(**bad)


def test_bad_p_values_change_nothing() -> None:
    one = AdaptiveRate(0.1)
    before = digest(one.state_dict())
    for bad in ([np.nan], [2.0], [[0.1]]):
        with pytest.raises(InputError, match="p-values"):
            one.decide(bad)  # type: ignore[arg-type]
    assert digest(one.state_dict()) == before


@pytest.mark.parametrize("damage", [{"target": 7.0}, {"threshold": np.nan}, {"threshold": 900.0}, {"step": "x"}])
def test_a_damaged_state_is_refused_and_changes_nothing(damage: dict[str, Any]) -> None:
    one = AdaptiveRate(0.1)
    before = digest(one.state_dict())
    with pytest.raises(CorruptStateError):
        one.load_state_dict({**AdaptiveRate(0.2).state_dict(), **damage})
    with pytest.raises(CorruptStateError):
        one.load_state_dict({})
    assert digest(one.state_dict()) == before

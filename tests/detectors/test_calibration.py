from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import naive

from jamais.detectors.calibration import Calibration
from jamais.detectors.calibration import conformal as calibration
from jamais.errors import NotReadyError

# Few distinct values, so that ties are common; quarters, so that sums are exact.
few_scores = st.lists(st.integers(-8, 40).map(lambda k: k / 4), min_size=1, max_size=60)


def fitted(scores: list[float]) -> Calibration:
    one = Calibration()
    one.fit(np.array(scores))
    return one


@given(few_scores, few_scores)
def test_p_values_are_those_of_the_slow_twin(kept: list[float], asked: list[float]) -> None:
    p, beyond = fitted(kept).p_value(np.array(asked))
    slow = [naive.p_value(kept, score, smallest_scale=calibration.SMALLEST_SCALE) for score in asked]
    assert p == pytest.approx([value for value, _ in slow], rel=1e-12)
    assert beyond.tolist() == [far for _, far in slow]


@given(few_scores, st.floats(1e-9, 0.999))
def test_the_threshold_is_the_smallest_score_that_alarms(kept: list[float], rate: float) -> None:
    one = fitted(kept)
    limit = one.threshold(rate)
    just_above = np.nextafter(limit, np.inf) + 1e-9 * abs(limit)
    just_below = np.nextafter(limit, -np.inf) - 1e-9 * abs(limit)
    p, _ = one.p_value(np.array([just_above, just_below]))
    assert p[0] <= rate < p[1] * (1 + 1e-9)


@given(few_scores, few_scores)
def test_two_halves_merged_equal_one_pass(first: list[float], second: list[float]) -> None:
    merged, whole = fitted(first), fitted(first + second)
    merged.merge(fitted(second))
    asked = np.linspace(-3, 14, 69)
    assert (merged.p_value(asked)[0] == whole.p_value(asked)[0]).all()
    assert merged.n_rows == len(first) + len(second)


@given(few_scores)
def test_a_saved_calibration_gives_the_same_bits(kept: list[float]) -> None:
    one, two = fitted(kept), Calibration()
    two.load_state_dict(one.state_dict())
    asked = np.linspace(-3, 30, 67)
    assert one.p_value(asked)[0].tobytes() == two.p_value(asked)[0].tobytes()
    assert one.threshold(1e-4) == two.threshold(1e-4)


@given(few_scores)
def test_p_values_never_rise_with_the_score(kept: list[float]) -> None:
    p, _ = fitted(kept).p_value(np.linspace(-5, 60, 500))
    assert (np.diff(p) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()


@pytest.mark.parametrize("heavy", [False, True])
def test_p_values_of_rows_from_the_same_world_are_super_uniform(heavy: bool) -> None:
    rng = np.random.default_rng(3)
    draw = rng.standard_t(2, size=(200, 1500)) if heavy else rng.gamma(2.0, size=(200, 1500)).round(1)
    hits = {0.01: 0, 0.05: 0, 0.2: 0}
    for world in draw:
        p, _ = fitted(world[:500].tolist()).p_value(world[500:])
        for rate in hits:
            hits[rate] += int((p <= rate).sum())
    for rate, found in hits.items():
        # 200 worlds of 500 kept rows: the share of alarms has a standard error of about sqrt(rate / 100,000).
        assert found / (200 * 1000) <= rate + 4 * (rate / 100_000) ** 0.5


def test_a_thinned_calibration_never_makes_a_p_value_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).gamma(2.0, size=3000)
    exact = fitted(scores.tolist())
    monkeypatch.setattr(calibration, "CAPACITY", 200)
    thinned = fitted(scores.tolist())
    asked = np.linspace(0, 20, 2000)
    p, full = thinned.p_value(asked)[0], exact.p_value(asked)[0]
    assert len(thinned.values) <= 200
    assert thinned.n_rows == 3000
    assert (p >= full).all()
    assert np.abs(p - full).max() < 0.02
    kept_exactly = (asked > np.sort(scores)[-100]) & (asked <= scores.max())
    assert kept_exactly.sum() > 100
    assert (p[kept_exactly] == full[kept_exactly]).all()
    again = Calibration()
    again.load_state_dict(thinned.state_dict())
    assert (again.p_value(asked)[0] == p).all()


def test_without_rows_it_says_what_to_do() -> None:
    with pytest.raises(NotReadyError, match="fit"):
        Calibration().p_value(np.zeros(1))
    with pytest.raises(NotReadyError, match="fit"):
        Calibration().threshold(0.1)
    assert Calibration().finest_rate == 1.0

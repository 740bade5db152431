"""Event F1, affiliation and point adjustment at fixed alarms equal TSB-AD's and slow twins; the rest is counted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import series_figures as slow

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation.series import (
    affiliation,
    alarm_load,
    delays,
    event_f1,
    hit_rate,
    percent_adjusted,
    point_adjusted,
)
from jamais.types import NO_TIME

# Made by TSB-AD 1.5 on the arrays of `alarmed` below, whose code was pasted before this:
#   from TSB_AD.evaluation.basic_metrics import basic_metricor
#   for seed in range(6):
#       labels, alarms = alarmed(seed)
#       grader, score = basic_metricor(), alarms.astype(float)
#       of = (grader.metric_EventF1PA, grader.metric_Affiliation, grader.metric_PointF1PA, grader.metric_PointF1)
#       print((seed, *(float(figure(labels, score, alarms)) for figure in of)))
TSB_AD = [
    (0, 0.38265306122448933, 0.6403289658055566, 0.5394736842105263, 0.26109660574412535),
    (1, 0.25668449197860915, 0.4157705304858064, 0.581453634085213, 0.1563517915309446),
    (2, 0.29879518072289113, 0.5211311735772564, 0.5635910224438903, 0.19435736677115986),
    (3, 0.16666666666666619, 0.4845205495133174, 0.1751412429378531, 0.1),
    (4, 0.321116928446771, 0.7438224774757431, 0.7189873417721518, 0.16666666666666666),
    (5, 0.0, 0.4844720734602741, 0.0, 0.0),
]


def alarmed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stretches of labels and alarms, single alarmed rows, no label at the ends (where TSB-AD errs)."""
    generator = np.random.default_rng(seed)
    labels, alarms = np.zeros(900, dtype=int), (generator.random(900) < 0.01).astype(int)
    for first, length in zip(generator.integers(1, 800, 7), generator.integers(1, 60, 7), strict=True):
        labels[first : first + length] = 1
    for first, length in zip(generator.integers(0, 890, 6), generator.integers(1, 40, 6), strict=True):
        alarms[first : first + length] = 1
    return labels, alarms


@pytest.mark.parametrize(("seed", "event", "near", "adjusted", "plain"), TSB_AD)
def test_figures_at_fixed_alarms_are_those_of_tsb_ad(seed, event, near, adjusted, plain):
    labels, alarms = alarmed(seed)
    assert event_f1(labels, alarms).f1 == pytest.approx(event, abs=1e-12)
    assert affiliation(labels, alarms).f1 == pytest.approx(near, abs=1e-12)
    assert point_adjusted(labels, alarms, repeats=1).f1 == pytest.approx(adjusted, abs=1e-12)
    assert percent_adjusted(labels, alarms, repeats=1).f1[100] == pytest.approx(plain, abs=1e-12)


@st.composite
def alarms_and_labels(draw):
    n = draw(st.integers(2, 45))
    ones = st.lists(st.integers(0, 1), min_size=n, max_size=n)
    return draw(ones.filter(lambda drawn: 0 < sum(drawn) < n)), draw(ones)


@given(alarms_and_labels())
def test_affiliation_is_that_of_the_slow_twin(both):
    labels, alarms = both
    found = affiliation(labels, alarms)
    precision, recall = slow.affiliation(labels, alarms)
    assert found.recall == pytest.approx(recall, abs=1e-9)
    assert found.precision == pytest.approx(precision, abs=1e-9, nan_ok=True)


@given(alarms_and_labels())
def test_affiliation_does_not_know_which_way_time_runs(both):
    labels, alarms = both
    there, back = affiliation(labels, alarms), affiliation(labels[::-1], alarms[::-1])
    assert (there.precision, there.recall) == pytest.approx((back.precision, back.recall), abs=1e-12, nan_ok=True)


@given(alarms_and_labels())
def test_percent_adjustment_is_that_of_the_slow_twin(both):
    labels, alarms = both
    curve = percent_adjusted(labels, alarms, repeats=1)
    assert curve.f1.tolist() == pytest.approx([slow.percent_adjusted(labels, alarms, k) for k in range(101)])
    assert np.all(np.diff(curve.f1) <= 0)
    assert curve.f1[100] - 1e-12 <= curve.area <= curve.f1[0] + 1e-12


def test_perfect_alarms_are_perfect_by_every_figure():
    labels = np.repeat([0, 1, 0, 1], 10)
    near = affiliation(labels, labels)
    assert (event_f1(labels, labels).f1, near.f1, near.precision, near.recall) == (1, 1, 1, 1)
    assert percent_adjusted(labels, labels).area == 1
    assert delays(labels, labels).rows.tolist() == [0, 0]


def test_without_an_alarm_nothing_is_found():
    labels, none = np.repeat([0, 1, 0], 10), np.zeros(30, dtype=bool)
    near = affiliation(labels, none)
    assert (near.f1, near.recall) == (0, 0)
    assert math.isnan(near.precision)
    assert event_f1(labels, none).f1 == 0
    assert point_adjusted(labels, none).f1 == point_adjusted(labels, none).random == 0
    assert math.isnan(delays(labels, none).median_rows)
    assert alarm_load(none).alarms == 0


def test_random_alarms_win_by_point_adjustment():
    labels = np.zeros(20_000, dtype=int)
    for first in range(500, 20_000, 2000):
        labels[first : first + 300] = 1
    alarms = np.random.default_rng(3).random(20_000) < 0.01
    pair = point_adjusted(labels, alarms)
    assert pair.f1 > 0.85
    assert pair.random_range[0] <= pair.random <= pair.random_range[1]
    assert abs(pair.f1 - pair.random) < 0.1
    assert "of random alarms at the same rate" in str(pair)
    assert percent_adjusted(labels, alarms).random_area < 0.1


def test_the_last_row_of_a_stretch_that_ends_with_the_series_counts():
    assert event_f1([0, 0, 1], [0, 0, 1]).found == 1


def test_delays_are_in_rows_and_seconds_and_missed_ones_are_no_numbers():
    labels = [0, 1, 1, 1, 0, 1, 1, 0, 1]
    alarms = [1, 0, 0, 1, 0, 0, 0, 1, 1]
    times = np.array([0, 60, 120, 240, 300, 360, 420, 480, 540]) * 1_000_000
    late = delays(labels, alarms, times)
    assert late.rows.tolist() == pytest.approx([2, math.nan, 0], nan_ok=True)
    assert late.seconds.tolist() == pytest.approx([180, math.nan, 0], nan_ok=True)
    assert (late.median_rows, late.median_seconds) == (1, 90)
    assert delays(labels, alarms).seconds is None
    assert delays(labels, alarms, np.where(times == 0, NO_TIME, times)).seconds is None


def test_neighbouring_alarmed_rows_are_one_alarm():
    hours = np.arange(48) * 3_600_000_000
    load = alarm_load(np.isin(np.arange(48), [3, 4, 5, 20, 30]), hours)
    assert (load.rows, load.alarms) == (5, 3)
    assert load.per_day == pytest.approx(1.5)
    assert load.per_thousand_rows == pytest.approx(62.5)
    assert math.isnan(alarm_load([1, 0]).per_day)
    stamps = hours.astype("datetime64[us]")
    assert alarm_load(np.ones(48), stamps).per_day == pytest.approx(0.5)


def test_hit_rate_counts_the_guilty_among_the_first():
    truth = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 0, 0]])
    blame = np.array([[0.5, 0.1, 0.4, 0.0, 0.0], [0.3, 0.1, 0.2, 0.4, 0.0], [0.1, 0.2, 0.3, 0.4, 0.0]])
    assert hit_rate(truth, blame).each.tolist() == pytest.approx([1 / 2, 0, 2 / 3])
    # floor(1.5 x 2) = 3, floor(1.5 x 1) = 1, floor(1.5 x 3) = 4 places
    assert hit_rate(truth, blame, 150).each.tolist() == pytest.approx([1, 0, 1])
    assert hit_rate(truth, blame).mean == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert hit_rate(truth, blame).random == pytest.approx((2 + 1 + 3) / 15)


@given(st.integers(0, 1000))
def test_equal_blame_is_worth_a_random_ranking(seed):
    truth = np.random.default_rng(seed).random((5, 7)) < 0.4
    truth[:, seed % 7] = True
    flat = hit_rate(truth, np.ones((5, 7)))
    assert flat.mean == pytest.approx(flat.random)


def test_hit_rate_is_the_plain_count_where_no_blame_is_equal():
    generator = np.random.default_rng(1)
    truth, blame = generator.random((40, 9)) < 0.3, generator.random((40, 9))
    truth[:, 0] = True
    for percent in (100, 150):
        for guilty, given_blame, rate in zip(truth, blame, hit_rate(truth, blame, percent).each, strict=True):
            first = np.argsort(-given_blame)[: int(percent / 100 * guilty.sum())]
            assert rate == pytest.approx(guilty[first].sum() / guilty.sum())


def test_bad_input_is_named():
    with pytest.raises(ShapeMismatchError, match=r"one alarm .* for each of 3 rows, got 2"):
        event_f1([0, 1, 0], [0, 1])
    with pytest.raises(InputError, match="true or false"):
        event_f1([0, 1, 0], [0.2, 0.5, 0.1])
    with pytest.raises(ShapeMismatchError, match="one time for each of 3 rows"):
        delays([0, 1, 0], [0, 1, 0], [1, 2])
    with pytest.raises(InputError, match="one repeat or more"):
        point_adjusted([0, 1, 0], [0, 1, 0], repeats=0)
    with pytest.raises(InputError, match="row 1 has no responsible channel"):
        hit_rate([[1, 0], [0, 0]], np.ones((2, 2)))
    with pytest.raises(ShapeMismatchError, match="segments, channels"):
        hit_rate([1, 0], [1, 0])
    with pytest.raises(InputError, match="percent must be above 0"):
        hit_rate([[1, 0]], [[1, 0]], 0)

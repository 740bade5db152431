"""A report never shows a figure without what random scores have."""

import json

import numpy as np
import pytest

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation import series


@pytest.fixture
def metrics() -> dict[str, np.ndarray]:
    """Two channels with the period 24 and three stretches where the second one jumps; a row a minute."""
    generator = np.random.default_rng(4)
    rows = np.arange(2000)
    values = np.stack([np.sin(rows / 24 * 2 * np.pi), np.zeros(2000)], axis=1) + generator.normal(size=(2000, 2)) / 10
    labels = np.zeros(2000, dtype=int)
    for first in (300, 900, 1600):
        labels[first : first + 40] = 1
    values[:, 1] += labels * generator.normal(size=2000) * 2
    score = np.abs(values[:, 1])
    return {"labels": labels, "score": score, "values": values, "times": rows * 60_000_000}


def test_the_random_and_the_squared_norm_row_stand_beside_the_score(metrics):
    made = series.report(metrics["labels"], metrics["score"], metrics["score"] > 0.5, values=metrics["values"])
    assert made.window == 24
    assert made.score.vus_pr > 0.7 > 0.2 > made.uniform_random.vus_pr
    assert 0.45 < made.uniform_random.auroc < 0.55
    assert made.uniform_random.alarmed_rows == made.squared_norm.alarmed_rows == made.score.alarmed_rows
    norm = series.squared_norm(metrics["values"])
    by_norm = np.argsort(-norm)[: int(made.score.alarmed_rows)]
    assert made.squared_norm.vus_pr == series.vus_pr(metrics["labels"], norm, 24)
    assert made.squared_norm.event_f1 == series.event_f1(metrics["labels"], np.isin(np.arange(2000), by_norm)).f1
    assert made.score.pa_f1_random == pytest.approx(made.uniform_random.pa_f1, abs=0.15)
    head = str(made).splitlines()[1]
    assert "uniform random" in head
    assert "squared norm" in head


def test_without_values_there_is_no_norm_and_the_window_is_that_of_tsb_ad(metrics):
    made = series.report(metrics["labels"], metrics["score"], metrics["score"] > 0.5)
    assert (made.window, made.squared_norm) == (100, None)
    assert "uniform random" in str(made)
    assert "squared norm" not in str(made)


def test_the_figures_are_those_of_the_single_functions(metrics):
    labels, score = metrics["labels"], metrics["score"]
    alarms = score > 0.5
    made = series.report(labels, score, alarms, metrics["times"], window=30, thresholds=100)
    ours = made.score
    assert ours.vus_pr == series.vus_pr(labels, score, 30, 100)
    assert ours.event_f1 == series.event_f1(labels, alarms).f1
    assert ours.affiliation_f1 == series.affiliation(labels, alarms).f1
    assert ours.pa_k_area == series.percent_adjusted(labels, alarms).area
    pair = series.point_adjusted(labels, alarms)
    assert (ours.pa_f1, ours.pa_f1_random) == (pair.f1, pair.random)
    assert ours.alarms_per_day == series.alarm_load(alarms, metrics["times"]).per_day
    assert ours.median_delay_seconds == 60 * ours.median_delay_rows
    assert made.delays.rows.tolist() == series.delays(labels, alarms).rows.tolist()
    assert "alarms per day" in str(made)


def test_the_figures_are_json_and_the_same_twice(metrics):
    alarms = np.zeros(2000, dtype=bool)
    first, second = (series.report(metrics["labels"], metrics["score"], alarms) for _ in range(2))
    text = json.dumps(first.figures(), allow_nan=False)
    assert text == json.dumps(second.figures(), allow_nan=False)
    assert json.loads(text)["score"]["median_delay_rows"] is None
    assert json.loads(text)["delays_rows"] == [None] * 3
    assert " -" in str(first)


def test_the_inputs_are_left_as_they_are(metrics):
    before = {name: array.copy() for name, array in metrics.items()}
    series.report(**{**metrics, "abnormal": metrics["score"] > 0.5})
    assert all(np.array_equal(metrics[name], before[name]) for name in metrics)


def test_squared_norm_scales_by_train_and_lets_holes_and_constants_count_nothing():
    train = np.array([[0.0, 5.0], [2.0, 5.0]])  # mean 1, spread 1; a constant
    assert series.squared_norm([[3.0, 5.0], [np.nan, 5.0]], train).tolist() == [2.0, 0.0]
    assert series.squared_norm([1.0, 1.0, 1.0]).tolist() == [0.0, 0.0, 0.0]
    moved = series.squared_norm([[1.0, 9.0], [1.0, 5.0]], train)
    assert moved[0] > moved[1] == 0


def test_a_wide_value_does_not_hide_in_its_unit():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(300, 3)) * [1e6, 1, 1e-6]
    scaled = series.squared_norm(values * 10 + 3)
    assert scaled == pytest.approx(series.squared_norm(values), rel=1e-6)


def test_values_with_holes_have_a_period(metrics):
    values = metrics["values"].copy()
    values[10:20, 0] = np.nan
    made = series.report(metrics["labels"], metrics["score"], metrics["score"] > 0.5, values=values)
    assert made.window == 24


def test_bad_input_is_named(metrics):
    labels, score = metrics["labels"], metrics["score"]
    alarms = score > 0.5
    with pytest.raises(InputError, match="a report needs at least one abnormal row"):
        series.report(np.zeros(2000), score, alarms)
    with pytest.raises(ShapeMismatchError, match="one row of values for each of 2,000 labels, got 9"):
        series.report(labels, score, alarms, values=metrics["values"][:9])
    with pytest.raises(ShapeMismatchError, match="train must have the 2 channels"):
        series.report(labels, score, alarms, values=metrics["values"], train=np.ones((5, 3)))
    with pytest.raises(InputError, match="one repeat or more"):
        series.report(labels, score, alarms, repeats=0)

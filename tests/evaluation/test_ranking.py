"""Are the figures of evaluation those of an independent implementation, ties included?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation import (
    alarm_quality,
    at_threshold,
    auroc,
    average_precision,
    best_f1,
    bootstrap_difference,
)

metrics = pytest.importorskip("sklearn.metrics", reason="the independent implementation is scikit-learn")


@st.composite
def labelled_scores(draw):
    """Few distinct scores, so that ties are the rule; both labels present."""
    items = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=60))
    labels = np.array([label for label, _ in items])
    labels[:2] = 0, 1
    return labels, np.array([score / 3 for _, score in items])


@settings(deadline=None, derandomize=True)
@given(labelled_scores())
def test_average_precision_and_auroc_agree_with_scikit_learn_when_scores_tie(data):
    labels, scores = data
    assert average_precision(labels, scores) == pytest.approx(metrics.average_precision_score(labels, scores))
    assert auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))


@settings(deadline=None, derandomize=True)
@given(labelled_scores())
def test_best_f1_is_the_best_of_every_threshold_tried_one_by_one(data):
    labels, scores = data
    best = best_f1(labels, scores)
    tried = {t: metrics.f1_score(labels, scores >= t) for t in np.unique(scores)}
    assert best.f1 == pytest.approx(max(tried.values()))
    assert tried[best.threshold] == pytest.approx(best.f1)


@settings(deadline=None, derandomize=True)
@given(labelled_scores(), st.integers(-4, 4))
def test_alarms_at_a_threshold_agree_with_scikit_learn(data, third):
    labels, scores = data
    quality = at_threshold(labels, scores, third / 3)
    alarms = scores >= third / 3
    assert quality.f1 == pytest.approx(metrics.f1_score(labels, alarms, zero_division=0))
    assert quality.precision == pytest.approx(metrics.precision_score(labels, alarms, zero_division=0))
    assert quality.recall == pytest.approx(metrics.recall_score(labels, alarms))
    assert quality.alarms_per_thousand == pytest.approx(1000 * alarms.mean())


def test_infinite_scores_rank_above_and_below_all_others():
    assert average_precision([0, 1, 0], [0.0, np.inf, -np.inf]) == 1.0
    assert auroc([0, 1, 0], [0.0, np.inf, np.inf]) == 0.75


def test_the_order_of_tied_rows_changes_nothing():
    labels, scores = np.array([1, 0, 0, 1, 0, 1]), np.array([1.0, 1, 1, 0, 0, 0])
    back = slice(None, None, -1)
    assert average_precision(labels, scores) == average_precision(labels[back], scores[back])


def test_bootstrap_agrees_with_a_slow_twin_that_copies_rows():
    generator = np.random.default_rng(3)
    labels = (generator.random(80) < 0.3).astype(int)
    first = labels + generator.normal(size=80).round(1)
    second = labels + 2 * generator.normal(size=80).round(1)
    fast = bootstrap_difference(labels, first, second, seed=5, resamples=40)
    twin, copies = np.random.default_rng(5), []
    for _ in range(40):
        rows = twin.integers(0, 80, 80)
        ap = [metrics.average_precision_score(labels[rows], s[rows]) for s in (first, second)]
        copies.append(ap[0] - ap[1])
    assert (fast.low, fast.high) == pytest.approx(tuple(np.quantile(copies, [0.025, 0.975])))
    assert fast.value == pytest.approx(average_precision(labels, first) - average_precision(labels, second))
    assert fast.resamples == 40


def test_bootstrap_gives_the_same_interval_for_the_same_seed_and_another_for_another():
    labels, first = np.array([0, 1] * 20), np.arange(40.0)
    second = first[::-1].copy()
    again = [bootstrap_difference(labels, first, second, seed=s, resamples=50) for s in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_a_score_against_itself_differs_by_exactly_zero():
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    same = bootstrap_difference(labels, scores, scores, seed=0, resamples=30)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_draws_without_an_abnormal_item_are_left_out_and_counted():
    one = bootstrap_difference([1, 0], [1.0, 0.0], [0.0, 1.0], seed=0, resamples=200)
    assert 100 < one.resamples < 200
    assert np.isfinite([one.low, one.high]).all()


def test_no_alarm_at_all_has_precision_zero_and_does_not_divide_by_zero():
    none = alarm_quality([0, 1], np.array([False, False]))
    assert (none.f1, none.precision, none.recall, none.alarms) == (0.0, 0.0, 0.0, 0)


def test_recall_without_any_abnormal_item_is_not_a_number():
    assert np.isnan(alarm_quality([0, 0], np.array([True, False])).recall)


@pytest.mark.parametrize("figure", [average_precision, auroc, best_f1])
@pytest.mark.parametrize(
    ("labels", "scores", "error"),
    [
        ([0, 1], [1.0], ShapeMismatchError),
        ([[0, 1]], [[1.0, 2.0]], ShapeMismatchError),
        ([], [], InputError),
        ([0, 2], [1.0, 2.0], InputError),
        ([0, 1], [np.nan, 1.0], InputError),
        ([0, 0], [1.0, 2.0], InputError),
    ],
)
def test_input_that_has_no_figure_is_refused(figure, labels, scores, error):
    with pytest.raises(error):
        figure(labels, scores)


def test_auroc_needs_a_normal_item_too():
    with pytest.raises(InputError, match="normal item"):
        auroc([1, 1], [0.0, 1.0])


def test_scores_are_not_taken_for_alarms():
    with pytest.raises(InputError, match="true or false"):
        alarm_quality([0, 1], np.array([0.2, 0.9]))


def test_inputs_are_not_changed():
    labels, scores = np.array([1, 0, 1]), np.array([0.5, 0.7, 0.1])
    bootstrap_difference(labels, scores, -scores, seed=0, resamples=5)
    best_f1(labels, scores)
    assert labels.tolist() == [1, 0, 1]
    assert scores.tolist() == [0.5, 0.7, 0.1]

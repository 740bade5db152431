"""The volumes under the surface equal TSB-AD's and those of a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import series_figures as slow

from jamais.errors import InputError, ShapeMismatchError
from jamais.evaluation.series import vus, vus_pr, vus_roc

# Made by TSB-AD 1.5 (pip install --no-deps TSB-AD==1.5, with its statsmodels, scipy and scikit-learn) on the arrays of
# `series` below, whose code was pasted before this:
#   from TSB_AD.evaluation.basic_metrics import generate_curve
#   for seed, window, thresholds in [(0, 0, 250), (1, 1, 100), (2, 25, 250), (3, 60, 100), (4, 125, 250),
#                                    (5, 303, 100)]:
#       print((seed, window, thresholds, *map(float, generate_curve(*series(seed), window, "opt", thresholds)[-2:])))
TSB_AD = [
    (0, 0, 250, 0.7386300780853623, 0.5754551063042105),
    (1, 1, 100, 0.6668598016693937, 0.40571169281020963),
    (2, 25, 250, 0.8026363216794119, 0.49016541549985937),
    (3, 60, 100, 0.8612752215559274, 0.574729987447039),
    (4, 125, 250, 0.8761551302952856, 0.6534431157219859),
    (5, 303, 100, 0.9641926220987762, 0.7424527770010608),
]


def series(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with stretches at both ends, close together and of one row; scores with ties in every second series."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(1200, dtype=int)
    for first, length in zip(generator.integers(0, 1200, 9), generator.integers(1, 60, 9), strict=True):
        labels[first : first + length] = 1
    labels[0], labels[-1], labels[[600, 602, 605]] = seed % 2, seed % 3 == 0, 1
    score = generator.normal(size=1200) + labels
    return labels, np.round(score, 1) if seed % 2 else score


@pytest.mark.parametrize(("seed", "window", "thresholds", "roc", "pr"), TSB_AD)
def test_volumes_are_those_of_tsb_ad(seed, window, thresholds, roc, pr):
    found = vus(*series(seed), window, thresholds)
    assert found.roc == pytest.approx(roc, abs=1e-12)
    assert found.pr == pytest.approx(pr, abs=1e-12)


@st.composite
def short_series(draw):
    n = draw(st.integers(2, 30))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda drawn: 0 < sum(drawn) < n))
    score = draw(st.lists(st.integers(-3, 3) | st.floats(-5, 5), min_size=n, max_size=n))
    return labels, [float(value) for value in score]


@settings(max_examples=60, deadline=None)
@given(short_series(), st.integers(0, 24), st.sampled_from([2, 3, 9]))
def test_volumes_are_those_of_the_slow_twin(series, window, thresholds):
    labels, score = series
    found = vus(labels, score, window, thresholds)
    assert (found.roc, found.pr) == pytest.approx(slow.vus(labels, score, window, thresholds), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(short_series(), st.integers(0, 20))
def test_volumes_depend_on_the_order_of_scores_only(series, window):
    labels, score = series
    assert vus(labels, np.arctan(np.round(score, 3)), window) == vus(labels, np.round(score, 3), window)


def test_a_perfect_score_has_whole_volumes_without_a_window():
    labels = np.repeat([0, 1, 0, 1, 0], 40)
    assert vus_pr(labels, labels, 0) == 1
    assert vus_roc(labels, labels, 0) == pytest.approx(1)


def test_a_constant_score_is_as_good_as_the_share_of_abnormal_rows():
    labels = np.repeat([0, 1, 0, 0], 25)
    assert vus_pr(labels, np.ones(100), 0) == pytest.approx(0.25)


def test_random_scores_stay_near_the_base_rate():
    generator = np.random.default_rng(7)
    labels = np.zeros(5000, dtype=int)
    labels[1000:1100] = labels[3000:3150] = 1
    assert vus_pr(labels, generator.random(5000), 50) < 0.15


def test_a_near_miss_counts_with_a_window_only():
    labels = np.zeros(400, dtype=int)
    labels[200:220] = 1
    late = np.roll(labels, 15)
    assert vus_pr(labels, late, 60) > vus_pr(labels, late, 0) + 0.1


def test_bad_input_is_named():
    labels, score = series(0)
    with pytest.raises(InputError, match="at least one abnormal row"):
        vus(np.zeros(5), np.arange(5), 3)
    with pytest.raises(InputError, match="at least one normal row"):
        vus(np.ones(5), np.arange(5), 3)
    with pytest.raises(ShapeMismatchError, match="one score for each of the 1,200 labels"):
        vus(labels, score[:-1], 3)
    with pytest.raises(InputError, match="1 scores are not numbers"):
        vus(labels, np.where(np.arange(1200) == 3, np.nan, score), 3)
    with pytest.raises(InputError, match="window >= 0"):
        vus(labels, score, -1)
    with pytest.raises(InputError, match="must be 0"):
        vus(labels + 1, score, 3)
    with pytest.raises(InputError, match="no rows"):
        vus([], [], 3)

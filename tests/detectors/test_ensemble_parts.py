from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm, rankdata, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from jamais.detectors.ensemble import combining, weights
from jamais.detectors.ensemble.record import Labelled, auroc, average_precision


def test_normal_deviates_are_those_of_scipy_down_to_the_smallest_p() -> None:
    nats = np.concatenate([np.geomspace(1e-4, 0.7, 300), np.linspace(0.71, 700.0, 3000)])
    assert combining._deviates(nats) == pytest.approx(norm.isf(np.exp(-nats)), rel=1e-12, abs=1e-12)
    assert (np.diff(combining._deviates(nats)) > 0).all()
    assert combining._deviates(np.zeros(1)) == pytest.approx(norm.isf(np.exp(-1e-4)))


@given(st.lists(st.floats(0, 25), min_size=3, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_fisher_and_stouffer_are_their_formulas(nats: list[float], heavy: list[float]) -> None:
    w = np.array(heavy) / sum(heavy)
    one = np.array([nats])
    assert combining.combined(one, w, "fisher")[0] == pytest.approx(float(w @ nats))
    deviates = norm.isf(np.exp(-np.maximum(nats, 1e-4)))
    assert combining.combined(one, w, "stouffer")[0] == pytest.approx(
        float(w @ deviates / np.sqrt((w**2).sum())), rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("method", combining.METHODS)
def test_a_score_rises_with_every_member_and_is_finite_at_any_nats(method: str) -> None:
    w = np.array([0.7, 0.3, 0.0])
    ladder = np.array([0.0, 0.5, 3.0, 29.0, 31.0, 1e3, 1e9, 1e200, 1e299, np.inf])
    for j in (0, 1):
        nats = np.ones((len(ladder), 3))
        nats[:, j] = ladder
        found = combining.combined(nats, w, method)
        assert np.isfinite(found).all()
        assert (np.diff(found) >= 0).all()
        assert (np.diff(found[:8]) > 0).all()
    nats[:, 2] = np.inf
    assert (combining.combined(nats, w, method) == found).all()


def test_no_member_outshouts_all_others() -> None:
    w = np.full(4, 0.25)
    shouted, agreed = combining.combined(np.array([[1e6, 0.1, 0.1, 0.1], [15.0, 15.0, 15.0, 15.0]]), w, "fisher")
    assert agreed > shouted


def test_of_two_members_each_agrees_as_much_as_the_other() -> None:
    rng = np.random.default_rng(0)
    nats = rng.exponential(size=(200, 2))
    nats[:, 1] += nats[:, 0]
    wanted = spearmanr(nats[:, 0], nats[:, 1])[0]
    assert weights.agreement(nats) == pytest.approx([wanted, wanted])


def test_agreement_is_the_rank_correlation_with_the_agreeing_others() -> None:
    rng = np.random.default_rng(1)
    truth = rng.exponential(size=300)
    nats = np.stack([truth + k * rng.exponential(size=300) for k in (0.2, 0.4, 0.8)], axis=1).round(1)
    found = weights.agreement(nats)
    ranks = np.stack([rankdata(nats[:, j]) for j in range(3)], axis=1)
    for j in range(3):  # a fixed point: each is compared with the others, weighted as found
        others = [k for k in range(3) if k != j]
        assert found[j] == pytest.approx(np.corrcoef(ranks[:, j], ranks[:, others] @ found[others])[0, 1], abs=1e-6)


def test_noise_and_a_contrary_member_agree_with_nobody_and_leave_the_others_alone() -> None:
    rng = np.random.default_rng(2)
    truth = rng.exponential(size=600)
    good = np.stack([truth + 0.3 * rng.exponential(size=600) for _ in range(3)], axis=1)
    bad = np.stack([rng.exponential(size=600), -truth], axis=1)
    found = weights.agreement(np.concatenate([good, bad], axis=1))
    assert found[:3] == pytest.approx(weights.agreement(good), abs=0.02)
    w = weights.without_labels(found, 600, np.ones((9, 5)))
    assert w[:3] == pytest.approx([1 / 3] * 3, abs=0.02)
    assert w[3:].max() < 0.05
    assert w.sum() == pytest.approx(1.0)


def test_a_single_member_or_hardly_any_rows_are_taken_as_they_are() -> None:
    assert weights.agreement(np.ones((50, 1))).tolist() == [1.0]
    assert weights.agreement(np.ones((2, 3))).tolist() == [1.0, 1.0, 1.0]
    assert weights.without_labels(np.zeros(3), 50, np.ones((4, 3))) == pytest.approx([1 / 3] * 3)
    assert weights.without_labels(np.array([0.9, 0.9, 0.0]), 50, np.zeros((4, 3))) == pytest.approx([0.5, 0.5, 0.0])


def test_who_hears_mixtures_counts_more() -> None:
    mixed = np.tile([1.0, 3.0, np.inf], (7, 1))
    assert weights.without_labels(np.ones(3), 900, mixed) == pytest.approx(np.array([1.0, 3.0, 30.0]) / 34.0)


@pytest.mark.parametrize("n", [1, 2, 5, 400])
def test_mixtures_have_each_column_from_another_row(n: int) -> None:
    rows = (np.arange(n)[:, None] + 1000 * np.arange(4)).astype(np.float32)
    found = weights.mixtures(rows)
    assert found.shape == (min(n, weights.N_MADE), 4)
    owners = found - 1000 * np.arange(4)
    assert (np.sort(np.unique(owners)) == np.unique(owners.astype(int))).all()
    assert all(len(set(row)) == min(n, 4) for row in owners.tolist())


def test_strays_lie_as_far_beyond_a_row_as_another_lies_before_it() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    found = weights.strays(rows)
    assert found.shape == (weights.N_MADE, 3)
    assert found[5] == pytest.approx(2 * rows[5] - rows[4], rel=1e-6)
    huge = np.array([[3e38], [-3e38]], dtype=np.float32)
    assert np.isfinite(weights.strays(huge)).all()


def labelled(n: int, seed: int) -> tuple[Any, Any]:
    """The first member is right, the second nearly so, the third knows nothing."""
    rng = np.random.default_rng(seed)
    abnormal = rng.random(n) < 0.3
    nats = rng.exponential(size=(n, 3))
    nats[:, 0] += 4.0 * abnormal
    nats[:, 1] += 1.0 * abnormal
    return nats, abnormal


def test_many_labels_move_the_weights_as_far_as_the_data_say_and_few_hardly() -> None:
    prior = np.full(3, 1 / 3)
    many = weights.from_labels(*labelled(400, 0), prior)
    assert many[0] > 0.55
    assert many[2] < 0.1
    assert many.sum() == pytest.approx(1.0)
    few_nats, few_abnormal = labelled(400, 1)
    keep = np.concatenate([np.flatnonzero(few_abnormal)[:1], np.flatnonzero(~few_abnormal)])
    few = weights.from_labels(few_nats[keep], few_abnormal[keep], prior)
    assert np.abs(few - prior).max() < 0.5 * np.abs(many - prior).max()


def test_the_regression_finds_the_minimum_that_scipy_finds() -> None:
    nats, abnormal = labelled(120, 3)
    columns = nats - nats.mean(axis=0)
    sign = np.where(abnormal, 1.0, -1.0)
    shares = np.full(120, 1 / 120)
    towards, ridge = np.array([0.4, 0.3, 0.3]), 0.05

    def loss(x: Any) -> float:
        margin = sign * (columns @ x[:3] + x[3])
        return float((shares * np.logaddexp(0, -margin)).sum() + ridge / 2 * ((x[:3] - towards) ** 2).sum())

    exact = minimize(loss, np.zeros(4), bounds=[(0, None)] * 3 + [(None, None)], method="L-BFGS-B")
    found, offset = weights._descend(columns, sign, shares, towards, ridge)
    assert loss(np.append(found, offset)) <= exact.fun + 1e-3
    assert (found >= 0).all()


def test_one_kind_of_labels_leaves_the_weights() -> None:
    prior = np.array([0.2, 0.3, 0.5])
    for kind in (True, False):
        assert (weights.from_labels(np.ones((5, 3)), np.full(5, kind), prior) == prior).all()


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auroc_and_average_precision_are_those_of_scikit_learn(judged: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in judged])
    abnormal = np.array([label for _, label in judged])
    if abnormal.all() or not abnormal.any():
        return
    assert auroc(scores, abnormal) == pytest.approx(roc_auc_score(abnormal, scores))
    assert average_precision(scores, abnormal) == pytest.approx(average_precision_score(abnormal, scores))


def test_labelled_rows_stand_beside_normal_ones() -> None:
    nats, abnormal = Labelled(np.ones((2, 3)), np.array([False, True])).beside(np.zeros((4, 3)))
    assert nats.shape == (6, 3)
    assert abnormal.tolist() == [False, True, False, False, False, False]

"""Does the guard measure what it says, and let no figure pass that is none?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import average_precision_score

from jamais.errors import SettingsError, ShapeMismatchError
from jamais.learning import guard
from jamais.learning.guard import GuardSettings
from jamais.settings import override
from jamais.types import Check, LearnReport

LIMITS = GuardSettings()


def bools(n: int) -> some.SearchStrategy[list[bool]]:
    return some.lists(some.booleans(), min_size=n, max_size=n)


@given(some.data(), some.integers(0, 30))
def test_shares_are_those_of_a_loop_over_the_rows(data: some.DataObject, n: int) -> None:
    before, after = data.draw(bools(n)), data.draw(bools(n))
    weights = data.draw(some.lists(some.integers(1, 9), min_size=n, max_size=n))
    whole = sum(weights)
    flipped = sum(w for w, b, a in zip(weights, before, after, strict=True) if a and not b)
    other = sum(w for w, b, a in zip(weights, before, after, strict=True) if a != b)
    assert guard.normals_changed(before, after, LIMITS, weights).value == (flipped / whole if n else 0.0)
    assert guard.labels_changed(np.array(before, int), np.array(after, int), LIMITS, weights).value == (
        other / whole if n else 0.0
    )
    assert guard.normals_changed(before, after, LIMITS).value == pytest.approx(
        np.mean(np.array(after, bool) & ~np.array(before, bool)) if n else 0.0
    )


def test_a_normal_that_alarmed_before_and_one_that_no_longer_does_are_no_harm() -> None:
    assert guard.normals_changed([True, True, False], [True, False, False], LIMITS).value == 0


def test_a_renumbering_of_labels_counts_in_full() -> None:
    check = guard.labels_changed([0, 0, 1, 1], [1, 1, 0, 0], LIMITS)
    assert (check.value, check.passed, check.setting) == (1.0, False, "labels_changed")


def test_rows_nearer_to_a_confirmed_abnormal_are_counted_only_within_reach() -> None:
    normal, abnormal = [1.0, 1.0, 3.0, np.inf], [0.5, 1.0, 2.0, np.inf]
    assert guard.like_abnormal(normal, abnormal, LIMITS).value == 0.5
    assert guard.like_abnormal(normal, abnormal, LIMITS, reach=0.5).value == 0.25
    assert guard.like_abnormal(normal, abnormal, LIMITS, weights=[1, 1, 8, 0], reach=9).value == 0.9


def test_lost_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    labels = rng.random(200) < 0.2
    one, two = rng.random(200) + labels, rng.random(200)
    check = guard.precision_lost(labels, one, two, LIMITS)
    assert check is not None
    assert check.value == pytest.approx(average_precision_score(labels, one) - average_precision_score(labels, two))
    assert not check.passed
    better = guard.precision_lost(labels, two, one, LIMITS)
    assert better is not None
    assert better.passed
    assert guard.precision_lost(np.zeros(5), one[:5], two[:5], LIMITS) is None
    assert guard.precision_lost(np.ones(5), one[:5], two[:5], LIMITS) is None


def test_a_few_new_things_may_be_all_there_is_and_twenty_may_not() -> None:
    assert guard.looks_abnormal([True], LIMITS).passed
    assert guard.looks_abnormal([True] * 19, LIMITS).passed
    assert guard.looks_abnormal([True] * 5_000, LIMITS, causes=19).passed, "a release says few things, and often"
    assert not guard.looks_abnormal([True] * 5_000, LIMITS, causes=20).passed
    batch = guard.looks_abnormal([True] * 20, LIMITS)
    assert (batch.value, batch.limit, batch.passed) == (1.0, 0.95, False)
    assert guard.looks_abnormal([True] * 88 + [False] * 12, LIMITS).passed, "as after a real change of life (BGL)"
    assert guard.looks_abnormal([], LIMITS).passed


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_figure_that_is_no_number_passes_no_limit(bad: float) -> None:
    assert not Check("x", math.nan, math.inf).passed
    assert not Check("x", 0.0, math.nan).passed
    ranked = guard.precision_lost([0, 1], [0.0, 1.0], [0.0, bad], LIMITS)
    assert ranked is not None
    checks = [
        ranked,
        guard.normals_changed([False, False], [True, True], LIMITS, weights=[1.0, bad]),
        guard.labels_changed([0, 1], [1, 0], LIMITS, weights=[bad, 1.0]),
        guard.within("rows", bad, 100),
    ]
    if math.isnan(bad):
        checks += [
            guard.like_abnormal([1.0, bad], [1.0, 1.0], LIMITS),
            guard.like_abnormal([1.0, 1.0], [bad, 1.0], LIMITS),
        ]
    assert not any(check.passed for check in checks)
    assert not guard.passed((Check("fine", 0.0, 1.0), *checks[:1]))


def test_different_rows_before_and_after_are_told() -> None:
    for wrong in (
        lambda: guard.normals_changed([True], [True, False], LIMITS),
        lambda: guard.labels_changed([1], [1, 2], LIMITS),
        lambda: guard.like_abnormal([1.0], [1.0, 2.0], LIMITS),
        lambda: guard.normals_changed([True], [True], LIMITS, weights=[1, 2]),
        lambda: guard.precision_lost([1], [1.0, 2.0], [1.0, 2.0], LIMITS),
    ):
        with pytest.raises(ShapeMismatchError, match="the same rows before and after"):
            wrong()


@pytest.mark.parametrize(
    ("name", "value"),
    [("normals_changed", 1.5), ("looks_abnormal", -0.1), ("like_abnormal", math.nan), ("fewest_causes", -1)],
)
def test_a_limit_that_makes_no_sense_is_told(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name):
        override(LIMITS, {name: value})
    assert override(LIMITS, {"looks_abnormal": "1"}).looks_abnormal == 1


def test_a_report_prints_as_a_table_and_says_which_limits_would_be_needed() -> None:
    checks = (
        guard.normals_changed([False] * 32, [True] + [False] * 31, LIMITS),
        guard.within("vectors in memory", 12_345, 20_000),
        guard.looks_abnormal([True] * 40, LIMITS),
    )
    report = LearnReport(guard.passed(checks), 4_000, {"new templates": 3}, checks, ("a word", "  a detail"))
    assert str(report).splitlines() == [
        "refused: 4,000 records",
        "  new templates                                          3",
        "  limits                                          measured   at most",
        "  normal items that would now alarm (share)        0.03125      0.01  BROKEN",
        "  vectors in memory                                 12,345    20,000  ok",
        "  rows that looked abnormal before (share)               1      0.95  BROKEN",
        "  a word",
        "    a detail",
    ]
    assert report.figures == {"normals_changed": 0.03125, "looks_abnormal": 1.0}
    assert report.limits_needed == {"normals_changed": 0.032, "looks_abnormal": 1.0}
    full = LearnReport(False, 1, {}, (guard.within("templates", 3, 2),))
    assert full.limits_needed == {}, "no limit makes room"


@given(some.floats(1e-9, 1e9))
def test_a_limit_that_is_said_to_suffice_does(value: float) -> None:
    report = LearnReport(False, 1, {}, (Check("x", value, 0.0, "y"),))
    assert value <= report.limits_needed["y"] <= 1.11 * value

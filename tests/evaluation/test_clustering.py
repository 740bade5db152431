"""Do the accuracies of clusters agree with their slow twins and with scikit-learn?"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError
from jamais.evaluation import ari, clustering_accuracy, label_shift, nmi, old_new_accuracy

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3)), min_size=1, max_size=40)


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_accuracy_is_the_best_over_all_matches(pairs: list[tuple[int, int]]) -> None:
    classes, labels = (np.array(one) for one in zip(*pairs, strict=True))
    found = [-1, 0, 1, 2, 3]
    best = max(
        sum(dict(zip(found, match, strict=True))[label] == kind for kind, label in pairs)
        for match in permutations([0, 1, 2, 3, 99])
    )
    assert clustering_accuracy(classes, labels) == pytest.approx(best / len(pairs))


def test_a_renumbering_keeps_the_accuracy_and_is_a_full_shift() -> None:
    before = np.array([0, 0, 1, 1, 2, 2])
    after = (before + 1) % 3
    assert clustering_accuracy(before, after) == 1.0
    assert label_shift(before, after) == 1.0
    assert label_shift(before, before) == 0.0


def test_one_match_is_made_over_old_and_new_rows_together() -> None:
    classes = np.array([0, 0, 0, 1, 1, 1, 1])
    labels = np.array([5, 5, 5, 5, 5, 5, 5])  # the new class has taken the only cluster
    accuracy = old_new_accuracy(classes, labels, classes == 1)
    assert (accuracy.old, accuracy.new, accuracy.all) == (0.0, 1.0, 4 / 7)


def test_a_side_without_rows_is_nan() -> None:
    accuracy = old_new_accuracy([0, 1], [0, 1], [False, False])
    assert accuracy.old == 1.0
    assert np.isnan(accuracy.new)


def test_nmi_and_ari_do_not_look_at_the_numbers_of_clusters() -> None:
    classes, labels = [0, 0, 1, 1], [7, 7, 3, 3]
    assert nmi(classes, labels) == pytest.approx(1.0)
    assert ari(classes, labels) == pytest.approx(1.0)
    assert ari([0, 1, 0, 1], labels) == pytest.approx(-0.5)


@pytest.mark.parametrize(("one", "two"), [([], []), ([0, 1], [0]), ([[0]], [[0]])])
def test_labels_that_do_not_line_up_are_refused(one: list[int], two: list[int]) -> None:
    with pytest.raises(InputError, match="equal length"):
        clustering_accuracy(one, two)
    with pytest.raises(InputError, match="rows whether"):
        old_new_accuracy([0, 1], [0, 1], [True])

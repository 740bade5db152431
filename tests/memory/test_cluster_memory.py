"""Does a cluster memory find new clusters, keep old labels, and never call chance a cluster?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jamais.evaluation.clustering import old_new_accuracy
from jamais.memory.clusters import ClusterEvent, ClusterMemory
from jamais.types import Ints, Vectors

CENTRES = np.random.default_rng(7).normal(size=(12, 20)) * 1.2


def rows_of(classes: tuple[int, ...], n_each: int, seed: int) -> tuple[Vectors, Ints]:
    rng = np.random.default_rng([seed, 3])
    y = rng.permutation(np.repeat(np.array(classes, dtype=np.int64), n_each))
    return (CENTRES[y] + rng.normal(size=(len(y), 20))).astype(np.float32), y


def begun(classes: tuple[int, ...] = (0, 1, 2, 3), seed: int = 0, n_each: int = 150, **settings: Any) -> ClusterMemory:
    memory = ClusterMemory(seed=seed, **settings)
    memory.begin(*rows_of(classes, n_each, seed))
    return memory


@pytest.mark.parametrize("seed", range(5))
def test_two_new_classes_become_two_clusters_and_old_labels_stay(seed: int) -> None:
    memory = begun(seed=seed)
    test, y = rows_of((0, 1, 2, 3, 4, 5), 100, seed + 100)
    before = memory.assign(test).labels
    growth = memory.learn(rows_of((0, 1, 2, 3, 4, 5), 80, seed + 50)[0])
    after = memory.assign(test).labels
    new = y >= 4
    assert memory.ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(growth.events) == 2
    assert (before != after)[~new].mean() <= 0.005
    accuracy = old_new_accuracy(y, after, new)
    assert accuracy.new >= 0.9
    assert accuracy.old >= old_new_accuracy(y, before, new).old - 0.005  # what shifts at all
    assert growth.shift == growth.total_shift <= 0.005


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_born_where_nothing_is_new(seed: int) -> None:
    memory = begun(seed=seed)
    for i in range(4):
        growth = memory.learn(rows_of((0, 1, 2, 3), 75, 1000 * seed + i)[0])
        assert growth.events == ()
    assert memory.n_clusters == 4
    assert memory.pending <= 0.03 * 1_200


def test_labels_stay_through_three_updates_and_ids_are_never_given_twice() -> None:
    memory = begun(n_each=600, shift_budget=0.005)
    base = rows_of((0, 1, 2, 3), 600, 0)[0]
    first = memory.assign(base).labels
    test, y = rows_of(tuple(range(10)), 400, 900)
    labels = [memory.assign(test).labels]
    for update, classes in enumerate(((4, 5), (6, 7), (8, 9))):
        memory.learn(rows_of((0, 1, 2, 3, *classes), 80, 10 + update)[0])
        labels.append(memory.assign(test).labels)
        known = (y < 4) | ((labels[-2] >= 4) & (y < 4 + 2 * update))  # rows without a cluster yet may still find it
        assert (labels[-1] != labels[-2])[known].mean() <= 0.005
    assert memory.ids.tolist() == list(range(10))
    assert (labels[-1] != labels[0])[y < 4].mean() <= 0.005
    assert (memory.assign(base).labels != first).mean() <= 0.005
    assert old_new_accuracy(y, labels[-1], y >= 4).new >= 0.85
    memory.retire(9)
    memory.learn(rows_of((0, 10), 250, 77)[0])
    assert 9 not in memory.ids
    assert memory.ids.max() == 10


def test_a_remembered_row_keeps_its_label_for_ever() -> None:
    memory = begun()
    rows, labels = memory.rows.copy(), memory.labels.copy()
    assert (memory.assign(rows).labels == labels).all()
    assert (memory.assign(rows, np.zeros(len(rows), dtype=np.int64)).labels == labels).all()
    for classes in ((4,), (5, 6)):
        memory.learn(rows_of(classes, 120, 5)[0])
    assert memory.n_clusters == 7
    assert (memory.assign(rows).labels == labels).all()
    assert (memory.assign(memory.rows).labels == memory.labels).all()
    assert (memory.rows[: len(rows)] == rows).all()


def test_an_outer_model_names_the_first_clusters_alone() -> None:
    memory = begun()
    test, y = rows_of((0, 1, 4), 60, 11)
    told = np.where(y == 4, 3, (y + 2) % 4)  # an outer model of its own mind, which does not know class 4
    memory.learn(rows_of((0, 1, 4), 90, 12)[0], told=np.zeros(270, dtype=np.int64))
    labels = memory.assign(test, told).labels
    assert (labels[y < 4] == told[y < 4]).mean() >= 0.99
    assert (labels[y == 4] == 4).mean() >= 0.9


def test_rows_far_from_everything_are_of_no_cluster() -> None:
    memory = begun()
    assert (memory.assign(np.full((3, 20), 1e6, dtype=np.float32)).labels == -1).all()
    assert (memory.assign(rows_of((0, 1, 2, 3), 500, 3)[0]).labels == -1).mean() < 0.005


def test_a_row_sent_a_thousand_times_is_not_a_cluster() -> None:
    memory = begun()
    row = rows_of((0,), 1, 99)[0]
    for _ in range(4):
        assert memory.learn(np.repeat(row, 300, axis=0)).events == ()
    assert memory.learn(memory.rows[np.arange(1200) % 50]).events == ()


def test_a_cluster_may_be_born_of_small_parts() -> None:
    memory = begun(recent=600)
    rows = rows_of((0, 1, 2, 3, 4), 120, 20)[0]
    for start in range(0, len(rows), 20):
        memory.learn(rows[start : start + 20])
    assert 4 in memory.ids
    assert sum(event.rows for event in memory.events) <= 600


def test_merged_and_retired_clusters_are_told_and_their_sizes_go_along() -> None:
    memory = begun()
    memory.learn(rows_of((0, 1, 2, 3, 4, 5), 80, 50)[0])
    sizes, test = memory.sizes, rows_of((4, 5), 50, 8)[0]
    memory.merge(5, 4)
    assert memory.sizes[4] == sizes[4] + sizes[5]
    assert set(memory.assign(test).labels.tolist()) <= {4, -1, 0, 1, 2, 3}
    memory.retire(4)
    assert memory.ids.tolist() == [0, 1, 2, 3]
    assert (memory.assign(test).labels == -1).mean() >= 0.9
    assert memory.events[-2:] == (
        ClusterEvent("merged", (5, 4), sizes[5], memory.n_seen),
        ClusterEvent("retired", (4,), sizes[4] + sizes[5], memory.n_seen),
    )
    assert memory.learn(rows_of((0,), 10, 1)[0]).total_shift <= 0.005  # what a person ends is no shift


def test_sizes_count_every_row_once() -> None:
    memory = begun(far_share=0.0)
    memory.learn(rows_of((0, 1, 2, 3, 4, 5), 80, 50)[0])
    assert memory.n_seen == 600 + 480
    assert sum(memory.sizes.values()) == memory.n_seen
    assert min(memory.sizes.values()) > 60


def test_a_bounded_memory_takes_any_number_of_rows() -> None:
    memory = begun(exemplars=40, recent=400)
    for i in range(5):
        memory.learn(rows_of(tuple(range(6)), 200, i)[0])
        n_bytes = memory.ram_bytes
        assert np.bincount(memory.labels[memory.labels >= 0]).max() <= 40
    memory.learn(rows_of(tuple(range(6)), 3_000, 99)[0])
    assert memory.ram_bytes <= 1.5 * n_bytes


def test_reports_print_what_happened() -> None:
    memory = begun()
    growth = memory.learn(rows_of((0, 1, 2, 3, 4, 5), 80, 50)[0])
    said = str(growth)
    assert "480 rows, 6 clusters" in said
    assert str(growth.events[0]) in said
    assert "split off cluster 2" in str(ClusterEvent("split", (2, 9), 30, 100))
    assert "merged into 2" in str(ClusterEvent("merged", (9, 2), 30, 100))
    assert "retired" in str(ClusterEvent("retired", (9,), 30, 100))


@pytest.mark.slow
def test_a_million_rows_go_through_in_bounded_memory() -> None:
    memory = begun(exemplars=50, recent=2_000)
    rng = np.random.default_rng(0)
    for _ in range(10):
        y = rng.integers(0, 4, 100_000)
        assert memory.learn((CENTRES[y] + rng.normal(size=(len(y), 20))).astype(np.float32)).events == ()
    assert memory.ram_bytes < 2_000_000
    assert memory.n_seen == 1_000_600

"""Does a cluster memory answer the same in any batch, as loops would, and after a load as if never stopped?"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.memory.test_cluster_memory import begun, rows_of
from tests.reference import clusters as slow

from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.memory.clusters import ClusterMemory
from jamais.memory.clusters.layers import Near
from jamais.memory.clusters.novel.budget import bar_for, chance, share_beyond
from jamais.memory.clusters.novel.grouping import groups_of
from jamais.memory.clusters.novel.unexplained import NEIGHBORS, unexplained
from jamais.memory.clusters.space import Space
from jamais.memory.nearest import NearestRows
from jamais.persistence.tree import state_sha256


def grown() -> ClusterMemory:
    memory = begun(exemplars=30)
    memory.learn(rows_of((0, 1, 2, 3, 4), 80, 50)[0])
    memory.learn(rows_of((0, 1, 2, 3, 5), 80, 51)[0])
    assert memory.n_clusters == 6
    return memory


@pytest.fixture(scope="module")
def memory() -> ClusterMemory:
    return grown()


def test_labels_are_those_of_loops(memory: ClusterMemory) -> None:
    known = memory._inside.known  # type: ignore[union-attr]
    layers = [
        [slow.Exemplar(row.tolist(), int(c), int(i)) for row, c, i in zip(one.rows, one.clusters, one.ids, strict=True)]
        for one in known.layers
    ]
    bars = [one.bar for one in known.layers]
    rows = np.concatenate([rows_of(tuple(range(8)), 8, 60)[0], memory.rows[::20]])
    told = np.arange(len(rows)) % 4
    for outer in (None, told):
        found = memory.assign(rows, outer)
        for i, row in enumerate(rows.astype(np.float64).tolist()):
            wanted = slow.label(row, layers, bars, known.far, None if outer is None else int(outer[i]))
            assert found.labels[i] == wanted
            near = slow.nearest(row, [one for layer in layers for one in layer], 5)
            assert found.nearest[i].tolist() == [one.place for one in near]
            assert found.novelty[i] == pytest.approx(slow.mean_distance(row, near, 5), rel=1e-12)


@pytest.mark.parametrize("width", [20, 200])
def test_a_row_alone_is_a_row_in_any_batch_bit_for_bit(width: int) -> None:
    rng = np.random.default_rng(1)
    turn = rng.normal(size=(20, width)).astype(np.float32) if width != 20 else np.eye(20, dtype=np.float32)
    memory = ClusterMemory()
    rows, y = rows_of((0, 1, 2, 3), 150, 0)
    memory.begin(rows @ turn, y)
    memory.learn(rows_of((0, 1, 2, 3, 4), 80, 50)[0] @ turn)
    assert memory.n_clusters == 5
    asked = rows_of(tuple(range(8)), 50, 61)[0] @ turn
    whole = memory.assign(asked)
    order = rng.permutation(len(asked))
    for part in (order, order[:7], order[3:4], order[100:333]):
        other = memory.assign(asked[part])
        for name in ("labels", "novelty", "nearest", "distances"):
            assert (getattr(whole, name)[part] == getattr(other, name)).all()


def test_assign_changes_nothing_and_inputs_stay_untouched(memory: ClusterMemory) -> None:
    before = state_sha256(memory.state_dict())
    rows = rows_of((0, 5), 20, 3)[0]
    kept = rows.copy()
    memory.assign(rows)
    other = memory.copy()
    other.learn(rows)
    assert (rows == kept).all()
    assert state_sha256(memory.state_dict()) == before


def test_a_loaded_memory_goes_on_as_if_never_stopped() -> None:
    one, other = begun(), ClusterMemory()
    batches = [rows_of((0, 1, 2, 3, *new), 60, 30 + i)[0] for i, new in enumerate(((), (4,), (5, 6), ()))]
    for batch in batches:
        other = ClusterMemory()
        other.load_state_dict(one.state_dict())
        assert state_sha256(other.state_dict()) == state_sha256(one.state_dict())
        assert str(one.learn(batch)) == str(other.learn(batch))
        assert state_sha256(other.state_dict()) == state_sha256(one.state_dict())
    test = rows_of(tuple(range(8)), 30, 5)[0]
    assert (one.assign(test).labels == other.assign(test).labels).all()
    assert one.n_clusters > 4


def test_the_same_seed_gives_the_same_bits() -> None:
    assert state_sha256(grown().state_dict()) == state_sha256(grown().state_dict())


@pytest.mark.parametrize(
    ("rows", "told", "error"),
    [
        (np.full((3, 20), np.nan), None, InputError),
        (np.zeros((3, 7)), None, ShapeMismatchError),
        (np.zeros((3, 20)), [1, 2], ShapeMismatchError),
        (np.zeros((3, 20)), [0, 1, 5], InputError),
        (np.zeros((3, 20)), [0.5, 1, 1], InputError),
    ],
)
def test_bad_rows_leave_the_memory_as_it_was(memory: ClusterMemory, rows: Any, told: Any, error: type) -> None:
    before = state_sha256(memory.state_dict())
    for act in (memory.learn, memory.assign):
        with pytest.raises(error):
            act(rows, told)
    assert state_sha256(memory.state_dict()) == before


def test_an_update_that_fails_half_way_leaves_the_memory_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = begun()
    memory.learn(rows_of((0, 1, 2, 3), 10, 4)[0])
    before = state_sha256(memory.state_dict())
    monkeypatch.setattr("jamais.memory.clusters.growing.Growing._enter", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        memory.learn(rows_of((0, 1, 2, 3, 4), 80, 50)[0])
    assert state_sha256(memory.state_dict()) == before
    monkeypatch.undo()
    assert memory.learn(rows_of((0, 1, 2, 3, 4), 80, 50)[0]).events


def test_clusters_that_do_not_live_cannot_be_merged_or_retired(memory: ClusterMemory) -> None:
    for act in (
        lambda: memory.retire(77),
        lambda: memory.merge(0, 77),
        lambda: memory.merge(77, 0),
        lambda: memory.merge(1, 1),
    ):
        with pytest.raises(InputError):
            act()
    assert memory.n_clusters == 6


def test_a_memory_without_clusters_says_what_to_do() -> None:
    memory = ClusterMemory()
    for act in (lambda: memory.assign(np.zeros((1, 2))), lambda: memory.learn(np.zeros((1, 2))), lambda: memory.rows):
        with pytest.raises(NotReadyError, match="begin"):
            act()
    with pytest.raises(InputError):
        memory.begin(np.zeros((0, 3)), [])
    with pytest.raises(InputError):
        memory.begin(np.zeros((2, 3)), [0, -1])
    assert memory.n_clusters == memory.pending == memory.n_seen == 0
    again = ClusterMemory()
    again.load_state_dict(memory.state_dict())
    assert again.width is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"exemplars": 0},
        {"recent": 0},
        {"n_neighbors": 0},
        {"smallest": 1},
        {"shift_budget": 1.0},
        {"shift_budget": -0.1},
        {"far_share": 1.0},
        {"seed": -1},
        {"columns": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ClusterMemory(**wrong)


def test_a_memory_of_one_row_and_of_equal_rows_works() -> None:
    one = ClusterMemory()
    one.begin(np.zeros((1, 3)), [4])
    assert one.learn(np.ones((50, 3))).events == ()
    assert one.assign(np.zeros((2, 3))).labels.tolist() == [4, 4]
    equal = ClusterMemory()
    equal.begin(np.ones((60, 3)), np.zeros(60, dtype=int))
    equal.learn(np.ones((300, 3)))
    equal.learn(np.random.default_rng(0).normal(size=(300, 3)))
    assert equal.assign(np.ones((1, 3))).labels.tolist() == [0]


def test_a_memory_of_a_few_rows_goes_on_growing() -> None:
    memory = ClusterMemory(smallest=8)
    memory.begin(*rows_of((0, 1), 6, 0))
    for i in range(4):
        memory.learn(rows_of((0, 1, 2), 60, i)[0])
    again = ClusterMemory()
    again.load_state_dict(memory.state_dict())
    assert str(again.learn(rows_of((0, 3), 60, 9)[0])) == str(memory.learn(rows_of((0, 3), 60, 9)[0]))


def test_a_damaged_state_is_refused_and_changes_nothing(memory: ClusterMemory) -> None:
    other = begun()
    before = state_sha256(other.state_dict())

    def damaged(*path: str, value: Any) -> dict[str, Any]:
        tree = memory.state_dict()
        place = tree
        for name in path[:-1]:
            place[name] = dict(place[name])
            place = place[name]
        place[path[-1]] = value
        return tree

    first = memory._inside.known.layers[0]  # type: ignore[union-attr]
    for tree in (
        {},
        damaged("inside", value={}),
        damaged("settings", value={"exemplars": 0}),
        damaged("inside", "recent", value=np.zeros((2, 3), dtype=np.float32)),
        damaged("inside", "held", "labels", value=np.zeros(2, dtype=np.int64)),
        damaged("inside", "roster", "becomes", value=np.full(6, 99)),
        damaged("inside", "known", "layers", value={}),
        damaged("inside", "known", "layers", "0000", value={"rows": first.points.raw}),
        damaged("inside", "known", "space", "centre", value=np.zeros(3)),
        damaged("inside", "watch", "since", value=-1),
    ):
        with pytest.raises(CorruptStateError):
            other.load_state_dict(tree)
    assert state_sha256(other.state_dict()) == before


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_unexplained_levels_are_those_of_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, recent = (rng.normal(size=(n, 3)).astype(np.float32) for n in (40, 30))
    held, weights = rng.normal(size=(5, 3)).astype(np.float32), 1.0 + rng.random(40)

    def near(rows: Any) -> Near:
        distances, slots = NearestRows(known).nearest(rows, NEIGHBORS)
        return Near(distances, np.zeros_like(slots), slots)

    levels, held_levels = unexplained(recent, near(recent), held, near(held), weights)
    wanted = slow.unexplained(recent.tolist(), known.tolist(), weights.tolist(), NEIGHBORS, 5)
    assert levels == pytest.approx(wanted)
    assert ((held_levels >= 0) & (held_levels <= 1)).all()


def test_places_in_main_columns_are_sums_of_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 30)) @ rng.normal(size=(30, 150)) + rng.normal(size=(500, 150))).astype(np.float32)
    space = Space.of(rows, 16, 0)
    placed = space.points(rows).rows
    assert placed.shape == (500, 17)
    for i in (0, 17):
        centred = rows[i] - space.centre
        power = int(np.frexp(np.abs(centred).max())[1])
        whole = [Fraction(round(float(v) * 2.0 ** (22 - power))) * Fraction(2) ** (power - 22) for v in centred]
        for j in (0, 5, 15):
            exact = sum((a * Fraction(float(b)) for a, b in zip(whole, space.columns[:, j], strict=True)), Fraction(0))
            assert placed[i, j] == np.float32(float(exact))
    spread = np.linalg.norm(rows[:100, None] - rows[None, :100], axis=2)
    kept = np.linalg.norm(placed[:100, None].astype(np.float64) - placed[None, :100], axis=2)
    assert (kept <= spread * 1.0001 + 1e-3).all()
    assert np.linalg.norm(space.columns.T @ space.columns - np.eye(16)) < 1e-4


@pytest.mark.slow
def test_main_columns_are_those_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 8)) @ rng.normal(size=(8, 60)) * 5 + rng.normal(size=(500, 60))).astype(np.float32)
    space = Space.of(rows, 8, 0)
    theirs = decomposition.PCA(8, svd_solver="full").fit(rows).components_
    assert np.linalg.svd(theirs @ space.columns)[1].min() > 0.9999


def test_groups_are_found_without_their_number() -> None:
    rows, y = rows_of((0, 3, 5, 9), 50, 2)
    nobody = np.full(len(rows), -1)
    groups = groups_of(rows, 50.0, nobody)
    assert len(np.unique(groups)) == 4
    assert sum(np.bincount(y[groups == one]).max() for one in range(4)) >= 0.97 * len(rows)
    fixed = np.where(np.arange(len(rows)) < 40, y, -1)
    held = groups_of(rows, 50.0, fixed)
    assert all(len(np.unique(held[fixed == one])) == 1 for one in (0, 3, 5, 9))
    assert (np.bincount(held) > 5).sum() == 4


@pytest.mark.parametrize(("n", "share"), [(240, 0.003), (700, 0.004), (4_000, 0.003)])
def test_a_bar_lets_about_the_share_pass_that_was_asked_for(n: int, share: float) -> None:
    rng = np.random.default_rng(0)
    passed = []
    for _ in range(400):
        bar = bar_for(rng.exponential(size=n) - 1.0, share)
        passed.append(np.exp(-(bar + 1.0)))
    assert 0.6 * share <= np.mean(passed) <= 1.4 * share


def test_the_share_beyond_a_bar_is_counted_or_follows_the_tail() -> None:
    values = np.random.default_rng(0).exponential(size=2_000)
    assert share_beyond(values, 1.0) == (values > 1.0).mean()
    assert share_beyond(values, 12.0) == pytest.approx(np.exp(-12.0), rel=2.0)
    assert bar_for(values, 0.0) == np.inf
    assert bar_for(values - 50.0, 0.01) < 0.0


def test_chance_is_never_smaller_than_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n, of, share in ((30, 1000, 0.01), (8, 100, 0.05), (100, 100, 0.5), (5, 1000, 0.01)):
        exact = stats.binom.logsf(n - 1, of, share)
        assert exact <= chance(n, of, share) + 1e-9
        assert chance(n, of, share) <= 0.5 * exact + 1e-9 or exact > -3

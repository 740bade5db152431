"""Does the difference of two states name everything that differs, and nothing that does not?"""

from __future__ import annotations

import copy
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_tree import ARRAYS, ATOMS, TREES

from jamais.errors import StateError
from jamais.persistence.difference import Difference, compare, compare_arrays
from jamais.persistence.tree import state_sha256


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_a_state_does_not_differ_from_its_copy(tree: dict[str, Any]) -> None:
    found = compare(tree, copy.deepcopy(tree))
    assert found.is_empty
    assert found.same == ("",)


@settings(max_examples=60, deadline=None)
@given(TREES, st.data())
def test_states_differ_exactly_where_their_names_differ(tree: dict[str, Any], data: st.DataObject) -> None:
    other = copy.deepcopy(tree)
    node = other
    while inside := [key for key, value in node.items() if isinstance(value, dict) and value]:
        if data.draw(st.booleans()):
            break
        node = node[data.draw(st.sampled_from(inside))]
    key = data.draw(st.sampled_from([*node, "new"]))
    if data.draw(st.booleans()) and key in node:
        del node[key]
    else:
        node[key] = data.draw(ATOMS | ARRAYS)
    assert compare(tree, other).is_empty == (state_sha256(tree) == state_sha256(other))
    assert compare(other, tree).is_empty == (state_sha256(tree) == state_sha256(other))


def by_path(found: Difference) -> dict[str, tuple[str, Any, Any]]:
    return {one.path: (one.kind, one.old, one.new) for one in found.values}


def test_values_are_told_with_their_place_what_they_were_and_what_they_are() -> None:
    old = {"settings": {"rate": 0.1, "gone": [1, 2], "same": None}, "n": 1, "part": {"a": 1}, "list": [1, 2, 3]}
    new = {"settings": {"rate": 0.2, "same": None}, "n": 1.0, "new": {"b": {"c": 2}}, "part": {"a": 1}, "list": [1, 3]}
    found = compare(old, new)
    assert by_path(found) == {
        "/settings/rate": ("changed", 0.1, 0.2),
        "/settings/gone": ("removed", [1, 2], None),
        "/n": ("changed", 1, 1.0),
        "/new": ("added", None, {"b": {"c": 2}}),
        "/list": ("changed", [1, 2, 3], [1, 3]),
    }
    assert found.same == ("/settings/same", "/part")


@pytest.mark.parametrize(
    ("old", "new"), [(True, 1), (0.0, -0.0), (math.nan, math.inf), ("a", None), ([1], [1.0]), ({}, []), ("1", 1)]
)
def test_values_that_python_takes_for_equal_may_differ(old: Any, new: Any) -> None:
    assert not compare({"x": old}, {"x": new}).is_empty
    assert compare({"x": old}, {"x": old}).is_empty


def test_dicts_in_lists_are_gone_into() -> None:
    old = {"layers": [{"units": 3, "name": "a"}, {"units": 4}]}
    new = {"layers": [{"units": 5, "name": "a"}, {"units": 4}, {"units": 6}]}
    found = compare(old, new)
    assert by_path(found) == {
        "/layers/0/units": ("changed", 3, 5),
        "/layers/2": ("added", None, {"units": 6}),
    }


TEXTS = st.lists(st.text(max_size=3), unique=True, max_size=8) | st.lists(st.sampled_from("abcdef"), max_size=6)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS)
def test_the_new_vocabulary_follows_from_the_old_one_and_the_difference(old: list[str], new: list[str]) -> None:
    found = compare({"tokens": old}, {"tokens": new})
    if old == new:
        assert found.is_empty
        return
    if any(2 * len(set(texts)) < len(texts) for texts in (old, new)):
        assert not found.lists
        assert by_path(found) == {"/tokens": ("changed", old, new)}
        return
    (one,) = found.lists
    assert (one.n_old, one.n_new) == (len(old), len(new))
    left = dict(enumerate(old))
    for number, text in one.removed:
        assert left.pop(number) == text
    for text, before, after in one.moved:
        assert left.pop(before) == text
        assert before != after
    arrived = [(after, text) for text, _, after in one.moved] + list(one.added)
    assert not left.keys() & {number for number, _ in arrived}
    assert {**left, **dict(arrived)} == dict(enumerate(new))


def test_a_list_of_few_texts_said_often_is_no_vocabulary() -> None:
    old, new = ["a"] * 5 + ["b"], ["a"] * 4 + ["b", "b"]
    found = compare({"x": old}, {"x": new})
    assert not found.lists
    assert by_path(found) == {"/x": ("changed", old, new)}


def test_of_two_texts_that_read_alike_each_has_its_place() -> None:
    (one,) = compare({"x": ["a", "b", "a"]}, {"x": ["a", "c", "b", "a"]}).lists
    assert (one.added, one.removed, one.moved) == (((1, "c"),), (), (("b", 1, 2), ("a", 2, 3)))


NUMBERS = st.sampled_from(["f8", "f4", "f2", "i8", "i1", "u8", "u2", "?"])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_distances_are_those_that_are_computed_by_hand(data: st.DataObject) -> None:
    kind = data.draw(NUMBERS)
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4))
    old, new = (data.draw(hnp.arrays(kind, shape)) for _ in range(2))
    found = compare_arrays("/x", old, new)
    by_hand = naive(old, new)
    if found is None:
        assert old.tobytes() == new.tobytes()
        return
    assert found.n_changed == by_hand["n_changed"]
    assert found.share_changed == by_hand["n_changed"] / old.size
    for name in ("l2", "largest", "cosine"):
        ours = getattr(found, name)
        if by_hand[name] is not None and math.isfinite(by_hand[name]):
            assert ours == pytest.approx(by_hand[name], rel=1e-6, abs=1e-9), name
    if found.largest_at is not None and found.largest is not None and math.isfinite(found.largest):
        a, b = (int(x[found.largest_at]) if kind[0] in "iu?" else float(x[found.largest_at]) for x in (old, new))
        assert abs(a - b) == pytest.approx(found.largest)
    assert found.old is not None
    if kind[0] == "f":
        assert (found.old.nan, found.old.inf) == (int(np.isnan(old).sum()), int(np.isinf(old).sum()))


def naive(old: Any, new: Any) -> dict[str, Any]:
    """Compare value by value with Python's own numbers."""
    pairs = [(a.item(), b.item()) for a, b in zip(old.reshape(-1), new.reshape(-1), strict=True)]
    changed = [a.tobytes() != b.tobytes() for a, b in zip(old.reshape(-1), new.reshape(-1), strict=True)]
    finite = [(a, b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    gaps = [abs(int(a) - int(b)) if old.dtype.kind in "iub" else abs(a - b) for a, b in finite]
    norms = math.hypot(*[float(a) for a, _ in finite]), math.hypot(*[float(b) for _, b in finite])
    dot = math.fsum(float(a) / norms[0] * (float(b) / norms[1]) for a, b in finite) if all(norms) else None
    return {
        "n_changed": sum(changed),
        "l2": math.hypot(*map(float, gaps)),
        "largest": float(max(gaps, default=0)),
        "cosine": dot if dot is not None and all(1e-100 < norm < 1e100 for norm in norms) else None,
    }


def test_an_array_longer_than_a_piece_is_measured_as_a_whole() -> None:
    chance = np.random.default_rng(0)
    old = chance.standard_normal((300, 700)).astype(np.float32)
    new = old.copy()
    new[7, 3] += 2
    new[299, 699] -= 5
    new[250, 1] = np.nan
    found = compare_arrays("/w", old, new)
    assert found is not None
    assert found.old is not None
    assert found.new is not None
    assert (found.n_changed, found.largest_at, found.old.nan, found.new.nan) == (3, (299, 699), 0, 1)
    gaps = np.nan_to_num(old.astype(np.float64) - new)
    assert found.l2 == pytest.approx(float(np.linalg.norm(gaps)), rel=1e-12)
    assert found.largest == pytest.approx(5, rel=1e-6)
    strided = np.asfortranarray(new)
    assert compare_arrays("/w", old, strided) == found


def test_integers_beyond_what_floats_hold_are_not_rounded_away() -> None:
    old, new = np.array([2**63 - 1, -(2**63)]), np.array([2**63 - 2, 2**63 - 1])
    found = compare_arrays("/ids", old, new)
    assert found is not None
    assert (found.n_changed, found.largest, found.largest_at) == (2, float(2**64 - 1), (1,))
    near = compare_arrays("/ids", old[:1], new[:1])
    assert near is not None
    assert near.l2 == 1.0


def test_numbers_near_the_ends_of_floats_have_distances() -> None:
    large = compare_arrays("/x", np.array([1e200, 0.0]), np.array([0.0, 1e200]))
    small = compare_arrays("/x", np.array([1e-200, 0.0]), np.array([0.0, 1e-200]))
    assert large is not None
    assert small is not None
    assert (large.l2, large.cosine) == (pytest.approx(math.sqrt(2) * 1e200), 0.0)
    assert (small.l2, small.cosine) == (pytest.approx(math.sqrt(2) * 1e-200), 0.0)
    huge = compare_arrays("/x", np.array([1.7e308]), np.array([-1.7e308]))
    assert huge is not None
    assert huge.l2 == math.inf


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.complex64])
def test_narrow_and_complex_numbers_have_distances(kind: Any) -> None:
    found = compare_arrays("/x", np.array([[1, 2], [3, 4]], kind), np.array([[1, 2], [3, 8]], kind))
    assert found is not None
    assert (found.l2, found.largest_at, found.n_changed) == (4.0, (1, 1), 1)


def test_an_array_of_another_dtype_is_told_with_what_rounding_did() -> None:
    old = np.array([1.0, 2.0, 0.1], np.float32)
    found = compare_arrays("/w", old, old.astype(ml_dtypes.bfloat16))
    assert found is not None
    assert found.old is not None
    assert found.new is not None
    assert (found.old.dtype, found.new.dtype, found.n_changed) == ("F32", "BF16", 1)
    assert 0 < (found.l2 or 0) < 1e-3
    assert not compare({"x": old}, {"x": old.astype(np.float64)}).is_empty


def test_an_array_that_grew_is_compared_over_the_rows_of_both() -> None:
    old = np.arange(12.0).reshape(4, 3)
    found = compare_arrays("/w", old, np.vstack([old + np.eye(3)[2], old[:2]]))
    assert found is not None
    assert (found.common_rows, found.n_changed, found.largest) == (4, 4, 1.0)
    other = compare_arrays("/w", old, old.reshape(3, 4))
    assert other is not None
    assert (other.common_rows, other.l2) == (None, None)


def test_the_largest_change_of_arrays_comes_first() -> None:
    old = {"w": {name: np.ones(4) for name in "abcd"}}
    new = {"w": {"a": np.ones(4) * 1.1, "b": np.ones(4) * 9, "c": np.ones(4), "d": np.ones(5)}}
    found = compare(old, new)
    assert [one.path for one in found.arrays] == ["/w/d", "/w/b", "/w/a"]
    assert found.same == ("/w/c",)


def test_a_part_with_arrays_that_only_one_side_has_is_one_entry() -> None:
    part = {"m": np.zeros((2, 3)), "deeper": {"v": np.zeros(4, np.float32)}, "step": 3}
    (removed,) = compare({"a": 1, "optimizer": part}, {"a": 1}).parts
    assert (removed.path, removed.kind, removed.arrays, removed.nbytes) == ("/optimizer", "removed", 2, 64)
    found = compare({"x": np.zeros(2)}, {"x": 3})
    assert [(one.path, one.new) for one in found.arrays] == [("/x", None)]
    assert by_path(found) == {"/x": ("added", None, 3)}


def memory(ids: list[int], width: int = 3, **changed: float) -> dict[str, Any]:
    rows = np.array([[i + k / 10 for k in range(width)] for i in ids]).reshape(len(ids), width)
    for name, value in changed.items():
        rows[ids.index(int(name.removeprefix("row")))] = value
    return {"ids": np.array(ids, np.int64), "rows": rows, "counts": np.array(ids) * 2, "capacity": 10}


def test_rows_of_a_memory_are_known_by_their_ids() -> None:
    found = compare({"memory": memory([1, 2, 3, 5])}, {"memory": memory([2, 3, 5, 8, 9], row3=0.5)})
    (rows,) = found.rows
    assert (rows.path, rows.n_old, rows.n_new) == ("/memory", 4, 5)
    assert (rows.added, rows.removed, rows.changed, rows.reordered) == ((8, 9), (1,), (3,), False)
    (column,) = rows.columns
    assert (column.path, column.n_changed, column.common_rows) == ("/memory/rows", 3, 3)
    assert column.l2 == pytest.approx(math.hypot(2.5, 2.6, 2.7))
    assert not found.arrays
    assert found.same == ("/memory/capacity",)


def test_the_order_of_the_rows_counts() -> None:
    (rows,) = compare({"m": memory([1, 2, 3])}, {"m": memory([3, 1, 2])}).rows
    assert rows.reordered
    assert rows.added + rows.removed + rows.changed == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.integers(0, 9), unique=True), st.sets(st.integers(0, 9)))
def test_rows_are_those_that_a_dict_of_rows_finds(old: list[int], new: list[int], touched: set[int]) -> None:
    was, now = memory(old), memory(new, **{f"row{i}": -1.0 for i in touched if i in new})
    found = compare(was, now).rows
    before = {i: (row.tobytes(), n) for i, row, n in zip(old, was["rows"], was["counts"].tolist(), strict=True)}
    after = {i: (row.tobytes(), n) for i, row, n in zip(new, now["rows"], now["counts"].tolist(), strict=True)}
    if before == after and old == new:
        assert not found
        return
    (rows,) = found
    assert rows.added == tuple(sorted(after.keys() - before.keys()))
    assert rows.removed == tuple(sorted(before.keys() - after.keys()))
    assert rows.changed == tuple(sorted(i for i in before.keys() & after.keys() if before[i] != after[i]))
    assert rows.reordered == ([i for i in old if i in after] != [i for i in new if i in before])


def test_ids_that_are_no_names_of_rows_are_arrays_like_others() -> None:
    twice = {"ids": np.array([1, 1]), "rows": np.zeros((2, 3))}
    found = compare({"m": twice}, {"m": {**twice, "rows": np.ones((2, 3))}})
    assert not found.rows
    assert [one.path for one in found.arrays] == ["/m/rows"]
    texts = {"ids": ["a", "b"], "rows": np.zeros((2, 3))}
    assert compare({"m": texts}, {"m": {**texts, "ids": ["a", "c"]}}).lists[0].path == "/m/ids"
    narrow = compare({"m": memory([1, 2])}, {"m": {**memory([1, 2]), "rows": np.zeros((2, 9))}})
    assert [one.path for one in narrow.arrays] == ["/m/rows"]
    assert not narrow.rows


def test_arrays_shared_on_one_side_only_are_told() -> None:
    weight = np.ones((2, 2))
    tied = {"embed": weight, "head": weight}
    found = compare(tied, {"embed": weight, "head": weight.copy()})
    assert [(one.path, one.old, one.new) for one in found.ties] == [("/head", "/embed", None)]
    assert not found.arrays
    assert compare(tied, copy.deepcopy(tied)).is_empty


def test_what_no_state_can_hold_is_refused() -> None:
    with pytest.raises(StateError, match="/x"):
        compare({"x": {1, 2}}, {"x": 1})


def test_nothing_that_was_given_is_changed() -> None:
    old, new = memory([1, 2, 3]), memory([2, 1, 4], row2=7.0)
    kept = copy.deepcopy((old, new))
    compare(old, new)
    assert compare(old, kept[0]).is_empty
    assert compare(new, kept[1]).is_empty

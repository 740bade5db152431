"""Does every state tree come back bit for bit, and is everything else refused by name?"""

from __future__ import annotations

import collections
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bitwise import same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jamais.errors import CorruptStateError, StateError
from jamais.persistence import VersionStore, json_text
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.tree import flatten, state_sha256, unflatten

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates included
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["$", "$$", "$array", "$float", "$text", "$$text", "a/b", "~1", "__metadata__", ""]
)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**128), 2**128)
    | st.floats(allow_nan=True)
    | st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
    | ANY_TEXT
)
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
DTYPES = st.sampled_from(
    "f8,f4,f2,i8,i4,i2,i1,u8,u4,u2,u1,?,>f4,>i8,c8,c16,M8[us],m8[ns],S3,U4".split(",")  # noqa: SIM905
)
NARROW = st.sampled_from([ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]).flatmap(
    lambda kind: hnp.arrays("u2" if np.dtype(kind).itemsize == 2 else "u1", (2, 3)).map(lambda bits: bits.view(kind))
)
ARRAYS = NARROW | DTYPES.flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
TREES = st.recursive(
    st.dictionaries(KEYS, JSON | ARRAYS, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | JSON | ARRAYS, max_size=4),
    max_leaves=6,
)


def through_files(tree: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_binary(Path(folder, "state.bin"), tree, "any")
        loaded, name = read_binary(Path(folder, "state.bin"))
    assert name == "any"
    return loaded


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_tree_comes_back_bit_for_bit(tree: dict[str, Any]) -> None:
    loaded = through_files(tree)
    assert same(loaded, tree)
    assert state_sha256(loaded) == state_sha256(tree)


@settings(max_examples=40, deadline=None)
@given(TREES, TREES)
def test_any_two_trees_come_back_from_a_store(first: dict[str, Any], second: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = VersionStore(folder)
        store.commit(first, reason="", kind="any", parent=None)
        store.commit(second, reason="", kind="any", parent=1)
        assert same(store.load(1)[0], first)
        assert same(store.load(2)[0], second)


@settings(max_examples=50, deadline=None)
@given(TREES)
def test_the_same_tree_gives_the_same_bytes(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in "ab":
            write_binary(Path(folder, name), tree, "any")
        assert Path(folder, "a").read_bytes() == Path(folder, "b").read_bytes()


@settings(max_examples=50, deadline=None)
@given(TREES, ARRAYS)
def test_a_state_with_another_array_has_another_name(tree: dict[str, Any], array: Any) -> None:
    names = {state_sha256({**tree, "one": array}), state_sha256({**tree, "two": array}), state_sha256(tree)}
    assert len(names) == 3 - ("one" in tree or "two" in tree)


def test_an_array_in_two_places_is_kept_once_and_is_one_array_again() -> None:
    shared = np.arange(6.0).reshape(2, 3)
    tree = {"b": {"tied": shared}, "a": shared, "equal": shared.copy(), "turned": shared.T}
    arrays, plain = flatten(tree)
    assert sorted(arrays) == ["/b/tied", "/equal", "/turned"]
    assert plain["a"] == {"$same": "/b/tied"}
    loaded = through_files(tree)
    assert same(loaded, tree)
    assert loaded["a"] is loaded["b"]["tied"]
    assert loaded["equal"] is not loaded["a"]
    assert list(loaded) == list(tree)


def test_the_order_of_keys_does_not_change_the_name_of_a_state_but_what_is_shared_does() -> None:
    w = np.arange(3.0)
    names = {state_sha256(tree) for tree in ({"a": w, "b": {"c": w}}, {"b": {"c": w}, "a": w})}
    assert len(names) == 1
    assert state_sha256({"a": w, "b": {"c": w.copy()}}) not in names


@pytest.mark.parametrize("first", ["/nowhere", "/a", 5, None])
def test_an_array_that_is_the_same_as_none_is_refused(first: Any) -> None:
    with pytest.raises(CorruptStateError, match="is not there"):
        unflatten({}, {"a": {"$same": first}})


def test_nan_payloads_infinities_and_minus_zero_keep_their_bits() -> None:
    bits = [0x7FF8DEADBEEF0001, 0xFFF8000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 1 << 63, 1]
    tree = {"values": [struct.unpack(">d", struct.pack(">Q", b))[0] for b in bits], "nan": math.nan}
    assert same(through_files(tree), tree)


def test_the_state_of_a_numpy_generator_survives() -> None:
    for kind in (np.random.PCG64, np.random.MT19937, np.random.SFC64):
        state = kind(7).state
        loaded = through_files({"rng": state})["rng"]
        again = np.random.Generator(kind(1))
        again.bit_generator.state = loaded
        assert same(again.random(5), np.random.Generator(kind(7)).random(5))


def test_views_and_fortran_order_and_memory_maps_are_saved_by_content(tmp_path: Any) -> None:
    base = np.arange(24.0).reshape(4, 6)
    mapped = np.memmap(tmp_path / "m", dtype="i4", mode="w+", shape=(3,))
    mapped[:] = [1, 2, 3]
    loaded = through_files({"view": base[::2, ::-1], "fortran": np.asfortranarray(base), "mapped": mapped})
    assert np.array_equal(loaded["view"], base[::2, ::-1])
    assert np.array_equal(loaded["fortran"], base)
    assert type(loaded["mapped"]) is np.ndarray
    assert loaded["mapped"].tolist() == [1, 2, 3]


def test_loaded_arrays_are_writable_and_their_own() -> None:
    tree = {"rows": np.zeros((3, 2)), "when": np.zeros(2, "M8[us]"), "huge": np.zeros(20_000)}
    loaded = through_files(tree)
    for name in tree:
        loaded[name][...] = 1
        assert not tree[name].astype(int).any()


def test_subclasses_of_plain_values_become_plain_values() -> None:
    loaded = through_files({"f": np.float64(0.1), "s": np.str_("a")})
    assert [type(loaded["f"]), type(loaded["s"])] == [float, str]
    assert loaded == {"f": 0.1, "s": "a"}


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        (np.float32(1), "numpy scalar"),
        (np.int64(1), "numpy scalar"),
        ((1, 2), "make it a list"),
        ({1, 2}, "make it a list"),
        (object(), "builtins.object"),
        (b"bytes", "builtins.bytes"),
        (1j, "builtins.complex"),
        (collections.OrderedDict(), "OrderedDict"),
        (np.array([None]), "dtype object"),
        (np.zeros(2, dtype=[("a", "f4")]), "dtype"),
        (np.ma.masked_array([1, 2], [0, 1]), "MaskedArray"),
        ([np.zeros(2)], "none inside lists"),
        (2**2000, "2001 bits"),
    ],
)
def test_an_unsupported_leaf_is_refused_with_its_path(leaf: Any, says: str) -> None:
    with pytest.raises(StateError, match="/detector/rows") as caught:
        flatten({"detector": {"ok": 1, "rows": leaf}})
    assert says in str(caught.value)


@pytest.mark.parametrize("key", [1, None, "\ud800"])
def test_a_key_that_is_not_text_is_refused(key: Any) -> None:
    with pytest.raises(StateError, match="/a: keys must be"):
        flatten({"a": {key: 1}})


def test_what_is_too_deep_is_refused_when_saved_and_when_loaded() -> None:
    def nested(depth: int, kind: type) -> Any:
        value: Any = {}
        for _ in range(depth - 1):
            value = [value] if kind is list else {"k": value}
        return {"top": value}

    for kind in (list, dict):
        fits = nested(json_text.MAX_DEPTH - 1, kind)
        assert through_files(fits) == fits
        too_deep = nested(json_text.MAX_DEPTH, kind)
        with pytest.raises(StateError, match="deeper than"):
            flatten(too_deep)
        with pytest.raises(CorruptStateError, match="deeper than"):
            unflatten({}, too_deep)
    with pytest.raises(StateError, match="a state is a dict"):
        flatten([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "plain",
    [
        [],
        {},
        {"a": {"$array": "<f8 3"}},
        {"a": {"$array": "<f4 2"}},
        {"a": {"$array": "<f8 -2"}},
        {"a": {"$array": "|O 2"}},
        {"a": {"$array": "os.system 2"}},
        {"a": {"$array": ["<f8", [2]]}},
        {"a": {"$array": "<f8 2"}, "b": {"$array": "<f8 2"}},
        {"a": {"$array": "<f8 2"}, "b": {"$float": "00"}},
        {"a": {"$array": "<f8 2"}, "b": {"$float": 3}},
        {"a": {"$array": "<f8 2"}, "b": {"$text": "zz"}},
        {"a": {"$array": "<f8 2"}, "b": {"$class": "os.system"}},
        {"a": {"$array": "<f8 2"}, "$b": 1},
    ],
)
def test_markers_that_do_not_fit_are_refused(plain: Any) -> None:
    tensors = {"/a": np.zeros(2)}
    assert unflatten(tensors, {"a": {"$array": "<f8 2"}})["a"].shape == (2,)
    with pytest.raises(CorruptStateError):
        unflatten(tensors, plain)


def test_an_array_kept_as_bytes_must_fill_its_shape_exactly() -> None:
    tensors = {"/a": np.zeros(16, np.uint8)}
    assert unflatten(tensors, {"a": {"$array": "<c8 2"}})["a"].shape == (2,)
    for marker in ("<c8 3", "<c8 1", "<c8 4611686018427387904 4", "<U0 9", "<M8[zz] 2", "<c3 2"):
        with pytest.raises(CorruptStateError):
            unflatten(tensors, {"a": {"$array": marker}})


def test_arrays_that_no_face_would_read_again_are_refused() -> None:
    flatten({"a": np.zeros([1] * 32)})
    for array in (np.zeros([1] * 33), np.zeros((0, 1 << 48))):
        with pytest.raises(StateError, match=r"/a: cannot save an array of \d+ axes"):
            flatten({"a": array})

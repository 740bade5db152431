"""Does a state written as JSON come back bit for bit, and can people and other programs read it?"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import xxhash
from bitwise import same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jamais.errors import CorruptStateError, SettingsError, StateError
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces import json_face, json_numbers
from jamais.persistence.faces.arrangement import Arrangement, Layer
from jamais.persistence.faces.json_face import read_json, to_json_blocks, write_json
from jamais.persistence.json_text import MAX_DEPTH
from jamais.persistence.tree import state_sha256

MODES = ("numbers", "base64")

STATE = {
    "vocab": {"words": ["中国", "</s>"], "size": 2},
    "model": {"embed": np.array([[0.1, -2], [3e-9, np.nan]], np.float32), "bias": np.array([1, 2], np.int8)},
    "step": 7,
}
ARRANGED = Arrangement(sections={"vocab": "/vocab"}, layers=(Layer("Embeddings", {"weight": "/model/embed"}),))


def as_written(tree: dict[str, Any], **more: Any) -> bytes:
    return b"".join(to_json_blocks(tree, "Model", **more))


def through_json(folder: Path, tree: dict[str, Any], mode: str, **more: Any) -> dict[str, Any]:
    path = folder / "state.json"
    write_json(path, tree, "Model", arrays=mode, **more)
    loaded, type_name = read_json(path)
    assert type_name == "Model"
    return loaded


@contextmanager
def small_pieces(numbers: int, characters: int) -> Iterator[None]:
    """Cut texts into tiny pieces, so that small arrays are treated as huge ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_numbers, "BLOCK", numbers)
        patch.setattr(json_numbers, "_BLOCK_BYTES", characters)
        yield


# --- bit for bit


def arrays_of(name: str) -> st.SearchStrategy[Any]:
    """Draw arrays of any bits, rich in the ends and the holes of the dtype."""
    dtype = BY_NAME[name]
    width = 8 * dtype.itemsize
    if name == "BOOL":
        bits = st.integers(0, 1)
    else:
        edges = [0, 1, 1 << (width - 1), (1 << width) - 1, (1 << (width - 1)) - 1, (1 << (width - 1)) + 1]
        if width == 64:
            edges += [2**53 - 1, 2**53, 2**53 + 1, 2**64 - 2**53 - 1, 2**64 - 2**53, 2**64 - 2**53 + 1]
        if name in json_numbers._USUAL_NAN:
            plain = np.array([np.nan, 1.0, -1.5, 0.1]).astype(dtype)
            edges += [int(n) for n in plain.view(f"u{dtype.itemsize}")]
        if name in json_numbers._INFINITY:
            infinity = json_numbers._INFINITY[name]
            edges += [infinity, infinity | 1 << (width - 1), infinity + 1, infinity - 1]
        if name == "F32":
            edges += [0x15AE43FD, 0x95AE43FD]
        bits = st.sampled_from(edges) | st.integers(0, (1 << width) - 1)
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return hnp.arrays(f"u{dtype.itemsize}", shapes, elements=bits).map(lambda raw: raw.view(dtype))


ARRAYS = st.sampled_from(sorted(BY_NAME)).flatmap(arrays_of)
OTHER_ARRAYS = st.sampled_from(["c8", ">f4", "M8[us]", "S3"]).flatmap(lambda kind: hnp.arrays(kind, (2, 2)))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["$", "$part", "$array", "data", "b64", "权重", "层/0", "~1", "", 'a"data', "sha256"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(['"data": [', "\\", '\\"data": [1', '"b64": "', "]", "词"])
)
PLAIN = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
TREES = st.recursive(
    st.dictionaries(KEYS, ARRAYS | OTHER_ARRAYS | PLAIN, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | ARRAYS | PLAIN, max_size=3),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None)
@given(TREES, st.sampled_from(MODES), st.sampled_from([(4, 8), (1, 4), (1 << 18, 1 << 20)]))
def test_any_tree_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any], mode: str, pieces: tuple[int, int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with small_pieces(*pieces):
        loaded = through_json(folder, tree, mode)
    assert same(loaded, tree)
    assert state_sha256(loaded) == state_sha256(tree)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(KEYS, ARRAYS, max_size=3), st.sampled_from(MODES))
def test_an_obvious_reader_that_knows_only_the_documented_format_gets_the_same_bits(
    tree: dict[str, Any], mode: str
) -> None:
    document = json.loads(as_written(tree, arrays=mode))
    for key, array in tree.items():
        path = "/" + key.replace("~", "~0").replace("/", "~1")
        assert same(naive_array(document["tensors"][path]), array)


def test_the_digests_are_those_that_are_documented() -> None:
    text = as_written(STATE, arrangement=ARRANGED)
    document = json.loads(text)
    embed = document["layers"][0]["tensors"]["weight"]
    assert embed["xxh3"] == xxhash.xxh3_128(STATE["model"]["embed"].tobytes()).hexdigest()  # type: ignore[index]
    sha256 = document.pop("sha256")
    for tensor in [embed, *document["tensors"].values()]:
        del tensor["data"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(canonical.encode()).hexdigest() == sha256


def naive_array(tensor: dict[str, Any]) -> Any:
    """Turn a tensor of a document into an array, number by number."""
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"}
    kinds |= {f"{sign.upper()}{8 * n}": f"<{sign}{n}" for sign in "iu" for n in (1, 2, 4, 8)}
    narrow = {
        "BF16": ml_dtypes.bfloat16,
        "F8_E4M3": ml_dtypes.float8_e4m3fn,
        "F8_E5M2": ml_dtypes.float8_e5m2,
    }
    name = tensor["dtype"]
    dtype = np.dtype(narrow[name]) if name in narrow else np.dtype(kinds[name])
    if "b64" in tensor:
        return np.frombuffer(base64.b64decode(tensor["b64"]), dtype).reshape(tensor["shape"])
    numbers: list[Any] = [tensor["data"]]
    while any(type(n) is list for n in numbers):
        numbers = [inner for n in numbers for inner in (n if type(n) is list else [n])]
    array = np.zeros(len(numbers), dtype)
    bits = array.view(f"<u{dtype.itemsize}")
    for i, number in enumerate(numbers):
        if type(number) is str and number.startswith("NaN:"):
            bits[i] = int(number[4:], 16)
        elif dtype.kind in "iu":
            array[i] = int(number)
        else:
            array[i] = float(number)
    return array.reshape(tensor["shape"])


@pytest.mark.parametrize("mode", MODES)
def test_arrays_in_two_places_are_one_array_again(tmp_path: Path, mode: str) -> None:
    tied = np.arange(6, dtype=np.float32).reshape(2, 3)
    loaded = through_json(tmp_path, {"embed": {"weight": tied}, "head": {"weight": tied}}, mode)
    assert loaded["embed"]["weight"] is loaded["head"]["weight"]
    assert np.array_equal(loaded["embed"]["weight"], tied)
    loaded["embed"]["weight"][0, 0] = 9


def test_every_size_of_pieces_gives_the_same_text_and_the_same_bits(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tree = {
        "long": random.standard_normal(61, dtype=np.float32),
        "narrow": random.standard_normal((31, 1)),
        "wide": random.integers(-(2**62), 2**62, (2, 29)),
        "deep": random.integers(0, 2, (2, 3, 1, 2, 3)).astype(bool),
        "nan": np.full((3, 11), np.nan, ml_dtypes.bfloat16),
    }
    texts = set()
    for numbers, characters in ((1, 4), (2, 8), (3, 12), (5, 16), (7, 64), (1000, 1000)):
        with small_pieces(numbers, characters):
            texts.add(as_written(tree))
            for mode in MODES:
                assert same(through_json(tmp_path, tree, mode), tree)
    assert len(texts) == 1


@pytest.mark.parametrize("mode", MODES)
def test_loaded_arrays_are_writable_and_their_own(tmp_path: Path, mode: str) -> None:
    tree = {"a": np.zeros((2, 2)), "b": np.zeros((0, 5), np.int8), "c": np.zeros(()), "d": np.zeros(3, "M8[s]")}
    loaded = through_json(tmp_path, tree, mode)
    for name in tree:
        loaded[name][...] = 1
        assert not tree[name].astype(int).any()


@pytest.mark.parametrize("mode", MODES)
def test_fortran_order_and_views_are_written_by_content(tmp_path: Path, mode: str) -> None:
    base = np.arange(24.0).reshape(4, 6)
    loaded = through_json(tmp_path, {"f": np.asfortranarray(base), "v": base[::2, ::-1]}, mode)
    assert np.array_equal(loaded["f"], base)
    assert np.array_equal(loaded["v"], base[::2, ::-1])


@pytest.mark.parametrize("mode", MODES)
def test_a_state_as_deep_as_is_allowed_comes_back(tmp_path: Path, mode: str) -> None:
    for bottom in ({"a": np.ones(3), "t": "\ud800", "f": math.inf}, [["\ud800", math.nan]]):
        tree: Any = bottom
        while depth_of(tree) < MAX_DEPTH:
            tree = {"data": [tree]} if depth_of(tree) == 5 and type(bottom) is list else {"k": tree}
        assert same(through_json(tmp_path, tree, mode), tree)
        with pytest.raises(StateError, match="deeper than"):
            to_json_blocks({"k": tree}, "Model")


def depth_of(tree: Any) -> int:
    if type(tree) is dict:
        return 1 + max(map(depth_of, tree.values()))
    return 1 + max(map(depth_of, tree)) if type(tree) is list else 0


# --- the numbers themselves


def texts_of(array: Any) -> list[str]:
    text = b"".join(json_numbers.number_blocks(array)).decode()
    return [part.strip() for part in text.replace("[", "").replace("]", "").split(",")]


def test_float32_are_the_shortest_decimals_a_reader_of_doubles_gets_the_bits_from() -> None:
    bits = np.random.default_rng(1).integers(0, 0x7F80_0000, 20_000).astype(np.uint32)
    bits[::2] |= 0x8000_0000
    numbers = bits.view(np.float32)
    texts = texts_of(numbers)
    assert np.array_equal(np.array([float(t) for t in texts]).astype(np.float32).view(np.uint32), bits)
    for text, number in zip(texts, numbers, strict=True):
        shortest = np.format_float_scientific(number, unique=True, trim="-")
        assert digits_of(text) == digits_of(shortest), text


def digits_of(text: str) -> str:
    return text.lower().split("e")[0].replace("-", "").replace(".", "").strip("0")


def test_the_one_float32_that_a_reader_of_doubles_would_round_twice_is_written_longer() -> None:
    trap = np.array([0x15AE43FD, 0x95AE43FD], np.uint32).view(np.float32)
    assert np.float32(float("7.038531e-26")) != trap[0]  # this is its shortest decimal
    texts = texts_of(trap)
    assert texts == ["7.038530691851209e-26", "-7.038530691851209e-26"]
    assert [np.float32(float(text)) for text in texts] == trap.tolist()


def test_narrow_floats_are_written_as_the_double_they_are() -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
        size = np.dtype(dtype).itemsize
        every = np.arange(1 << (8 * size)).astype(f"u{size}").view(dtype)
        with np.errstate(invalid="ignore"):
            finite = every[np.isfinite(every)]
        assert [float(text) for text in texts_of(finite)] == finite.astype(np.float64).tolist()


@pytest.mark.parametrize("name", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
def test_every_bit_pattern_of_the_narrow_floats_comes_back(tmp_path: Path, name: str) -> None:
    size = BY_NAME[name].itemsize
    every = np.arange(1 << (8 * size)).astype(f"u{size}").view(BY_NAME[name]).reshape(16, -1)
    assert same(through_json(tmp_path, {"every": every}, "numbers"), {"every": every})
    usual = np.array([np.nan]).astype(BY_NAME[name])
    assert texts_of(usual) == ['"NaN"']
    assert same(naive_array({"dtype": name, "shape": [1], "data": ["NaN"]}), usual)


def test_each_kind_of_number_has_the_documented_words() -> None:
    nan = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000], np.uint32).view(np.float32)
    assert texts_of(nan) == ['"NaN"', '"NaN:ffc00000"', '"NaN:7f800001"', '"Infinity"', '"-Infinity"']
    assert texts_of(np.array([0.1, -0.0, 1.0, 5e-324])) == ["0.1", "-0.0", "1.0", "5e-324"]
    assert texts_of(np.array([2**53, 2**53 + 1, -(2**53) - 1])) == [str(2**53), f'"{2**53 + 1}"', f'"{-(2**53) - 1}"']
    assert texts_of(np.array([2**64 - 1, 1], np.uint64)) == [f'"{2**64 - 1}"', "1"]
    assert texts_of(np.array([True, False])) == ["true", "false"]
    assert texts_of(np.array(2.5)) == ["2.5"]
    assert b"".join(json_numbers.number_blocks(np.zeros((3, 0)))) == b"[]"


# --- for people and other programs

GOLDEN = """{
 "format": "jamais-state",
 "format_version": 1,
 "type": "Model",
 "jamais_version": "0.1.0",
 "vocab": {
  "words": [
   "中国",
   "</s>"
  ],
  "size": 2
 },
 "layers": [
  {"type": "Embeddings", "tensors": {
  "weight": {"path": "/model/embed", "dtype": "F32", "shape": [2, 2], "xxh3": "114cb26dff367e478f41cb514dcdacee", "data":
[[0.1,-2.0],
[3e-9,"NaN"]]}
 }}
 ],
 "state": {
  "vocab": {
   "$part": "vocab"
  },
  "model": {
   "embed": {
    "$array": "<f4 2 2"
   },
   "bias": {
    "$array": "|i1 2"
   }
  },
  "step": 7
 },
 "tensors": {
  "/model/bias": {"dtype": "I8", "shape": [2], "xxh3": "d2f0f9428898845f08130b77ddef5807", "data": [1,2]}
 },
 "sha256": "d76168245c2a6156fd8e9befcec0883f8c5f16f037f7ccac90e756ef37b70817"
}"""  # noqa: E501


def test_the_text_of_format_1_is_this_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_text(GOLDEN, encoding="utf-8")
    assert same(read_json(tmp_path / "golden.json")[0], STATE)
    monkeypatch.setattr(json_face, "__version__", "0.1.0")
    assert as_written(STATE, arrangement=ARRANGED).decode() == GOLDEN


def test_the_same_state_gives_the_same_bytes_and_one_changed_row_one_changed_line() -> None:
    rows = np.random.default_rng(0).random((50, 4), dtype=np.float32)
    other = rows.copy()
    other[20, 1] = 5
    assert as_written({"rows": rows}) == as_written({"rows": rows.copy()})
    old, new = (as_written({"rows": each}).splitlines() for each in (rows, other))
    assert len(old) == len(new)
    changed = [line for line, before in zip(new, old, strict=True) if line != before]
    assert len(changed) == 3  # the row, the digest of its tensor, the digest of all
    assert np.float32(json.loads(changed[1].strip(b","))).tolist() == other[20].tolist()


def test_the_reader_in_the_seed_finds_vocabulary_and_layers(tmp_path: Path) -> None:
    path = tmp_path / "model_for_python.json"
    write_json(path, STATE, "Model", arrangement=ARRANGED)
    # --- as in the document of the seed
    with open(path) as f:
        model_data = json.load(f)
    vocab = model_data["vocab"]
    layers = model_data["layers"]
    assert len(vocab["words"]) == 2
    # ---
    assert [layer["type"] for layer in layers] == ["Embeddings"]
    weight = layers[0]["tensors"]["weight"]
    numbers = [[float(x) for x in row] for row in weight["data"]]
    assert np.array_equal(np.array(numbers, np.float32), STATE["model"]["embed"], equal_nan=True)  # type: ignore[index]
    assert "/model/embed" not in model_data["tensors"]


REFORMATTED = {
    "indented": lambda text: json.dumps(json.loads(text), indent=4),
    "in one line of ASCII": lambda text: json.dumps(json.loads(text), separators=(",", ":")),
    "with sorted keys": lambda text: json.dumps(json.loads(text), indent="\t", sort_keys=True),
    "with Windows line ends and a mark": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "with a line at the end": lambda text: text + "\n",
    "as JavaScript writes numbers": lambda text: text.replace(".0,", ",").replace(".0]", "]"),
    "with escaped slashes": lambda text: text.replace("/", "\\/"),
    "with escaped keys": lambda text: text.replace('"data"', '"d\\u0061ta"').replace('"b64"', '"b\\u00364"'),
}


@pytest.mark.parametrize("how", REFORMATTED)
@pytest.mark.parametrize("mode", MODES)
def test_a_file_another_tool_laid_out_anew_is_still_what_was_written(tmp_path: Path, how: str, mode: str) -> None:
    tree = {
        "w": np.array([[-0.0, 1.0, np.nan], [3.5, 2.0, -7.25e-10]], np.float32),
        "deep": np.arange(12, dtype=np.int64).reshape(2, 3, 2) * 2**60,
        "zero": np.array(-0.0),
        "none": np.zeros((3, 0)),
        "list": {"data": [1, {"b64": "a/b", "data": ["]", '"']}], 'my"data': [1], "b64": "\\"},
    }
    path = tmp_path / "state.json"
    path.write_text(REFORMATTED[how](as_written(tree, arrays=mode).decode()), encoding="utf-8")
    loaded, _ = read_json(path)
    assert state_sha256(loaded) == state_sha256(tree)
    assert np.signbit(loaded["zero"])


def test_the_two_modes_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    document = json.loads(as_written(STATE))
    tensor = document["tensors"]["/model/embed"]
    del tensor["data"]
    tensor["b64"] = base64.b64encode(STATE["model"]["embed"].tobytes()).decode()  # type: ignore[index]
    (tmp_path / "s.json").write_text(json.dumps(document))
    assert same(read_json(tmp_path / "s.json")[0], STATE)


# --- edited by hand


def edited(tmp_path: Path, old: str, new: str, mode: str = "numbers") -> Path:
    text = as_written(STATE, arrays=mode, arrangement=ARRANGED).decode()
    assert text.count(old) == 1
    path = tmp_path / "edited.json"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_an_edited_number_is_named_and_counts_when_edits_are_accepted(tmp_path: Path) -> None:
    path = edited(tmp_path, "[0.1,-2.0]", "[0.25,-2.0]")
    with pytest.raises(CorruptStateError, match=r"not what was written: tensor /model/embed\. .*accept_edits=True"):
        read_json(path)
    loaded, _ = read_json(path, accept_edits=True)
    assert loaded["model"]["embed"][0].tolist() == [0.25, -2.0]
    assert loaded["model"]["bias"].tolist() == [1, 2]


def test_an_edited_word_is_named_and_counts_when_edits_are_accepted(tmp_path: Path) -> None:
    path = edited(tmp_path, '"中国"', '"世界"')
    with pytest.raises(CorruptStateError, match="not what was written: what is not a tensor"):
        read_json(path)
    assert read_json(path, accept_edits=True)[0]["vocab"]["words"] == ["世界", "</s>"]


def test_many_edited_tensors_are_counted(tmp_path: Path) -> None:
    text = as_written({f"t{i}": np.full(2, 1.5) for i in range(9)}).replace(b"1.5,", b"2.5,")
    (tmp_path / "s.json").write_bytes(text)
    with pytest.raises(CorruptStateError, match=r"tensor /t0, .*tensor /t4 and 4 more\. "):
        read_json(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[1,2]", "[1,300]", "beyond the range of I8"),
        ("[1,2]", "[1,2.0]", "float among numbers of I8"),
        ("[1,2]", "[1,true]", "bool among numbers of I8"),
        ("[1,2]", '[1,"2"]', "str among numbers of I8"),
        ("[1,2]", "[1,null]", "NoneType among numbers of I8"),
        ("[1,2]", "[1,[2]]", "brackets"),
        ("[1,2]", "[1,2,3]", "about 3 numbers"),
        ("[1,2]", "[1]", "about 1 numbers"),
        ("[1,2]", "[1,]", "brackets|not JSON|other than"),
        ("[1,2]", "[1,02]", "not JSON"),
        ("[1,2]", "[1,NaN]", "not JSON"),
        ("[1,2]", "1", "about 1 numbers"),
        ("[1,2]", "{}", "about 1 numbers"),
        ("[1,2]", '{"a":1,"b":2}', "brackets"),
        ("[0.1,-2.0]", "[0.1,-2e39]", "beyond the range of F32"),
        ("[0.1,-2.0]", "[0.1,1e999]", "not JSON"),
        ("[0.1,-2.0]", "[0.1,false]", "bool among numbers of F32"),
        ("[0.1,-2.0]", '[0.1,"-2.0"]', "'-2.0' among numbers of F32"),
        ("[0.1,-2.0]", '[0.1,"NaN:3f800000"]', "bits called NaN"),
        ("[0.1,-2.0]", '[0.1,"NaN:7fc0"]', "'NaN:7fc0' among"),
        ("[0.1,-2.0]", "[[0.1,-2.0]]", "brackets before row 0"),
        ("[0.1,-2.0]", "[0.1],[-2.0]", "row 0 does not hold 2"),
        ("[0.1,-2.0]", "[0.1 -2.0]", "about 3 numbers"),
        ('"dtype": "I8", "shape": [2]', '"dtype": "I8", "shape": [3]', "about 2 numbers, shape .3. has 3"),
        ('"dtype": "I8", "shape": [2]', '"dtype": "I8", "shape": [1, 2]', "brackets"),
        ('"dtype": "I8"', '"dtype": "I16"', "wanted |i1"),
        ("|i1 2", "|i1 3", "marker"),
        ('"step"', '"$step"', "unknown marker"),
    ],
)
def test_accepted_edits_are_checked_as_strictly_as_all_else(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(CorruptStateError, match=says):
        read_json(edited(tmp_path, old, new), accept_edits=True)


@pytest.mark.parametrize("bad", ["AQI", "AQ==", "AQID", "A!I=", "AQI=AQI=", "AQ=I", "=AQI"])
def test_accepted_edits_of_base64_are_checked_too(tmp_path: Path, bad: str) -> None:
    with pytest.raises(CorruptStateError, match="base64"):
        read_json(edited(tmp_path, '"AQI="', f'"{bad}"', "base64"), accept_edits=True)


def test_a_bool_that_is_neither_is_refused(tmp_path: Path) -> None:
    text = as_written({"b": np.array([True, False, True])}, arrays="base64").replace(b'"AQAB"', b'"AQAC"')
    (tmp_path / "s.json").write_bytes(text)
    with pytest.raises(CorruptStateError, match="neither 0 nor 1"):
        read_json(tmp_path / "s.json", accept_edits=True)


# --- sections, layers, limits


def test_sections_and_layers_come_back_whatever_their_keys(tmp_path: Path) -> None:
    tree = {"$a/b": {"~词": {"words": ["x"], "ids": np.arange(3)}}, "w": np.ones((2, 2))}
    arranged = Arrangement(
        sections={"vocab": "/$a~1b/~0词"}, layers=(Layer("Dropout", {}), Layer("Linear", {"weight": "/w"}))
    )
    for mode in MODES:
        assert same(through_json(tmp_path, tree, mode, arrangement=arranged), tree)
    document = json.loads(as_written(tree, arrangement=arranged))
    assert document["vocab"] == {"words": ["x"], "ids": {"$array": "<i8 3"}}
    assert document["state"]["$$a/b"] == {"~词": {"$part": "vocab"}}
    assert document["layers"][0] == {"type": "Dropout", "tensors": {}}


@pytest.mark.parametrize(
    ("arrangement", "says"),
    [
        (Arrangement(sections={"state": "/vocab"}), "key of its own"),
        (Arrangement(sections={"sha256": "/vocab"}), "key of its own"),
        (Arrangement(sections={"v": "/nothing"}), "no dict at '/nothing'"),
        (Arrangement(sections={"v": "/step"}), "no dict at"),
        (Arrangement(sections={"v": "/vocab/words/0"}), "no dict at"),
        (Arrangement(sections={"v": "/model/embed"}), "no dict at"),
        (Arrangement(sections={"v": ""}), "no dict at"),
        (Arrangement(sections={"v": "vocab"}), "no dict at"),
        (Arrangement(sections={"a": "/vocab", "b": "/vocab"}), "inside another"),
        (Arrangement(sections={"a": "/deep", "b": "/deep/er"}), "inside another"),
        (Arrangement(layers=(Layer("L", {"w": "/nothing"}),)), "'/nothing' is no array"),
        (Arrangement(layers=(Layer("L", {"w": "/model/bias", "v": "/model/bias"}),)), "in two places"),
    ],
)
def test_an_arrangement_that_does_not_fit_is_refused(arrangement: Arrangement, says: str) -> None:
    with pytest.raises(StateError, match=says):
        to_json_blocks({**STATE, "deep": {"er": {}}}, "Model", arrangement=arrangement)


def test_too_many_numbers_are_refused_with_their_size_unless_forced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(json_face, "MAX_NUMBERS", 999_999)
    tree = {"rows": np.random.default_rng(0).standard_normal((1000, 1000), dtype=np.float32)}
    size = len(as_written(tree, force=True)) / 2**20
    with pytest.raises(StateError, match=r'1,000,000 numbers would be about .* arrays="base64".*force=True') as caught:
        write_json(tmp_path / "s.json", tree, "Model")
    assert math.isclose(float(str(caught.value).split("about ")[1].split(" MiB")[0]), size, rel_tol=0.1)
    assert not (tmp_path / "s.json").exists()
    assert same(through_json(tmp_path, tree, "base64"), tree)
    assert same(through_json(tmp_path, tree, "numbers", force=True), tree)


def test_an_unknown_mode_and_too_many_arrays_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="wanted"):
        to_json_blocks(STATE, "Model", arrays="hex")
    monkeypatch.setattr(json_face, "MAX_TENSORS", 1)
    with pytest.raises(StateError, match="join the small ones"):
        to_json_blocks(STATE, "Model")


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "s.json", STATE, "Model")
    with pytest.raises(StateError, match="/a"):
        write_json(tmp_path / "s.json", {"a": object()}, "Model")
    assert same(read_json(tmp_path / "s.json")[0], STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["s.json"]


@pytest.mark.parametrize("mode", MODES)
def test_a_large_state_is_written_piece_by_piece(mode: str) -> None:
    tree = {"rows": np.zeros((2000, 2000)), "long": np.zeros(2_000_000, np.float32)}
    blocks = to_json_blocks(tree, "Model", arrays=mode)
    tracemalloc.start()
    length = sum(map(len, blocks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert length > 24_000_000
    assert peak < 12_000_000

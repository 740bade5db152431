"""Is every changed bit of a JSON state noticed, and does a hostile one get nowhere?"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import jamais
from jamais.errors import CorruptStateError, JamaisError, StateError
from jamais.persistence.faces.arrangement import Arrangement, Layer
from jamais.persistence.faces.json_face import read_json, to_json_blocks
from jamais.persistence.tree import state_sha256

PIECES = np.random.default_rng(0)
TREE = {
    "vocab": {"words": ["中国", "</s>", '"data": [1']},
    "model": {
        "embed": PIECES.standard_normal((6, 5), dtype=np.float32),
        "bf16": PIECES.standard_normal((2, 3)).astype(ml_dtypes.bfloat16),
        "odd": np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324]),
        "ids": np.array([[2**63 - 1, -5], [0, 2**53 + 1]]),
        "mask": np.array([True, False, True]),
        "small": np.array([0, 255, 7], np.uint8),
    },
    "rng": {"state": 2**127 + 1, "data": [1, {"b64": "QUJD", "x": float("nan")}]},
}
ARRANGED = Arrangement(sections={"vocab": "/vocab"}, layers=(Layer("Embeddings", {"weight": "/model/embed"}),))
MODES = ("numbers", "base64")


def written(mode: str) -> bytes:
    return b"".join(to_json_blocks(TREE, "Model", arrays=mode, arrangement=ARRANGED))


def assert_noticed_or_harmless(path: Path, data: bytes, where: str) -> bool:
    """Assert that a changed file is refused or says the same; say whether it was refused."""
    with open(path, "r+b" if path.exists() else "wb") as file:  # in place: a new file each time costs a millisecond
        file.write(data)
        file.truncate()
    said = ""
    try:
        loaded, type_name = read_json(path)
    except StateError as error:
        said = str(error)
    if said:
        assert str(path) in said, where
        assert len(said) < 2500, where
        return True
    assert state_sha256(loaded) == state_sha256(TREE), where
    assert type_name == "Model", where
    return False


def flipped(good: bytes, bit: int) -> bytes:
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    return bytes(bad)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flips", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_any_flipped_bit_is_noticed_or_harmless(tmp_path: Path, mode: str, flips: int) -> None:
    good = written(mode)
    pick = random.Random(flips)
    bits = [pick.randrange(8 * len(good)) for _ in range(flips)]
    noticed = sum(assert_noticed_or_harmless(tmp_path / "s.json", flipped(good, bit), f"bit {bit}") for bit in bits)
    assert noticed > 0.9 * flips  # white space to other white space, the last digit of a long double


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_single_bit_is_noticed_or_harmless(tmp_path: Path, mode: str) -> None:
    good = written(mode)
    for bit in range(8 * len(good)):
        assert_noticed_or_harmless(tmp_path / "s.json", flipped(good, bit), f"bit {bit}")


@pytest.mark.parametrize("mode", MODES)
def test_any_truncation_growth_or_page_of_zeroes_is_noticed(tmp_path: Path, mode: str) -> None:
    good = written(mode)
    path = tmp_path / "s.json"
    for length in reversed(range(len(good))):
        assert assert_noticed_or_harmless(path, good[:length], f"{length} of {len(good)} bytes")
    for bad in (good + b"\0", good + b"x", good + good, good + b"}", bytes(len(good)), good[:900] + bytes(64)):
        assert assert_noticed_or_harmless(path, bad, "grown or zeroed")
    for start in range(0, len(good) - 64, 64):
        assert assert_noticed_or_harmless(path, good[:start] + bytes(64) + good[start + 64 :], f"zeros at {start}")


@pytest.mark.parametrize("mode", MODES)
def test_lines_that_are_lost_doubled_or_swapped_are_noticed(tmp_path: Path, mode: str) -> None:
    lines = written(mode).splitlines(keepends=True)
    for i in range(len(lines) - 1):
        for bad in (
            lines[:i] + lines[i + 1 :],
            [*lines[:i], lines[i], *lines[i:]],
            [*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]],
        ):
            if bad != lines:
                noticed = assert_noticed_or_harmless(tmp_path / "s.json", b"".join(bad), f"line {i}")
                # Two keys of one object that change places change nothing.
                assert noticed or sorted(bad) == sorted(lines)


# --- hostile: refused in under a second, with nothing allocated that the file does not hold


def refused(path: Path, data: bytes | None = None) -> str:
    """Assert that a file is refused at once, with or without accepted edits; give the message."""
    if data is not None:
        path.write_bytes(data)
    said = ""
    for accept_edits in (False, True):
        start = time.process_time()
        with pytest.raises(JamaisError) as caught:
            read_json(path, accept_edits=accept_edits)
        assert time.process_time() - start < 1
        said = str(caught.value)
        assert len(said) < 1000
    return said


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(written("numbers"))
    change(document)
    return json.dumps(document).encode()


def bias(document: dict[str, Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = document["tensors"]["/model/small"]
    return tensor


def as_base64(tensor: dict[str, Any]) -> dict[str, Any]:
    tensor["b64"] = base64.b64encode(bytes(tensor.pop("data"))).decode()
    return tensor


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not readable as JSON"),
        (b"null", "not a state saved by jamais"),
        (b"[]", "not a state saved by jamais"),
        (b"{}", "not a state saved by jamais"),
        (b"\x80\x04\x95", "not readable as JSON"),
        (b"PK\x03\x04", "not readable as JSON"),
        ('{"format": "jamais-state"}'.encode("utf-16"), "zero bytes"),
        (b'{"format": "jamais-state"}', "format version 'None'"),
        (b'{"format": "jamais-state", "format": "jamais-state"}', "same key stands twice"),
        (b'{"format": "jamais-state", "format_version": 1, "a": NaN}', "bare NaN"),
        (b'{"format": "jamais-state", "format_version": 1, "a": "\xff"}', "not readable as JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not readable as JSON"),
        (b"[" * 200_000, "nested deeper"),
        (b'{"a":' * 200_000, "nested deeper"),
        (b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not a state saved by jamais"),
        (b'{"data":[' * 200_000, "a list does not end"),
        (b'{"data":["' * 200_000, "a list does not end"),
        (b'{"data":["\\', "a list does not end"),
        (b'"b64":"' * 50_000, "not readable as JSON"),
        (b'"b64":"\\' * 50_000, "not readable as JSON"),
        (b'{"data": [1]} {"data": [1]}', "not readable as JSON"),
        (b'{"data": [1] [2]}', "not readable as JSON"),
    ],
)
def test_json_that_is_none_or_a_bomb_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    assert says in refused(tmp_path / "s.json", text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(format="other"), "not a state saved by jamais"),
        (
            lambda d: d.update(format_version=2),
            f"format version 2, this jamais ({jamais.__version__}) reads 1: update jamais",
        ),
        (lambda d: d.update(format_version="1"), "there never was"),
        (lambda d: d.update(format_version=True), "there never was"),
        (lambda d: d.update(format_version=0), "there never was"),
        (lambda d: d.pop("type"), "type is NoneType"),
        (lambda d: d.update(type=["os", "system"]), "type is list"),
        (lambda d: d.pop("sha256"), "sha256 is NoneType"),
        (lambda d: d.pop("tensors"), "tensors is NoneType"),
        (lambda d: d.pop("state"), "state is NoneType"),
        (lambda d: d.update(layers={}), "layers is dict"),
        (lambda d: d.update(layers=[[]]), "a layer is an object"),
        (lambda d: d["layers"][0].update(code="x"), "a layer is an object"),
        (lambda d: d["layers"][0].update(type=1), "type of a layer is int"),
        (lambda d: d["layers"][0]["tensors"]["weight"].pop("path"), "path of 'weight' is NoneType"),
        (lambda d: d["layers"][0].update(tensors={"w": 1}), "path of 'w' is NoneType"),
        (lambda d: d["layers"].append(d["layers"][0]), "stands twice"),
        (lambda d: d["tensors"].update({"/model/embed": bias(d)}), "stands twice"),
        (lambda d: d.update(unknown={}), "unknown key 'unknown'"),
        (lambda d: d.update(unknown=1), "unknown key 'unknown'"),
        (lambda d: d.pop("vocab"), "unknown marker '$part'"),
        (lambda d: d["state"].update(again={"$part": "vocab"}), "unknown marker '$part'"),
        (lambda d: d["state"].update(vocab={"$part": ["vocab"]}), "unknown key 'vocab'"),
        (lambda d: d["vocab"].update(inner={"$part": "vocab"}), "unknown marker '$part'"),
        (lambda d: d["state"].update(x={"$class": "os.system"}), "unknown marker '$class'"),
        (lambda d: d["state"].update(x=nested(65)), "nested deeper"),
        (lambda d: d["state"].update(x=nested(500)), "nested deeper"),
        (lambda d: d["state"].update(data=nested(500)), "nested deeper"),
        (lambda d: d["vocab"].update(x=nested(900)), "nested deeper"),
        (lambda d: d.update(x=nested(900)), "nested deeper"),
        (lambda d: d["tensors"].pop("/model/small"), "no file holds this array"),
        (lambda d: d["tensors"].update({"/more": bias(d)}), "does not mention the stored array /more"),
        (lambda d: d["tensors"].update({"/x": [1]}), "it is list"),
        (lambda d: bias(d).pop("data"), "keys dtype, shape, xxh3"),
        (lambda d: bias(d).update(b64="AAEC"), "keys dtype, shape, xxh3, data, b64"),
        (lambda d: bias(d).update(more=1), "keys dtype"),
        (lambda d: bias(d).pop("xxh3"), "keys dtype"),
        (lambda d: bias(d).update(xxh3=1), "xxh3 is int"),
        (lambda d: bias(d).update(dtype="object"), "unknown dtype 'object'"),
        (lambda d: bias(d).update(dtype=["U8"]), "dtype is list"),
        (lambda d: bias(d).update(shape="3"), "shape is str"),
        (lambda d: bias(d).update(shape=[-3]), "cannot be"),
        (lambda d: bias(d).update(shape=[3.0]), "cannot be"),
        (lambda d: bias(d).update(shape=[True, 3]), "cannot be"),
        (lambda d: bias(d).update(shape=[2**40]), "about 3 numbers, shape [1099511627776] has"),
        (lambda d: bias(d).update(shape=[2**62, 2**62]), "cannot be"),
        (lambda d: bias(d).update(shape=[2**47] * 3), "about 3 numbers"),
        (lambda d: bias(d).update(shape=[2**47] * 3 + [0], data=[]), "cannot be"),
        (lambda d: bias(d).update(shape=[3] + [1] * 100), "cannot be"),
        (lambda d: bias(d).update(shape=[3] + [1] * 63), "row|brackets|cannot be"),
        (lambda d: bias(d).update(shape=[1], data=[]), "other than 1 numbers"),
        (lambda d: bias(d).update(data="AAEC"), "about 1 numbers"),
        (lambda d: as_base64(bias(d)).update(shape=[2**40]), "4 characters of base64, shape [1099511627776] has"),
        (lambda d: as_base64(bias(d)).update(b64=["AP8H"]), "characters of base64"),
        (lambda d: as_base64(bias(d)).update(b64=1), "characters of base64"),
        (lambda d: as_base64(bias(d)).update(b64=[], shape=[0]), "characters of base64"),
        (lambda d: as_base64(bias(d)).update(b64="\u4e2d" * 4), "base64"),
        (lambda d: d["tensors"]["/model/mask"].update(data=[True, 0, True]), "int among numbers of BOOL"),
        (lambda d: d["tensors"]["/model/mask"].update(data=[True, None, True]), "NoneType among numbers of BOOL"),
        (lambda d: bias(d).update(data=nested(60)), "about 1 numbers"),
        (lambda d: bias(d).update(data=["]", "[", 1]), "row 0|brackets"),
        (lambda d: bias(d).update(data=[10**400, 1, 1]), "not JSON"),
    ],
)
def test_a_document_of_another_shape_is_refused(tmp_path: Path, change: Callable[[Any], object], says: str) -> None:
    said = refused(tmp_path / "s.json", changed(change))
    assert any(part in said for part in says.split("|")), said


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_numbers_out_of_range_and_twins_anywhere_are_refused(tmp_path: Path) -> None:
    good = written("numbers")
    for old, new, says in (
        (b'"QUJD"', b"1e999", "out of range"),
        (b"[0,255,7]", b'[0,255,{"a":1}]', "dict among numbers"),
        (b'"b64": "QUJD",', b'"b64": "QUJD", "b64": "QUJD",', "same key stands twice"),
        (b'"data": [0,255,7]', b'"data": [0,255,7], "data": [0,255,7]', "same key stands twice"),
        (b'"data": [0,255,7]', b'"data": 1e999', "out of range"),
    ):
        assert good.count(old) == 1
        assert says in refused(tmp_path / "s.json", good.replace(old, new))


def test_a_newer_format_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(changed(lambda d: d.update(format_version=2, state=None, more=1)))
    with pytest.raises(StateError, match="update jamais") as caught:
        read_json(tmp_path / "s.json")
    assert not isinstance(caught.value, CorruptStateError)


def test_a_file_of_holes_is_left_at_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(written("numbers"))
    os.truncate(path, 2**40)
    assert "zero bytes" in refused(path)


def test_links_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(written("numbers"))
    (tmp_path / "link.json").symlink_to(tmp_path / "good.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("link.json", "pipe.json", "folder.json"):
        assert "not a plain file" in refused(tmp_path / name)
    refused(tmp_path / "missing.json")


def test_a_hundred_thousand_words_among_numbers_are_read_as_fast_as_refused(tmp_path: Path) -> None:
    n = 100_000
    good = written("numbers").replace(b'"U8", "shape": [3]', b'"F16", "shape": [%d]' % n)
    head, old, tail = good.partition(b"[0,255,7]")
    assert old
    for word, says in (
        (b'"NaN"', "marker $array"),
        (b'"NaN:fe00"', "marker $array"),
        (b'"x"', "'x' among numbers"),
        (b'"]"', "row 0 does not hold"),
        (b"[1]", "brackets before row 0"),
        (b"{}", "dict among numbers"),
    ):
        assert says in refused(tmp_path / "s.json", head + b"[" + b",".join([word] * n) + b"]" + tail)

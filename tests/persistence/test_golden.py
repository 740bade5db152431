"""Does every later jamais read what an earlier one wrote, bit for bit?

`tests/golden/1` was written once, by the code of the release that had format 1, from the trees below; the clock stood
still, and arrays and JSON were cut into pieces of a few hundred bytes, not of a megabyte. It is never written again.
A new format gets a folder, trees and tests of its own; these stay.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitwise import same

from jamais.persistence import Retention, VersionStore
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces import binary, json_face
from jamais.persistence.faces.arrangement import Arrangement, Layer, Weights
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.faces.folder import manifest as folder_manifest
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder
from jamais.persistence.faces.json_face import read_json, write_json
from jamais.persistence.faces.models import read_state
from jamais.persistence.tree import state_sha256
from jamais.persistence.versions import format0
from jamais.persistence.versions import manifest as version_manifest
from jamais.persistence.versions import store as version_store

GOLDEN = Path(__file__).parents[1] / "golden"
EXAMPLE, EVERYTHING = GOLDEN / "1" / "example", GOLDEN / "1" / "everything"
TOKENS = ("[PAD]", "[UNK]", "磁盘", "##x")
SHA256 = {
    "example": "178336f6a85d5135b1ab36445b24edc81f232fceea5b95d7ca137d82caf0c1ff",
    "everything": "f4fd958b4408f85eb67d933e0726d0b85226e1ef810eeeb394808e7507d36665",
}
"""`state_sha256` of the two trees. Only a state that changed may change it."""

WRITTEN_THEN = "1171b717d522dbe728f8a9f1d476af314e329eb503a3d17cf172e21397f53a8b"
"""All golden files of format 1, as `written_by` names them."""

SHOWN = {
    "example": Arrangement(
        sections={"词": "/词"},
        weights=Weights("/model"),
        arrays={"detectors/knn_ids.npy": "/memory/ids"},
        parts={"config.json": "/词"},
    ),
    "everything": Arrangement(
        sections={"vocab": "/vocab", "备注": "/memory/notes~1备注"},
        layers=(Layer("Embeddings", {"weight": "/model/F32", "scale": "/model/BF16"}),),
        weights=Weights("/model", "encoder."),
        arrays={"detectors/knn_features.npy": "/memory/rows"},
        parts={"config.json": "/config", "detectors/knn_params.json": "/memory"},
        derived={"detectors/detector_config.json": b'{"method": "knn"}\n'},
        tokens=TOKENS,
    ),
}


def example() -> dict[str, Any]:
    """The state that docs/formats.md shows."""
    weight = np.array([[1.5, -0.0, 3e-9], [np.nan, np.inf, 7]], "float32")
    return {
        "model": {"weight": weight, "tied": weight},
        "memory": {"ids": np.array([2**53 + 1, 7])},
        "词": {"limit": float("inf"), "count": 3},
    }


def everything() -> dict[str, Any]:
    """Every kind of leaf."""
    model = {name: ends(name) for name in BY_NAME}
    return {
        "config": {"size": 7, "rate": 0.1, "name": "金", "none": None},
        "model": {**model, "tied": model["F32"]},
        "shapes": {"scalar": np.array(3), "empty": np.zeros((0, 3), "f4"), "none": np.zeros((2, 0), "i8")},
        "kept as bytes": {
            "complex": np.array([[1 + 2j, complex("nan")]], "c8"),
            "big-endian": np.array([1, -2, 3], ">i4"),
            "times": np.array(["2026-11-22T09", "NaT"], "M8[us]"),
            "spans": np.array([5, -7], "m8[ns]"),
            "bytes": np.array([b"ab", b"c"]),
            "texts": np.array(["词", "xy"]),
        },
        **remembered(3),
        "vocab": {"words": list(TOKENS)},
        "odd": {
            "$": [float("nan"), -0.0, 5e-324, 2**90, -(2**63), "a\udc80b", {"": [], "~1": {}}],
            "$$": True,
            "a/b~c": 'line\nbreak "quote" \\ 日本',
            "1e400": -float("inf"),
        },
    }


def remembered(number: int) -> dict[str, Any]:
    """A memory that grows by 20 rows a version, beside an encoder that stays."""
    rows = np.frombuffer(hashlib.shake_256(b"rows").digest(1200), "<u2").astype("f4").reshape(60, 10) / 64
    weight = np.arange(200, dtype="f4").reshape(10, 20)
    return {
        "encoder": {"w": weight, "tied": {"w": weight, "b": np.arange(3, dtype="i1")}},
        "memory": {
            "rows": rows[: 20 * number],
            "count": np.array(20 * number),
            "notes/备注": {"limit": float("inf"), "last": f"note {number}", "$array": "not a marker"},
        },
        "lines": [f"行 {n} " + "x" * 20 for n in range(10)],
    }


def ends(dtype: str) -> Any:
    """Make an array of the numbers at which formats go wrong."""
    if dtype == "BOOL":
        return np.array([[True], [False], [True]])
    kind = BY_NAME[dtype]
    width = 8 * kind.itemsize
    top = 1 << (width - 1)
    bits = [0, 1, top, top - 1, 2 * top - 1, top + 1]
    if width == 64:
        bits += [2**53, 2**53 + 1, 2**64 - 2**53 - 1]
    if not dtype.startswith(("I", "U")):
        with np.errstate(over="ignore", invalid="ignore"):
            plain = np.array([np.nan, np.inf, -np.inf, 0.1, -1.5, 7.0385307e-26]).astype(kind)
        bits += plain.view(f"u{kind.itemsize}").tolist()
    return np.array(bits, f"u{kind.itemsize}").view(kind).reshape(3, -1)


TREES: dict[str, Callable[[], dict[str, Any]]] = {"example": example, "everything": everything}
FILES = sorted(path for name in TREES for path in (GOLDEN / "1" / name).iterdir() if path.name != "store")


def written_by(path: Path) -> str:
    """Name everything in a folder by its bytes."""
    whole = hashlib.sha256()
    for one in sorted(found for found in path.rglob("*") if found.is_file()):
        whole.update(f"{one.relative_to(path).as_posix()} {one.stat().st_size}\n".encode())
        whole.update(one.read_bytes())
    return whole.hexdigest()


def test_golden_files_are_those_that_were_written_then() -> None:
    assert written_by(GOLDEN / "1") == WRITTEN_THEN, "a format that changed gets a number and a folder of its own"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_each_golden_file_holds_its_state_bit_for_bit(path: Path) -> None:
    name = path.parent.name
    loaded, type_name = read_state(path)
    assert type_name == name
    assert same(loaded, TREES[name]())
    assert state_sha256(loaded) == SHA256[name]


def test_golden_folders_are_verified_to_the_last_byte() -> None:
    folders = [path for path in FILES if path.is_dir()]
    assert (len(FILES), len(folders)) == (9, 3)
    for path in folders:
        assert verify_folder(path, full=True) == []
        assert folder_manifest.read(path).state_sha256 == SHA256[path.parent.name]


def test_the_golden_store_has_its_versions_its_names_and_their_history() -> None:
    store = VersionStore(GOLDEN / "1" / "store")
    for number in (1, 2, 3):
        assert same(store.load(number, full=True)[0], remembered(number))
    assert store.verify() == []
    infos = store.history()
    assert [(info.number, info.parent, info.reason, info.kind) for info in infos] == [
        (1, None, "fit 日本", "logs"),
        (2, 1, "learn", "logs"),
        (3, 2, "learn", "logs"),
    ]
    assert [info.time for info in infos] == [f"2026-11-01T{hour}:00:00.000Z" for hour in ("09", "10", "12")]
    assert [str(info.metrics) for info in infos] == [
        "{'loss': nan, 'step': 100.0}",
        "{'loss': 0.25, 'step': 200.0}",
        "{'loss': inf, 'step': 300.0}",
    ]
    assert store.refs() == {"best": 2, "production": 2, "last": 3}
    assert [(one.name, one.before, one.version, one.why) for one in store.log()] == [
        ("best", None, 2, "learn"),
        ("production", None, 1, "first good one"),
        ("pin-audit", None, 1, "for the audit"),
        ("production", 1, 2, "better"),
        ("pin-audit", 1, None, "audit over"),
    ]
    assert {one.who for one in store.log()} == {"ops@example.org"}


def test_the_golden_store_goes_on(tmp_path: Path) -> None:
    store = VersionStore(shutil.copytree(GOLDEN / "1" / "store", tmp_path / "store"))
    assert store.commit(remembered(3), reason="on", kind="logs", parent=3, refs=("best",)) == 4
    assert same(store.load("best")[0], remembered(3))
    assert same(store.load("production")[0], remembered(2))
    assert store.log()[-1].before == 2
    assert store.gc(Retention(latest=1)).versions == (1, 3)
    assert store.verify() == []
    assert [info.number for info in store.history()] == [2, 4]
    shutil.copytree(EXAMPLE / "store", tmp_path / "example")
    assert same(VersionStore(tmp_path / "example").load("best")[0], example())


def test_the_standard_library_reads_the_golden_examples() -> None:
    script = GOLDEN.parents[1] / "examples" / "read_state.py"
    for name in ("state.bin", "state.json", "store/versions/0001.json"):
        done = subprocess.run(
            [sys.executable, "-I", "-X", "utf8", str(script), str(EXAMPLE / name)], capture_output=True, check=True
        )
        third = "3e-09" if name.endswith("state.json") else "3.000000026176508e-09"
        weight = f"('F32', [2, 3], [1.5, -0.0, {third}, nan, inf, 7.0])"
        assert done.stdout.decode() == (
            f"{{'model': {{'weight': {weight}, 'tied': {weight}}}, "
            "'memory': {'ids': ('I64', [2], [9007199254740993, 7])}, '词': {'limit': inf, 'count': 3}}\n"
        )


def test_a_store_of_format_0_becomes_every_face_of_today_with_the_same_bits(tmp_path: Path) -> None:
    old = VersionStore(GOLDEN / "0" / "store")
    for info in old.history():
        tree, _ = old.load(info.number)
        write_binary(tmp_path / "a.bin", tree, info.kind)
        write_json(tmp_path / "a.json", tree, info.kind)
        write_folder(tmp_path / "a", tree, info.kind)
        new = VersionStore(tmp_path / f"store{info.number}")
        new.commit(tree, reason=info.reason, kind=info.kind, parent=None)
        through = [read(tmp_path / name)[0] for read, name in ((read_binary, "a.bin"), (read_json, "a.json"))]
        through += [read_folder(tmp_path / "a")[0], new.load()[0]]
        assert all(same(one, tree) for one in through)
        assert {state_sha256(one) for one in through} == {state_sha256(tree)}


def test_every_format_that_is_read_has_golden_files() -> None:
    said = re.compile(rb'\\?"format\\?": ?\\?"(jamais-\w+)\\?",\s*\\?"format_version\\?": ?(\d+)')
    found = {
        (form.decode(), int(version), int(folder.name))
        for folder in GOLDEN.iterdir()
        for path in folder.rglob("*")
        if path.is_file()
        for form, version in said.findall(path.read_bytes())
    }
    newest = (binary, json_face, folder_manifest, version_manifest, version_store)
    read = {(one.FORMAT, one.FORMAT_VERSION) for one in (*newest, format0)}
    assert read <= {(form, version) for form, version, folder in found if version == folder}
    numbers = {path.name for path in GOLDEN.iterdir()}
    assert numbers == {str(n) for n in range(1 + max(one.FORMAT_VERSION for one in newest))}

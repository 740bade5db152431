"""Can others read what is saved: with Python's standard library alone, and in another language, from the docs alone?

`examples/read_state.py` and `read_state.mjs` (written from docs/formats.md, without a look at the code) share nothing
with the package.
"""

from __future__ import annotations

import ast
import io
import json
import math
import runpy
import shutil
import subprocess
import sys
import tokenize
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_golden import SHOWN, TREES, ends, everything, remembered

from jamais.persistence import VersionStore
from jamais.persistence.digests import sha256
from jamais.persistence.dtypes import NAMES
from jamais.persistence.faces.binary import write_binary
from jamais.persistence.faces.json_face import write_json
from jamais.persistence.versions import objects

SCRIPT = Path(__file__).parents[2] / "examples" / "read_state.py"
OTHER_LANGUAGE = Path(__file__).with_name("read_state.mjs")


def read(path: Path) -> Any:
    return runpy.run_path(str(SCRIPT))["read"](path)


def saved(folder: Path, name: str) -> list[Path]:
    """Save one of the golden states in every way there is."""
    tree = TREES[name]()
    for digest in ("xxh3-128", "sha256"):
        write_binary(folder / f"{digest}.bin", tree, name, digest=digest)
    for arrays in ("numbers", "base64"):
        write_json(folder / f"{arrays}.json", tree, name, arrays=arrays, arrangement=SHOWN[name])
        write_json(folder / f"plain {arrays}.json", tree, name, arrays=arrays)
    VersionStore(folder / "store").commit(tree, reason="日本", kind=name, parent=None, metrics={"a": 1.0, "b": 1e-7})
    return [*sorted(folder.glob("*.bin")), *sorted(folder.glob("*.json")), folder / "store/versions/0001.json"]


# --- the standard library


def agree(got: Any, wanted: Any, path: Path) -> bool:
    """Compare what the example reads with a tree, number by number."""
    if isinstance(wanted, np.ndarray):
        return array_agrees(got, wanted, path)
    if isinstance(wanted, dict):
        return list(got) == list(wanted) and all(agree(got[key], wanted[key], path) for key in wanted)
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(agree(one, two, path) for one, two in zip(got, wanted, strict=True))
    return type(got) is type(wanted) and number_agrees(got, wanted)


def array_agrees(got: Any, wanted: Any, path: Path) -> bool:
    dtype, shape, flat = got
    if wanted.dtype not in NAMES:
        return dtype == "U8" and bytes(flat) == wanted.tobytes()
    if dtype.startswith("F8") and (path.suffix == ".bin" or "numbers" not in path.name):
        wanted = wanted.view(np.uint8)
    elif wanted.dtype.isbuiltin != 1:
        with np.errstate(invalid="ignore"):
            wanted = wanted.astype(np.float64)
    numbers = wanted.reshape(-1).tolist()
    if dtype == "F32":
        flat = memoryview(array("f", flat)).tolist()
    right = len(flat) == len(numbers) and all(number_agrees(*pair) for pair in zip(flat, numbers, strict=True))
    return right and tuple(shape) == wanted.shape


def number_agrees(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        either = got == wanted and math.copysign(1, got) == math.copysign(1, wanted)
        return either or (got != got and wanted != wanted)
    return bool(got == wanted)


@pytest.mark.parametrize("name", TREES)
def test_the_example_reads_every_kind_of_leaf_in_every_face(tmp_path: Path, name: str) -> None:
    paths = saved(tmp_path, name)
    assert len(paths) == 7
    for path in paths:
        assert agree(read(path), TREES[name](), path), path.name


def test_the_example_reads_versions_cut_into_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "SEGMENT_BYTES", 170)
    monkeypatch.setattr(objects, "SMALL_BYTES", 100)
    store = VersionStore(tmp_path)
    for number in (1, 2, 3):
        store.commit(remembered(number), reason="", kind="logs", parent=number - 1 or None)
    for number in (1, 2, 3):
        path = tmp_path / f"versions/{number:04d}.json"
        assert len(json.loads(path.read_text())["manifest"]["objects"]) > 4
        assert agree(read(path), remembered(number), path)


def test_the_comparison_sees_what_differs(tmp_path: Path) -> None:
    write_binary(tmp_path / "a.bin", {"a": ends("F32"), "b": -0.0, "c": [1]}, "x")
    got = read(tmp_path / "a.bin")
    assert agree(got, {"a": ends("F32"), "b": -0.0, "c": [1]}, tmp_path)
    for other in ({"b": 0.0}, {"c": [1.0]}, {"c": []}, {"a": -ends("F32")}, {"a": ends("F32").T}, {"a": ends("F64")}):
        assert not agree(got, {"a": ends("F32"), "b": -0.0, "c": [1]} | other, tmp_path)


def damage(path: Path, part: bytes, to: bytes) -> None:
    data = path.read_bytes()
    assert data.count(part) == 1
    path.write_bytes(data.replace(part, to))


def test_the_example_notices_what_the_standard_library_can_notice(tmp_path: Path) -> None:
    paths = {path.name: path for path in saved(tmp_path, "example")}
    damage(paths["xxh3-128.bin"], b'"shape":[2,3]', b'"shape":[3,2]')
    damage(paths["sha256.bin"], np.array([3e-9], "f4").tobytes(), b"\0\0\0\0")
    damage(paths["numbers.json"], b'"count": 3', b'"count": 4')
    damage(paths["0001.json"], b"example", b"Example")
    for name in ("xxh3-128.bin", "sha256.bin", "numbers.json", "0001.json"):
        with pytest.raises(SystemExit, match="not "):
            read(paths[name])
    shutil.rmtree(tmp_path / "store")
    (version,) = [path for path in saved(tmp_path, "example") if path.name == "0001.json"]
    for one in (tmp_path / "store/objects").iterdir():
        good = one.read_bytes()
        one.write_bytes(good[:-1] + b"?")
        with pytest.raises(SystemExit, match="not "):
            read(version)
        one.write_bytes(good)
    assert agree(read(version), TREES["example"](), version)


def test_the_example_runs_as_its_docstring_says(tmp_path: Path) -> None:
    write_binary(tmp_path / "a.bin", {"步": np.array([1.5, math.inf], "f4")}, "x")
    done = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", str(SCRIPT), "a.bin"], cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.decode() == "{'步': ('F32', [2], [1.5, inf])}\n"


def test_the_example_is_forty_lines_of_standard_library() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    module = ast.parse(text)
    imports = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert names <= set(sys.stdlib_module_names)
    apart = {n for node in (module.body[0], *imports) for n in range(node.lineno, (node.end_lineno or 0) + 1)}
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = {n for one in tokens if one.type not in blank for n in range(one.start[0], one.end[0] + 1)} - apart
    assert len(code) <= 40


# --- another language


def in_node(paths: list[Path]) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run([node, str(OTHER_LANGUAGE), *map(str, paths)], capture_output=True, check=False)
    assert not done.stderr, done.stderr.decode()
    return json.loads(done.stdout)


def described(tree: dict[str, Any], path: str = "", met: tuple[int, ...] = ()) -> dict[str, str]:
    """Say of every array what the reader should have found, without the package's own walk."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if isinstance(value, dict):
            found |= described(value, here)
        elif isinstance(value, np.ndarray):
            known = value.dtype in NAMES
            shape = list(value.shape) if known else [value.nbytes]
            found[here] = f"{NAMES[value.dtype] if known else 'U8'} {shape} {sha256(value.tobytes())}"
    return found


def test_a_reader_in_javascript_gets_every_bit_by_way_of_doubles(tmp_path: Path) -> None:
    wanted = described(everything())
    tied = {"/model/tied", "/encoder/tied/w"}
    paths = saved(tmp_path, "everything")
    for path, found in zip(paths, in_node(paths), strict=True):
        assert found == {place: said for place, said in wanted.items() if place not in tied}, path.name


def test_a_reader_in_javascript_notices_damage(tmp_path: Path) -> None:
    changes: list[tuple[str, Callable[[bytes], bytes]]] = [
        ("xxh3-128.bin", lambda data: data.replace(b'"shape":[2,3]', b'"shape":[3,2]')),
        ("sha256.bin", lambda data: data[:-1] + b"?"),
        ("numbers.json", lambda data: data.replace(b'"count": 3', b'"count": 4')),
        ("0001.json", lambda data: data.replace(b"1e-07", b"1e-08")),
    ]
    paths = {path.name: path for path in saved(tmp_path, "example")}
    in_node(list(paths.values()))
    for name, change in changes:
        good = paths[name].read_bytes()
        assert change(good) != good
        paths[name].write_bytes(change(good))
        with pytest.raises(AssertionError, match="not what was written"):
            in_node([paths[name]])

"""Is docs/formats.md true: its examples, its numbers, its tables, its definition of a state's name?"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import examples
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.persistence import VersionStore
from jamais.persistence.dtypes import BY_NAME
from jamais.persistence.faces import binary, json_face, json_numbers
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.faces.folder import manifest as folder_manifest
from jamais.persistence.faces.folder import tokenizer_files, write_folder
from jamais.persistence.faces.json_face import write_json
from jamais.persistence.tree import flatten, state_sha256
from jamais.persistence.versions import format0, refs
from jamais.persistence.versions import manifest as version_manifest
from jamais.persistence.versions import store as version_store

PAGE = examples.ROOT / "docs" / "formats.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLE = examples.ROOT / "tests" / "golden" / "1" / "example"
SHOWN = Arrangement(
    sections={"词": "/词"},
    weights=Weights("/model"),
    arrays={"detectors/knn_ids.npy": "/memory/ids"},
    parts={"config.json": "/词"},
)
"""How the type of the example wants it shown."""


def shown(language: str, start: str) -> str:
    """Give the one block of the page that starts so."""
    (found,) = [
        block.text
        for block in examples.blocks(PAGE)
        if block.language == language and block.text.lstrip().startswith(start)
    ]
    return found


def section(heading: str) -> str:
    """Give the text under a heading, up to the next one."""
    (found,) = re.findall(rf"^#+ {heading}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """Give the cells of all rows of tables."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python of the page; give its variables."""
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in examples.blocks(PAGE):
        if block.language in examples.RUN:
            examples.run_block(block, names)
    return names


# --- the examples


def test_the_python_of_the_page_makes_the_state_of_the_golden_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state: Any = example(tmp_path, monkeypatch)["state"]
    assert state_sha256(state) == state_sha256(read_binary(EXAMPLE / "state.bin")[0])
    assert f"`{state_sha256(state)}`" in section("The state")


def test_the_shown_single_file_is_the_golden_one_byte_for_byte() -> None:
    data = (EXAMPLE / "state.bin").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert shown("text", '{"__metadata__"').replace("\n", "") == data[8 : 8 + length].decode().rstrip(" ")
    assert f"`state.bin` of {len(data)} bytes" in TEXT
    assert "bytes 35–98" in section("The single file")
    assert re.fullmatch(rb"[0-9a-f]{64}", data[35:99])
    at = 0
    for line in shown("text", "0– 7").splitlines():
        found = re.match(r" *(\d+)– *(\d+) +((?:[0-9a-f]{2} )+)( *…)?", line)
        assert found is not None, line
        first, last, some = int(found[1]), int(found[2]), bytes.fromhex(found[3])
        assert first == at
        assert data[first : last + 1].startswith(some), line
        assert found[4] or len(some) == last + 1 - first, line
        at = last + 1
    assert at == len(data)


def test_the_shown_texts_are_the_golden_ones() -> None:
    assert shown("json", '{\n "format": "jamais-state"') == (EXAMPLE / "state.json").read_text(encoding="utf-8")
    assert shown("json", '{"before"') + "\n" == (EXAMPLE / "store/refs/best.json").read_text(encoding="utf-8")
    for start, name in (
        ('{\n "format": "jamais-folder"', "folder/MANIFEST.json"),
        ('{"manifest"', "store/versions/0001.json"),
    ):
        golden = (EXAMPLE / name).read_text(encoding="utf-8")
        assert list(flat(json.loads(shown("json", start)))) == list(flat(json.loads(golden))), name
    about = re.search(r"^STORE.json +(\{.*\})$", shown("text", "STORE.json"), re.MULTILINE)
    assert about is not None
    assert json.loads(about[1]) == json.loads((EXAMPLE / "store/STORE.json").read_text())


def flat(value: Any, path: str = "") -> Any:
    """Give path and value of all leaves, in order."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(inner, f"{path}/{key}")
    else:
        yield path, value


def test_what_is_shown_is_what_is_written_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = read_binary(EXAMPLE / "state.bin")
    for module in (binary, json_face, folder_manifest, version_manifest):
        monkeypatch.setattr(module, "__version__", "0.2.0")
    new = version_manifest.VersionInfo
    monkeypatch.setattr(version_store, "VersionInfo", lambda *given: new(*given, jamais_version="0.2.0"))
    monkeypatch.setattr(version_store, "_now", lambda: "2026-11-01T09:00:00.000Z")
    monkeypatch.setattr(refs, "_who", lambda: "ops@example.org")
    write_binary(tmp_path / "state.bin", state, "example")
    write_json(tmp_path / "state.json", state, "example", arrangement=SHOWN)
    write_folder(tmp_path / "folder", state, "example", arrangement=SHOWN)
    store = VersionStore(tmp_path / "store")
    store.commit(state, reason="fit", kind="example", parent=None, metrics={"loss": 0.5}, refs=("best",))
    for path in sorted(EXAMPLE.rglob("*")):
        name = path.relative_to(EXAMPLE).as_posix()
        if path.is_file() and name != "store/README.txt" and not name.startswith("folder-bin"):
            assert (tmp_path / name).read_bytes() == path.read_bytes(), f"{name}: not as the page shows it"


# --- the tables


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    units = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    checked = 0
    for _, limit, place in rows(section("Limits")):
        found = re.fullmatch(r"([\d,]+) ?(\w*)", limit)
        if found is None:
            assert limit in ("limit", "now", "---"), limit
            continue
        module, _, name = place.strip("`").rpartition(".")
        constant = getattr(importlib.import_module(f"jamais.persistence.{module}"), name)
        assert int(found[1].replace(",", "")) * units[found[2]] == constant, place
        checked += 1
    assert checked == 18


def test_an_array_has_as_many_axes_as_the_page_says(tmp_path: Path) -> None:
    (most,) = re.findall(r"An array has at most (\d+) axes", TEXT)
    write_binary(tmp_path / "a.bin", {"a": np.zeros((1,) * int(most))}, "x")
    assert read_binary(tmp_path / "a.bin")[0]["a"].ndim == int(most)


def test_the_dtypes_of_the_page_are_those_of_the_code() -> None:
    cells = [cell for row in rows(section("Arrays")) for cell in (row[:2], row[3:5]) if len(cell) == 2]
    told = {
        name[1]: mark[1]
        for one, two in cells
        if (name := re.match(r"`(\w+)`", one)) and (mark := re.fullmatch(r"`(.+)`", two))
    }
    _, plain = flatten({name: np.zeros((), dtype) for name, dtype in BY_NAME.items()})
    assert told == {name: marker["$array"] for name, marker in plain.items()}


def test_the_usual_bits_of_nan_are_those_of_the_code() -> None:
    (told,) = [row[1] for row in rows(section("The JSON")) if row[0] == "NaN"]
    found = {name: int(bits, 16) for name, bits in re.findall(r"(F\w+|BF16) `([0-9a-f]+)`", told)}
    assert found == json_numbers._USUAL_NAN


def test_the_formats_of_the_page_are_those_of_the_code() -> None:
    told = {(row[0].strip("`"), int(row[1])) for row in rows(section("Versions of the formats")) if row[1].isdigit()}
    modules = (binary, json_face, folder_manifest, version_manifest, version_store, format0)
    assert told == {(one.FORMAT, one.FORMAT_VERSION) for one in modules}


def test_the_tokenizer_files_of_the_page_are_those_of_the_code() -> None:
    (told,) = re.findall(r"Rewrite the tokenizer files \((.*?)\)", TEXT, re.DOTALL)
    assert re.findall(r"`(.*?)`", told) == list(tokenizer_files.NAMES)


# --- the name of a state, from its definition


def name_of(tree: dict[str, Any]) -> str:
    """Do what the page says, with nothing of the package but the names of dtypes."""
    arrays: dict[str, str] = {}
    met: dict[int, str] = {}
    marks = {BY_NAME[name]: name for name in ("BF16", "F8_E4M3", "F8_E5M2")}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {
                "$" * key.startswith("$") + key: plain(
                    value[key], f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
                )
                for key in sorted(value)
            }
        if isinstance(value, list):
            return [plain(one, path) for one in value]
        if isinstance(value, np.ndarray):
            if id(value) in met and value.size:
                return {"$same": met[id(value)]}
            met[id(value)] = path
            arrays[path] = hashlib.sha256(value.tobytes()).hexdigest()
            return {"$array": " ".join([marks.get(value.dtype, value.dtype.str), *map(str, value.shape)])}
        if isinstance(value, float) and not math.isfinite(value):
            return {"$float": struct.pack(">d", value).hex()}
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            return {"$text": value.encode("utf-8", "surrogatepass").hex()}
        return value

    state = plain(tree, "")
    text = json.dumps({"arrays": arrays, "state": state}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from(["$", "$$a", "~", "a/b", "词"])
ARRAYS = st.sampled_from(
    [*BY_NAME.values(), np.dtype("c8"), np.dtype(">f4"), np.dtype("M8[s]"), np.dtype("U2")]
).flatmap(lambda dtype: st.sampled_from([(), (0, 3), (2, 2)]).map(lambda shape: np.zeros(shape, dtype)))
LEAVES = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=3)
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES | ARRAYS | st.lists(LEAVES, max_size=2), max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | ARRAYS, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(TREES, st.booleans())
def test_the_definition_of_a_states_name_is_what_the_code_does(tree: dict[str, Any], tied: bool) -> None:
    if tied:
        shared = np.arange(3.0)
        tree = {**tree, "z": shared, "deep": {"b": shared, "a": shared}, "a": [1.0]}
    assert state_sha256(tree) == name_of(tree)

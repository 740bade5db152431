"""Does `jamais diff` tell in what two saved states differ, whatever face each lies in?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_inspect import made, training

from jamais.cli.versions.difference_text import dotted, lines
from jamais.persistence import VersionStore
from jamais.persistence.difference import compare
from jamais.persistence.faces.binary import write_binary


def saved(path: Path, tree: dict[str, Any]) -> Path:
    write_binary(path, tree, "t")
    return path


@pytest.mark.parametrize("face", ["numbers", "base64", "folder", "store"])
def test_one_state_in_two_faces_does_not_differ(face: str, tmp_path: Path, typed: Any) -> None:
    one, other = made(tmp_path, "bin"), made(tmp_path, face)
    said = typed("diff", one, other, "--fail-on-difference")
    assert said == (0, f"{one} (training) → {other} (training)\nthe same state, bit for bit\n", "")
    told = json.loads(typed("diff", one, other, "--json").out)
    assert told["is_empty"]
    assert told["same"] == [""]


def test_two_versions_of_a_watcher_are_told_apart(watcher: Path, today: Path, typed: Any) -> None:
    assert typed("learn", watcher, today).code == 0
    said = typed("diff", watcher, "1", "2")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{watcher}@1 (logs) → {watcher}@2 (logs)\n")
    assert "facts.records: 2000 → 2403" in said.out
    assert "parser.texts: " in said.out
    assert "write failed on sdb, device vanished" in said.out
    assert "meaning.memory: " in said.out
    assert "+ added: ids" in said.out
    assert "settings" in said.out.splitlines()[-1]
    assert typed("diff", f"{watcher}@1", watcher).out == said.out.replace(f"{watcher}@2", str(watcher))
    assert typed("diff", watcher, "2", "1", "--fail-on-difference").code == 1
    told = json.loads(typed("diff", watcher, "1", "2", "--json").out)
    assert (told["old"], told["new_type"], told["is_empty"]) == (f"{watcher}@1", "logs", False)
    assert told["rows"][0]["added"]


def test_names_of_versions_can_be_compared(tmp_path: Path, typed: Any) -> None:
    store = VersionStore(tmp_path / "app")
    store.commit(training(1), reason="", kind="training", parent=None, refs=("best",))
    store.commit(training(2), reason="", kind="training", parent=1)
    said = typed("diff", f"{store.folder}@best", store.folder).out
    assert "optimizer.step: 1 → 2" in said
    assert typed("diff", store.folder, "best", "last").out.splitlines()[1:] == said.splitlines()[1:]


def test_the_largest_changes_come_first_and_so_many(tmp_path: Path, typed: Any) -> None:
    old = {"w": {f"a{i}": np.ones(3) for i in range(30)}, "v": {f"k{i}": i for i in range(30)}, "t": ["x", "y"]}
    new = {
        "w": {f"a{i}": np.ones(3) + i for i in range(30)},
        "v": {f"k{i}": i + 1 for i in range(30)},
        "t": [f"t{i}" for i in range(30)],
    }
    one, other = saved(tmp_path / "a.bin", old), saved(tmp_path / "b.bin", new)
    said = typed("diff", one, other).out
    assert said.count("more: --all tells them") == 3
    assert said.index("/w/a29 ") < said.index("/w/a28 ") < said.index("/w/a18 ")
    assert "/w/a17 " not in said
    everything = typed("diff", one, other, "--all").out
    assert "more:" not in everything
    assert all(f"/w/a{i} " in everything for i in range(1, 30))
    assert len(json.loads(typed("diff", one, other, "--json").out)["arrays"]) == 29


def test_every_kind_of_change_has_its_line() -> None:
    weight = np.ones((2, 2), np.float32)
    old = {
        "tie": weight,
        "tied": weight,
        "gone": {"m": np.zeros(3)},
        "x": [0.0] * 50,
        "w": weight * 2,
        "e.f": 1,
        "n": 1,
    }
    new = {"tie": weight, "tied": weight.copy(), "x": [0.0] * 49 + [1.0], "w": weight * np.nan, "e.f": 2, "h": weight}
    said = list(lines(compare(old, new)))
    assert "- gone: 1 arrays, 0.0 kB" in [line.strip() for line in said]
    assert '    "e.f": 1 → 2' in said
    assert "  - n: 1" in said
    assert "    x: 50 → 50 items, 1 of the first 50 differ, first 49: 0.0 → 1.0" in said
    assert any("+ /h  F32 [2, 2]" in line for line in said)
    assert any("/w  F32 [2, 2]" in line and "NaN 0 → 4" in line for line in said)
    assert any("tied: the same as tie → an array of its own" in line for line in said)


@pytest.mark.parametrize(
    ("path", "told"),
    [("/a/b", "a.b"), ("/a.b/c", '"a.b".c'), ("/a~1b/~0c", "a/b.~c"), ("/", '""'), ("", ""), ("/a b", '"a b"')],
)
def test_places_are_told_with_dots(path: str, told: str) -> None:
    assert dotted(path) == told


def test_nothing_in_a_state_moves_the_cursor(tmp_path: Path, typed: Any) -> None:
    one = saved(tmp_path / "a.bin", {"x\x1b[2J": "\x1b[31m", "t": ["\x07"], "w\x1b": np.zeros(2)})
    other = saved(tmp_path / "b.bin", {"x\x1b[2J": "\x1b[32m", "t": ["\x08"], "w\x1b": np.ones(2)})
    said = typed("diff", one, other)
    assert said.code == 0
    assert not set(said.out) & {"\x1b", "\x07", "\x08"}


def test_the_json_has_no_words_that_json_has_not(tmp_path: Path, typed: Any) -> None:
    one = saved(tmp_path / "a.bin", {"x": float("nan"), "w": np.array([0.0, np.inf])})
    other = saved(tmp_path / "b.bin", {"x": float("inf"), "w": np.array([1.0, np.nan])})
    told = json.loads(typed("diff", one, other, "--json").out, parse_constant=lambda name: pytest.fail(name))
    assert told["values"][0] == {"path": "/x", "kind": "changed", "old": "nan", "new": "inf"}
    assert told["arrays"][0]["relative"] == "inf"

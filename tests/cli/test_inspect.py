"""Does `jamais inspect` tell what a saved state holds from its header alone, in whatever face it lies?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_main import loaded

from jamais.persistence import VersionStore
from jamais.persistence.faces.arrangement import Arrangement, Layer
from jamais.persistence.faces.binary import write_binary
from jamais.persistence.faces.folder import write_folder
from jamais.persistence.faces.json_face import write_json
from jamais.persistence.tree import state_sha256

SHOWN = Arrangement(sections={"vocab": "/vocab"}, layers=(Layer("linear", {"weight": "/model/a.w"}),))


def training(step: int = 30) -> dict[str, Any]:
    """Make a state that is no watcher's."""
    chance = np.random.default_rng(step)
    weights = {name: chance.standard_normal((20, 30)).astype(np.float32) for name in ("a.w", "b/c")}
    weights["a.w"][3, 4] = np.nan
    return {
        "config": {"width": 30, "rate": float("nan"), "text": "half \ud800", "sizes": list(range(20))},
        "vocab": {"words": [f"word {i}" for i in range(50)]},
        "model": weights,
        "optimizer": {"moments": {"m": np.zeros((20, 30)), "empty": np.zeros((0, 3), np.int8)}, "step": step},
    }


Made = Callable[[Path, str], Path]


def made(folder: Path, face: str) -> Path:
    """Save that state in one face."""
    path = folder / face
    if face == "store":
        VersionStore(path).commit(training(), reason="step 30", kind="training", metrics={"loss": np.inf}, parent=None)
    elif face == "bin":
        write_binary(path, training(), "training")
    elif face == "folder":
        write_folder(path, training(), "training")
    else:
        write_json(path, training(), "training", arrays=face, arrangement=SHOWN)
    return path


@pytest.mark.parametrize("face", ["bin", "numbers", "base64", "folder", "store"])
def test_every_face_tells_the_same_of_a_state(face: str, tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, face)
    told = json.loads(typed("inspect", path, "--json").out, parse_constant=lambda name: pytest.fail(name))
    assert told["type"] == "training"
    assert told["format_version"] == 1
    assert told["warnings"] == []
    arrays = {one["path"]: (one["dtype"], one["shape"], one["bytes"]) for one in told["arrays"]}
    assert arrays == {
        "/model/a.w": ("F32", [20, 30], 2400),
        "/model/b~1c": ("F32", [20, 30], 2400),
        "/optimizer/moments/m": ("F64", [20, 30], 4800),
        "/optimizer/moments/empty": ("I8", [0, 3], 0),
    }
    assert told["settings"]["config.width"] == 30
    assert told["settings"]["config.rate"] == "nan"
    assert told["settings"]["config.sizes"] == list(range(20))
    if face == "store":
        assert (told["version"], told["metrics"]) == (1, {"loss": "inf"})
    if face == "folder":
        assert told["state_sha256"] == state_sha256(training())


@pytest.mark.parametrize("face", ["bin", "numbers", "base64", "folder", "store"])
def test_a_person_reads_what_there_is(face: str, tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, face)
    said = typed("inspect", path)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("type      training: ")
    assert "parts     config" in said.out
    assert "vocab      50 values" in said.out
    assert "2 arrays of 4.8 kB" in said.out
    assert "largest   F64 [20, 30]       4.8 kB  /optimizer/moments/m" in said.out
    assert "config.width = 30" in said.out
    assert "config.rate = nan" in said.out
    assert "20 items" in said.out
    listed = typed("inspect", path, "--arrays").out.splitlines()
    assert len(listed) == 4
    assert any(line.split() == ["F32", "[20,", "30]", "2.4", "kB", "/model/b~1c"] for line in listed)


def test_versions_are_told_by_number_and_by_name(tmp_path: Path, typed: Any) -> None:
    store = VersionStore(tmp_path / "store")
    for number in (1, 2, 3):
        refs = ("best",) if number == 2 else ()
        store.commit(training(number), reason=f"step {number}", kind="training", parent=number - 1 or None, refs=refs)
    for arguments in (["--version", "2"], ["--version", "best"]):
        told = json.loads(typed("inspect", store.folder, "--json", *arguments).out)
        assert (told["version"], told["why"], told["parent"], told["names"]) == (2, "step 2", 1, ["best"])
    assert json.loads(typed("inspect", f"{store.folder}@best", "--json").out)["version"] == 2
    assert "version   2, " in typed("inspect", f"{store.folder}@2").out
    assert ", called best" in typed("inspect", f"{store.folder}@2").out


def test_a_watcher_is_told_as_ever_and_its_arrays_too(lines_kept: Path, typed: Any) -> None:
    assert "templates" in typed("inspect", lines_kept).out
    assert json.loads(typed("inspect", lines_kept, "--json").out)["alarm_rate"] == 0.001
    assert "encoder.width = 32" in typed("inspect", f"{lines_kept}@1", "--settings").out
    assert "/meaning/memory/rows" in typed("inspect", lines_kept, "--arrays").out


def test_many_settings_are_listed_when_asked_for(tmp_path: Path, typed: Any) -> None:
    write_binary(tmp_path / "x.bin", {"settings": {f"s{i}": i for i in range(40)}}, "training")
    assert "and 24 more: --settings lists all" in typed("inspect", tmp_path / "x.bin").out
    assert "settings.s39 = 39" in typed("inspect", tmp_path / "x.bin", "--settings").out


def test_edited_text_is_shown_with_a_warning(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "numbers")
    path.write_text(path.read_text().replace('"width": 30', '"width": 31'))
    said = typed("inspect", path).out
    assert "WARNING   was edited since it was written" in said
    assert "config.width = 31" in said
    folder = made(tmp_path, "folder")
    state = folder / "state.json"
    state.write_text(state.read_text().replace('"width": 30', '"width": 31'))
    assert "state.json was edited since it was written" in typed("inspect", folder).out


def test_a_text_laid_out_by_another_program_is_told_the_same(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "numbers")
    before = json.loads(typed("inspect", path, "--json").out)
    for layout in ({"indent": 3}, {"separators": (",", ":")}, {"sort_keys": True}):
        path.write_text(json.dumps(json.loads(path.read_text()), **layout))
        after = json.loads(typed("inspect", path, "--json").out)
        assert after["warnings"] == []
        assert sorted(map(str, after["arrays"])) == sorted(map(str, before["arrays"]))


def test_a_folder_of_another_program_is_told_as_far_as_it_goes(tmp_path: Path, typed: Any) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros((2, 3), np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    said = typed("inspect", tmp_path).out
    assert "has no MANIFEST.json" in said
    assert "model.safetensors: w" in said
    assert "config.hidden_size = 3" in said
    (tmp_path / "config.json").write_text('{"x": Infinity}')
    assert "bare Infinity is not JSON" in typed("inspect", tmp_path).out


def test_nothing_in_a_state_moves_the_cursor(tmp_path: Path, typed: Any) -> None:
    write_binary(tmp_path / "x.bin", {"config": {"a\x1b[2J": "\x1b[31m\n"}, "w\x07": np.zeros(2)}, "t\x1b[0m")
    for arguments in ([], ["--arrays"], ["--settings"]):
        said = typed("inspect", tmp_path / "x.bin", *arguments)
        assert not set(said.out) & {"\x1b", "\x07"}


@pytest.mark.parametrize("face", ["bin", "numbers", "store"])
def test_looking_at_a_state_loads_nothing_heavy(face: str, tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "tokenizers", "polars", "matplotlib", "rich", "safetensors", "orjson"}
    assert not loaded("inspect", made(tmp_path, face)) & heavy


@pytest.mark.parametrize("face", ["bin", "base64"])
def test_the_numbers_are_not_read(face: str, tmp_path: Path, typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"config": {"width": 4}, "w": np.zeros((4096, 4096), np.float32), "small": np.ones(3)}
    path = tmp_path / "x"
    write_binary(path, tree, "t") if face == "bin" else write_json(path, tree, "t", arrays="base64")
    asked = [0]
    preadv = os.preadv

    def counting(handle: int, buffers: Any, offset: int) -> int:
        asked[0] += sum(map(len, buffers))
        return preadv(handle, buffers, offset)

    monkeypatch.setattr(os, "preadv", counting)
    assert len(json.loads(typed("inspect", path, "--json").out)["arrays"]) == 2
    assert asked[0] < 300_000


@pytest.mark.slow
def test_the_header_of_364_mb_takes_milliseconds(tmp_path: Path) -> None:
    from jamais.cli.versions.headers import header_of
    from jamais.cli.versions.where import Where

    write_binary(tmp_path / "x.bin", {"w": np.zeros((91, 1_000_000), np.float32), "config": {"a": 1}}, "t")
    times = []
    for _ in range(5):
        start = time.process_time()
        header_of(Where(str(tmp_path / "x.bin")))
        times.append(time.process_time() - start)
    assert min(times) < 0.03

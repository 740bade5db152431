"""Does `jamais verify` find what is damaged, name it, and tell the way back; does `jamais fsck` tell the rest?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_inspect import made, training
from test_main import one_line, shell

from jamais.persistence import VersionStore


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    """Three versions of training, which share nothing large."""
    store = VersionStore(tmp_path / "checkpoints")
    for number in (1, 2, 3):
        store.commit(training(number), reason=f"step {number}", kind="training", parent=number - 1 or None)
    return store


def damage(folder: Path, number: int, array: str) -> str:
    """Flip a bit of one array of one version; give the file."""
    manifest = json.loads((folder / "versions" / f"{number:04d}.json").read_text())["manifest"]
    at, offset, _ = manifest["arrays"][array]["segments"][0]
    path = folder / "objects" / manifest["objects"][at][0]
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    return f"objects/{path.name}"


@pytest.mark.parametrize("face", ["bin", "numbers", "base64", "folder", "store"])
@pytest.mark.parametrize("full", [[], ["--full"]])
def test_whole_states_are_whole(face: str, full: list[str], tmp_path: Path, typed: Any) -> None:
    said = typed("verify", made(tmp_path, face), *full)
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("every byte is right\n")


def test_a_damaged_version_is_named_with_the_one_to_go_back_to(store: VersionStore, typed: Any) -> None:
    where = damage(store.folder, 3, "/model/a.w")
    said = typed("verify", store.folder)
    assert said.code == 1
    assert said.out.splitlines() == [
        f"{where}: array /model/a.w: not the bytes that were written (version 3)",
        "3 versions: 1 problem",
        f"next: version 2 is whole: jamais rollback {store.folder} 2, or put the file back from a copy",
    ]
    told = json.loads(typed("verify", store.folder, "--json").out)
    assert (told["versions"], told["whole"], len(told["problems"])) == (3, 2, 1)
    assert told["problems"][0]["versions"] == [3]
    assert typed("rollback", store.folder, "2").code == 0
    assert typed("verify", store.folder).code == 1
    assert "version 4, the newest, is whole" in typed("verify", store.folder).out


def test_one_version_can_be_verified_alone(store: VersionStore, typed: Any) -> None:
    damage(store.folder, 3, "/model/a.w")
    assert typed("verify", f"{store.folder}@2") == (0, "1 version: every byte is right\n", "")
    assert typed("verify", f"{store.folder}@3").code == 1


def test_the_damaged_array_of_a_file_is_named(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "bin")
    data = bytearray(path.read_bytes())
    at = data.index(training()["model"]["b/c"].tobytes())
    data[at + 100] ^= 4
    path.write_bytes(data)
    said = typed("verify", path)
    assert said.code == 1
    assert f"{path}: array /model/b~1c: not the bytes that were written\n" in said.out
    assert "a binary state of 4 arrays: 1 problem" in said.out
    assert "next: take it from a copy" in said.out


def test_edits_by_hand_are_problems(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "numbers")
    path.write_text(path.read_text().replace('"step": 30', '"step": 31'))
    said = typed("verify", path)
    assert said.code == 1
    assert said.out.startswith(f"{path}: not what was written")
    folder = made(tmp_path, "folder")
    (folder / "state.json").write_text("{}")
    said = typed("verify", folder, "--full")
    assert said.code == 1
    assert "state.json" in said.out


def test_parts_that_are_whole_but_make_no_state_are_a_problem(tmp_path: Path, typed: Any) -> None:
    """Both manifest and objects are sealed, yet somebody put another version's JSON list of parts in."""
    from jamais.persistence.versions import manifest

    store = VersionStore(made(tmp_path, "store"))
    read = store.shelf.manifest(1)
    fewer = {path: entry for path, entry in read.arrays.items() if path != "/model/a.w"}
    odd = manifest.to_bytes(manifest.Manifest(read.info, read.objects, read.keys, read.parts, fewer))
    (store.folder / "versions" / "0001.json").write_bytes(odd)
    said = typed("verify", store.folder)
    assert said.code == 1
    assert said.out.startswith("versions/0001.json: ")
    assert "/model/a.w" in said.out


def test_fsck_tells_findings_and_next_steps(store: VersionStore, typed: Any) -> None:
    assert typed("fsck", store.folder) == (0, "everything is in order\n", "")
    (store.folder / "notes.txt").write_text("x")
    said = typed("fsck", store.folder)
    assert said.code == 0
    assert said.out == "warning notes.txt: does not belong here\n        next: move it elsewhere\n1 warning\n"
    where = damage(store.folder, 3, "/model/a.w")
    said = typed("fsck", store.folder)
    assert said.code == 1
    assert said.out.startswith(f"error   {where}: array /model/a.w: not the bytes that were written (version 3)\n")
    assert said.out.endswith("1 error, 1 warning\n")
    told = json.loads(typed("fsck", store.folder, "--fast", "--json").out)["findings"]
    assert [(one["level"], one["versions"]) for one in told] == [("error", [3]), ("warning", [])]


def test_a_watcher_whose_files_are_gone_is_told_file_by_file(watcher: Path, typed: Any) -> None:
    shutil.rmtree(watcher / "objects")
    (watcher / "objects").mkdir()
    said = typed("verify", watcher)
    assert said.code == 1
    assert "missing" in said.out
    assert "array" in said.out
    assert f"no version of {watcher} is whole" in said.out
    assert typed("fsck", watcher).code == 1


def test_what_is_no_state_is_a_mistake_and_not_a_damage(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"nothing of ours")
    assert "neither binary nor JSON" in one_line(shell("verify", tmp_path / "x.bin"))
    assert "no such file" in one_line(shell("verify", tmp_path / "y.bin"))
    assert "is a file" in one_line(shell("fsck", tmp_path / "x.bin"))

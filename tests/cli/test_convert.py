"""Does `jamais convert` bring a state from any face into any other, bit for bit, and lose nothing of yours?"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_inspect import made, training

from jamais.persistence import VersionStore
from jamais.persistence.faces.binary import write_binary
from jamais.persistence.faces.models import read_state
from jamais.persistence.faces.recognise import Face, face_of
from jamais.persistence.tree import state_sha256

TARGETS = {"x.bin": Face.BINARY, "x.safetensors": Face.BINARY, "x.json": Face.JSON, "x": Face.FOLDER}


@pytest.mark.parametrize("face", ["bin", "numbers", "base64", "folder", "store"])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_any_face_becomes_any_other(face: str, target: str, tmp_path: Path, typed: Any) -> None:
    path = tmp_path / "new" / target
    told = json.loads(typed("convert", made(tmp_path, face), path, "--json").out)
    assert told["state_sha256"] == state_sha256(training())
    assert told["type"] == "training"
    assert face_of(path) is TARGETS[target]
    tree, name = read_state(path)
    assert name == "training"
    assert leaves(tree) == leaves(training())


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Give all that a state holds, by place, in words that can be compared."""
    if isinstance(tree, dict):
        return {place: leaf for key in tree for place, leaf in leaves(tree[key], f"{path}/{key}").items()}
    return {path: (str(tree.dtype), tree.shape, tree.tobytes()) if isinstance(tree, np.ndarray) else repr(tree)}


def test_a_watcher_goes_through_all_faces_and_scores_as_before(
    lines_kept: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    import jamais
    from jamais.persistence import load_model_auto

    steps = [lines_kept, tmp_path / "a.bin", tmp_path / "a.json", tmp_path / "a", tmp_path / "b.bin"]
    hashes = set()
    for one, other in itertools.pairwise(steps):
        said = typed("convert", one, other)
        assert (said.code, said.err) == (0, "")
        first, last = said.out.splitlines()
        assert first.startswith(f"{one} → {other}: logs, ")
        hashes.add(last)
    assert len(hashes) == 1
    before, after = jamais.load(lines_kept).score(str(today)), load_model_auto(steps[-1]).score(str(today))
    assert before.equals(after)


def test_the_version_is_chosen_by_number_or_name(tmp_path: Path, typed: Any) -> None:
    store = VersionStore(tmp_path / "app")
    store.commit(training(1), reason="", kind="training", parent=None, refs=("best",))
    store.commit(training(2), reason="", kind="training", parent=1)
    for source, version in ((["--version", "1"], 1), (["--version", "best"], 1), ([], 2)):
        assert typed("convert", store.folder, tmp_path / "x.bin", *source, "--force").code == 0
        assert read_state(tmp_path / "x.bin")[0]["optimizer"]["step"] == version
    assert typed("convert", f"{store.folder}@best", tmp_path / "y.bin").code == 0
    assert read_state(tmp_path / "y.bin")[0]["optimizer"]["step"] == 1


def test_how_a_face_is_written_can_be_said(tmp_path: Path, typed: Any) -> None:
    source = made(tmp_path, "bin")
    assert typed("convert", source, tmp_path / "a", "--to", "bin", "--digest", "sha256").code == 0
    assert json.loads(typed("inspect", tmp_path / "a", "--json").out)["digest"] == "sha256"
    assert typed("convert", source, tmp_path / "b.json", "--base64").code == 0
    assert '"b64"' in (tmp_path / "b.json").read_text()
    assert typed("convert", source, tmp_path / "c.json", "--numbers").code == 0
    assert '"data"' in (tmp_path / "c.json").read_text()
    for options in (["--weights", "bin"], ["--digest", "sha256"]):
        said = typed("convert", source, tmp_path / "d.json", *options)
        assert said.code == 2
        assert "becomes a json" in said.err
    assert not (tmp_path / "d.json").exists()


def test_what_is_there_is_kept_without_force(tmp_path: Path, typed: Any) -> None:
    source = made(tmp_path, "bin")
    (tmp_path / "x.bin").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for target in ("x.bin", "full"):
        said = typed("convert", source, tmp_path / target)
        assert said.code == 2
        assert "is there already: --force replaces it" in said.err
    assert (tmp_path / "x.bin").read_text() == "mine"
    assert typed("convert", source, tmp_path / "x.bin", "--force").code == 0
    assert typed("convert", source, tmp_path / "full", "--force").code == 0
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.bin").touch()
    assert typed("convert", source, tmp_path / "empty").code == 0
    assert typed("convert", source, tmp_path / "zero.bin").code == 0


def test_what_must_not_be_replaced_is_not_replaced_by_force_either(tmp_path: Path, watcher: Path, typed: Any) -> None:
    source = made(tmp_path, "bin")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    wrong = [tmp_path / "pipe", tmp_path / "dangling", watcher, "", "/dev/null", "s3://bucket/x"]
    for target in wrong:
        for to in ([], ["--to", "json"]):
            said = typed("convert", source, target, "--force", *to)
            assert (said.code, said.out) == (2, "")
            assert said.err.count("\n") == 1
    assert len(VersionStore(watcher).history()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_edits_count_when_they_are_accepted(tmp_path: Path, typed: Any) -> None:
    path = made(tmp_path, "numbers")
    path.write_text(path.read_text().replace('"width": 30', '"width": 31'))
    said = typed("convert", path, tmp_path / "x.bin")
    assert said.code == 2
    assert "not what was written" in said.err
    assert not (tmp_path / "x.bin").exists()
    assert typed("convert", path, tmp_path / "x.bin", "--accept-edits").code == 0
    assert read_state(tmp_path / "x.bin")[0]["config"]["width"] == 31
    assert typed("verify", tmp_path / "x.bin").code == 0


def test_long_text_is_refused_before_it_is_written(tmp_path: Path, typed: Any, monkeypatch: Any) -> None:
    from jamais.persistence.faces import json_face

    monkeypatch.setattr(json_face, "MAX_NUMBERS", 1000)
    source = made(tmp_path, "bin")
    said = typed("convert", source, tmp_path / "x.json")
    assert said.code == 2
    assert "--base64 is shorter, --force does it anyway" in said.err
    assert typed("convert", source, tmp_path / "x.json", "--base64").code == 0
    assert typed("convert", source, tmp_path / "y.json", "--force").code == 0


def test_a_folder_of_another_program_can_be_converted(tmp_path: Path, typed: Any) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "model").mkdir()
    save_file({"w": np.arange(6.0).reshape(2, 3)}, tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "config.json").write_text('{"hidden_size": 3}')
    said = typed("convert", tmp_path / "model", tmp_path / "x.bin")
    assert said.code == 0
    assert "has no MANIFEST.json" in said.err
    tree, _ = read_state(tmp_path / "x.bin")
    assert np.array_equal(tree["model"]["w"], np.arange(6.0).reshape(2, 3))


def test_a_suffix_that_says_something_else_is_told(tmp_path: Path, typed: Any) -> None:
    source = made(tmp_path, "bin").rename(tmp_path / "really.json")
    said = typed("convert", source, tmp_path / "x.bin")
    assert said.code == 0
    assert said.err == f"jamais: {source}: is called .json but holds a binary state\n"


def test_a_target_that_reads_back_otherwise_is_told(tmp_path: Path, typed: Any, monkeypatch: Any) -> None:
    from jamais.persistence.faces import binary

    source = made(tmp_path, "numbers")
    really = write_binary
    monkeypatch.setattr(binary, "write_binary", lambda path, tree, name: really(path, {**tree, "vocab": {}}, name))
    said = typed("convert", source, tmp_path / "x.bin")
    assert said.code == 2
    assert "reads back as something else" in said.err

"""Is one array shown as several files of a folder stored once, sealed everywhere and read from the first?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from bitwise import same

from jamais.errors import CorruptStateError
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder

FIRST, SECOND, THIRD = (f"detectors/{name}_features.npy" for name in ("knn", "lof", "iforest"))
SHOWN = Arrangement(arrays={FIRST: "/memory/rows", SECOND: "/memory/rows", THIRD: "/memory/rows"})
STATE = {"memory": {"rows": np.arange(12, dtype=np.float32).reshape(4, 3), "ids": np.arange(4)}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "f", STATE, "thing", arrangement=SHOWN)
    return tmp_path / "f"


def test_every_file_shows_the_array_which_takes_room_once(folder: Path) -> None:
    for name in (FIRST, SECOND, THIRD):
        assert np.array_equal(np.load(folder / name), STATE["memory"]["rows"])
    assert len({os.stat(folder / name).st_ino for name in (FIRST, SECOND, THIRD)}) == 1
    assert same(read_folder(folder)[0], STATE)
    assert verify_folder(folder) == verify_folder(folder, full=True) == []


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
def test_a_changed_one_is_named_when_they_are_no_longer_one_file(folder: Path, tmp_path: Path, name: str) -> None:
    copied = shutil.copytree(folder, tmp_path / "copy")
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptStateError, match=name):
        read_folder(copied)
    (copied / name).unlink()
    with pytest.raises(CorruptStateError, match=name):
        read_folder(copied)


def test_a_later_save_that_shows_fewer_leaves_none_behind(folder: Path) -> None:
    write_folder(folder, STATE, "thing", arrangement=Arrangement(arrays={FIRST: "/memory/rows"}))
    assert (folder / FIRST).exists()
    assert not (folder / SECOND).exists()
    assert same(read_folder(folder)[0], STATE)


def test_where_no_link_can_be_made_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_folder(tmp_path / "f", STATE, "thing", arrangement=SHOWN)
    assert os.stat(tmp_path / "f" / FIRST).st_ino != os.stat(tmp_path / "f" / SECOND).st_ino
    assert verify_folder(tmp_path / "f", full=True) == []


def test_an_array_that_belongs_to_the_weights_is_shown_there_alone(tmp_path: Path) -> None:
    shown = Arrangement(weights=Weights("/memory"), arrays={FIRST: "/memory/rows", SECOND: "/memory/rows"})
    write_folder(tmp_path / "f", STATE, "thing", arrangement=shown)
    assert not (tmp_path / "f" / "detectors").exists()
    assert same(read_folder(tmp_path / "f")[0], STATE)

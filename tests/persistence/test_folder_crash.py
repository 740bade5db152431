"""After a kill or on a full disk: is a folder exactly the old one or exactly the new one?"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import crash_child
import folder_crash_child
import pytest
from folder_states import ARRANGEMENT, contents, listing, name_of, state

from jamais.errors import InputError, StateError
from jamais.persistence.faces.folder import read_folder, verify_folder, write_folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    target = tmp_path / "base"
    write_folder(target, state(1), "thing", arrangement=ARRANGEMENT)
    (target / "runs").mkdir()
    (target / "runs" / "mine").write_text("mine")
    return target


# Every step takes minutes where the disk is slow; an odd stride meets all kinds of steps.
STRIDES = [17, pytest.param(1, marks=pytest.mark.slow)]


def killed(base: Path, out: Path, stride: int) -> list[Path]:
    package = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, folder_crash_child.__file__, str(base), str(out), str(stride)],
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(out.iterdir())


def goes_on(target: Path, strangers: bool) -> None:
    """Assert that another save works, is whole, and leaves nothing of the crash behind."""
    write_folder(target, state(5), "thing", arrangement=ARRANGEMENT)
    assert name_of(read_folder(target)[0]) == name_of(state(5))
    assert verify_folder(target, full=True) == []
    assert os.listdir(target.parent) == [target.name]
    assert (target / "runs" / "mine").exists() == strangers


@pytest.mark.parametrize("stride", STRIDES)
def test_a_save_killed_at_any_step_leaves_the_old_folder_or_the_new_one(
    base: Path, tmp_path: Path, stride: int
) -> None:
    names = {name_of(state(seed)): seed for seed in (1, 2)}
    found = []
    for place in killed(base, tmp_path / "out", stride):
        tree, _ = read_folder(place / "f")
        found.append(names[name_of(tree)])
        assert (place / "f" / "runs" / "mine").read_text() == "mine"
        assert verify_folder(place / "f", full=True) == []
        goes_on(place / "f", strangers=True)
    assert found == sorted(found), "the new one, once there, stays"
    assert set(found) == {1, 2}
    assert len(found) * stride > 100, "the steps were counted"


@pytest.mark.parametrize("stride", STRIDES)
def test_a_first_save_killed_at_any_step_leaves_nothing_or_the_folder(tmp_path: Path, stride: int) -> None:
    found = []
    for place in killed(tmp_path / "no base", tmp_path / "out", stride):
        try:
            assert name_of(read_folder(place / "f")[0]) == name_of(state(2))
            found.append(1)
        except InputError:
            found.append(0)
        goes_on(place / "f", strangers=False)
    assert found == sorted(found)
    assert set(found) == {0, 1}


@pytest.mark.filterwarnings("ignore:.*is replaced, as it does not fit")  # a tokenizer file that cannot be read
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_refuses_from_any_step_on_leaves_the_old_folder_and_no_junk(
    base: Path, tmp_path: Path, code: int, stride: int
) -> None:
    real = {name: getattr(os, name) for name in crash_child.STEPS}
    old, new = contents(base), name_of(state(2))
    refused = 0
    for n in itertools.count(1, stride):
        place = tmp_path / f"{n}"
        shutil.copytree(base, place / "f")
        left = [n]

        def step(name: str, left: list[int] = left) -> None:
            left[0] -= 1
            # Deleting and renaming still work on a full disk; closing always does.
            if left[0] <= 0 and name not in ("close", "unlink", "rmdir", "rename"):
                raise OSError(code, os.strerror(code))

        crash_child.patched(step)
        said = ""
        try:
            write_folder(place / "f", state(2), "thing", arrangement=ARRANGEMENT)
        except StateError as error:
            said = str(error)
        finally:
            for name, function in real.items():
                setattr(os, name, function)
        if left[0] > 0:
            break
        refused += os.strerror(code) in said
        if not said or "does not confirm" in said:
            assert name_of(read_folder(place / "f")[0]) == new
        else:
            assert "nothing was changed" in said
            assert contents(place / "f") == old
        assert os.listdir(place) == ["f"]
        goes_on(place / "f", strangers=True)
        shutil.rmtree(place)
    assert refused * stride > 50


def test_a_folder_that_cannot_be_exchanged_in_one_step_is_still_replaced(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jamais.persistence import files

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    goes_on(base, strangers=True)
    assert "runs" in listing(base)


def test_old_files_that_cannot_be_removed_are_a_warning_as_the_new_ones_are_there(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jamais.persistence import files

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(files, "remove", refuse)
        with pytest.warns(UserWarning, match="saved to .*, but the older state beside it cannot be removed"):
            write_folder(base, state(2), "thing", arrangement=ARRANGEMENT)
    assert name_of(read_folder(base)[0]) == name_of(state(2))

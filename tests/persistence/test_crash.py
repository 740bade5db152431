"""After a kill, a full disk or a race: is there exactly the old version or exactly the new one?"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import crash_child
import pytest
from bitwise import same
from crash_child import tree

from jamais.errors import InputError, JamaisError, StateError
from jamais.persistence import VersionStore


def run_child(*words: object) -> list[str]:
    package = Path(__file__).parents[2] / "src"
    done = subprocess.run(
        [sys.executable, crash_child.__file__, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    store = VersionStore(tmp_path / "base")
    store.commit(tree(1), reason="old", kind="logs", parent=None)
    return store.folder


def everything(store: Path) -> list[str]:
    return sorted(str(p.relative_to(store)) for p in store.rglob("*"))


def leftovers(store: Path) -> list[str]:
    return [name for name in everything(store) if ".tmp-" in name]


def goes_on(folder: Path) -> None:
    """Assert that a store takes another commit, is whole, and has no leftovers of the crash."""
    store = VersionStore(folder)
    number = store.commit(tree(5), reason="after", kind="logs", parent=store.current)
    loaded, info = store.load()
    assert same(loaded, tree(5))
    assert (info.number, info.warnings) == (number, ())
    assert store.verify() == []
    assert leftovers(folder) == []


def test_a_commit_killed_at_any_step_leaves_the_old_version_or_the_new_one(base: Path, tmp_path: Path) -> None:
    # As left by an earlier crash, so that the steps that clean it up are killed too.
    (base / "versions" / ".tmp-0002.json").write_text("{")
    (base / "objects" / ".tmp-0123456789abcdef").write_text("{")
    run_child("kill", base, tmp_path / "out", "commit")
    crashed = sorted((tmp_path / "out").iterdir())
    found = []
    for store in crashed:
        loaded, info = VersionStore(store).load()
        assert info.warnings == ()
        assert VersionStore(store).verify() == []
        assert len(VersionStore(store).history()) == info.number
        found.append(info.number)
        assert same(loaded, tree(info.number))
        goes_on(store)
    assert found == sorted(found), "the new version, once there, stays"
    assert set(found) == {1, 2}
    assert len(found) > 20, "the steps were counted"


def test_a_first_commit_killed_at_any_step_leaves_nothing_or_the_version(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run_child("kill", tmp_path / "no base", tmp_path / "out", "commit")
    found = []
    for store in sorted((tmp_path / "out").iterdir()):
        try:
            loaded, _ = VersionStore(store).load()
            assert same(loaded, tree(2))
            found.append(1)
        except InputError:
            found.append(0)
        goes_on(store)
    assert found == sorted(found)
    assert set(found) == {0, 1}


def three_versions(folder: Path) -> VersionStore:
    store = VersionStore(folder)
    for number in (1, 3, 2):
        store.commit(tree(number), reason="old", kind="logs", parent=store.current)
    store.promote("best", 2)
    return store


@pytest.mark.slow
def test_names_and_tidying_killed_at_any_step_leave_all_that_is_needed(tmp_path: Path) -> None:
    """Version 3 (of tree 2) and `best` (version 2, of tree 3) must survive whatever is interrupted."""
    for work in ("commit_and_tidy", "promote", "tidy"):
        base = tmp_path / work
        three_versions(base / "base")
        run_child("kill", base / "base", base / "out", work)
        crashed = [VersionStore(path) for path in sorted((base / "out").iterdir())]
        assert len(crashed) > 5
        seen = set()
        for store in crashed:
            names = store.refs()
            seen.add((names["best"], names["last"], len(store.history())))
            assert store.verify() == [], work
            assert same(store.load()[0], tree(2))
            assert same(store.load("best")[0], tree(3 if names["best"] == 2 else 2))
            store.promote("probe", reason="the log is mended by the next move")
            logged = {(move.name, move.version) for move in store.log()}
            assert {(name, number) for name, number in store.refs().items() if name != "last"} <= logged
            swept = store.gc()
            assert store.verify() == []
            assert store.gc().objects == (), swept
            goes_on(store.folder)
        assert len(seen) > 1, "some were stopped before the change, some after"


@pytest.mark.slow
def test_a_commit_killed_at_random_moments_leaves_the_old_version_or_the_new_one(base: Path) -> None:
    pick, store = random.Random(0), VersionStore(base)
    outcomes = set()
    for _ in range(60):
        before = store.current
        child = os.fork()
        if child == 0:
            store.commit(crash_child.tree(before or 0), reason="killed", kind="logs", parent=before)
            os._exit(0)
        time.sleep(pick.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        outcomes.add((store.current or 0) - (before or 0))
        assert store.verify() == []
        assert store.load()[1].warnings == ()
    assert outcomes == {0, 1}
    goes_on(base)


@pytest.mark.parametrize("size", [0, 100, 5_000, 72_850])
def test_a_file_size_limit_leaves_the_old_version_and_no_junk(base: Path, size: int) -> None:
    before = everything(base)
    (said,) = run_child("limit", base, size)
    assert said.startswith("StateError no room to save to")
    assert everything(base) == before
    assert same(VersionStore(base).load()[0], tree(1))
    goes_on(base)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_from_any_step_on_leaves_the_old_version_and_no_junk(
    base: Path, tmp_path: Path, code: int
) -> None:
    real = {name: getattr(os, name) for name in crash_child.STEPS}
    refused, n = 0, 0
    while True:
        n += 1
        store = tmp_path / f"{n}"
        shutil.copytree(base, store)
        before = everything(store)
        left = [n]

        def step(name: str, left: list[int] = left) -> None:
            left[0] -= 1
            # Deleting and renaming still work on a full disk; closing always does.
            if left[0] <= 0 and name not in ("close", "unlink", "rmdir", "rename"):
                raise OSError(code, os.strerror(code))

        crash_child.patched(step)
        try:
            VersionStore(store).commit(tree(2), reason="new", kind="logs", parent=1)
            expected = 2
        except StateError as error:
            refused += os.strerror(code) in str(error)
            expected = 1
        finally:
            for name, function in real.items():
                setattr(os, name, function)
        if left[0] > 0:
            break
        # After the commit point: two closes, and the draft's other name is taken away.
        assert refused >= n - 3, "all steps up to the commit were refused, with the reason"
        assert VersionStore(store).current == expected, "what is reported as not saved is not there"
        assert same(VersionStore(store).load()[0], tree(expected))
        if expected == 1:
            assert everything(store) == before
        goes_on(store)
        shutil.rmtree(store)
    assert refused > 10


def test_a_folder_one_may_not_write_to_says_so_and_still_loads() -> None:
    # Not under tmp_path: the other user may not even look in there.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        VersionStore(folder / "store").commit(tree(1), reason="old", kind="logs", parent=None)
        for path in [folder / "store", *(folder / "store").rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        (said,) = run_child("stranger", folder / "store")
        assert said.startswith("StateError not allowed to write to")
        assert "write permission" in said
        (folder / "store" / "versions").chmod(0o700)
        (said,) = run_child("stranger", folder / "store")
        assert said.startswith("StateError")
        assert "ermission" in said
        assert same(VersionStore(folder / "store").load()[0], tree(1))
        for path in [folder / "store", folder / "store" / "versions"]:
            path.chmod(0o755)
        for path in (folder / "store" / "versions").iterdir():
            path.chmod(0o755)


def test_of_two_processes_that_commit_at_once_exactly_one_wins_each_round(base: Path) -> None:
    assert run_child("race", base, 10) == ["[0, 7]"] * 10
    store = VersionStore(base)
    assert [info.number for info in store.history()] == list(range(1, 12))
    assert [info.parent for info in store.history()] == [None, *range(1, 11)]
    assert store.verify() == []


def test_a_lock_that_is_never_given_back_is_reported(base: Path, monkeypatch: Any) -> None:
    from jamais.persistence import files

    monkeypatch.setattr(files, "LOCK_WAIT_S", 0.05)
    with files.locked(base / "lock"), pytest.raises(JamaisError, match="another process has held this lock"):
        VersionStore(base).commit(tree(2), reason="new", kind="logs", parent=1)
    goes_on(base)

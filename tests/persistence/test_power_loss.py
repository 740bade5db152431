"""After a power loss that drops everything not flushed: is there exactly the old version or the new one?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from bitwise import same
from crash_child import tree
from power_model import Disk, write_out

from jamais.errors import InputError
from jamais.persistence import Retention, VersionStore


def reachable(root: Path, work: Any) -> tuple[list[Any], list[Any]]:
    """Run `work` on a watched disk; give all states a crash could leave during it, and those after it."""
    disk = Disk(root)
    seen: dict[str, Any] = {}

    def look() -> None:
        for state in disk.states():
            seen.setdefault(repr(sorted(state.items())), state)

    with pytest.MonkeyPatch.context() as patch:
        disk.watch(patch)
        for name in ("open", "write", "lseek", "fsync", "rename", "link", "mkdir", "unlink", "rmdir"):
            patch.setattr(os, name, _then(getattr(os, name), look))
        work()
    return list(seen.values()), list(disk.states())


def _then(call: Any, look: Any) -> Any:
    def both(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        look()
        return result

    return both


def outcome(state: Any, folder: Path, first: bool) -> str:
    write_out(state, folder)
    store = VersionStore(folder / "app")
    try:
        loaded, info = store.load()
    except InputError:
        assert first
        store.commit(tree(5), reason="again", kind="logs", parent=None)
        return "none"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert info.warnings == ()
    assert same(loaded, tree(info.number))
    return f"version {info.number}"


@pytest.mark.parametrize("first", [True, False])
def test_every_state_a_power_loss_can_leave_is_the_old_version_or_the_new_one(tmp_path: Path, first: bool) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    store = VersionStore(root / "app")
    if not first:
        store.commit(tree(1), reason="old", kind="logs", parent=None)
        (store.folder / "versions" / ".tmp-0002.json").write_text("{")
        (store.folder / "objects" / ".tmp-0123456789abcdef").write_text("{")
    number = 1 if first else 2
    states, after = reachable(
        root, lambda: store.commit(tree(number), reason="new", kind="logs", parent=number - 1 or None)
    )
    found = {outcome(state, tmp_path / "crashed", first) for state in states}
    assert found == {"none" if first else "version 1", f"version {number}"}
    assert {outcome(state, tmp_path / "crashed", first) for state in after} == {f"version {number}"}
    assert len(states) > 10


def test_names_and_tidying_survive_a_power_loss(tmp_path: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    store = VersionStore(root / "app")
    for number in (1, 3):
        store.commit(tree(number), reason="old", kind="logs", parent=store.current)
    store.promote("best", 1)

    def change() -> None:
        store.commit(tree(2), reason="new", kind="logs", parent=2, refs=["best"], keep=Retention(latest=1))

    states, after = reachable(root, change)
    found = set()
    for state in [*states, *after]:
        write_out(state, tmp_path / "crashed")
        crashed = VersionStore(tmp_path / "crashed" / "app")
        assert crashed.verify() == []
        names = crashed.refs()
        assert same(crashed.load("best")[0], tree({1: 1, 3: 2}[names["best"]]))
        found.add((names["best"], names["last"], tuple(info.number for info in crashed.history())))
        shutil.rmtree(tmp_path / "crashed")
    assert (1, 2, (1, 2)) in found
    assert (3, 3, (3,)) in found
    assert len(states) > 20


@pytest.mark.parametrize("forgotten", ["files", "folders"])
def test_the_model_notices_a_store_that_does_not_flush(tmp_path: Path, monkeypatch: Any, forgotten: str) -> None:
    from jamais.persistence import files

    root = tmp_path / "disk"
    root.mkdir()
    if forgotten == "folders":
        monkeypatch.setattr(files, "sync_folder", lambda path: None)
    store = VersionStore(root / "app")

    def commit() -> None:
        with pytest.MonkeyPatch.context() as patch:
            if forgotten == "files":
                patch.setattr(os, "fsync", lambda handle: None)
            store.commit(tree(1), reason="new", kind="logs", parent=None)

    _, after = reachable(root, commit)
    lost = 0
    for state in after:
        write_out(state, tmp_path / "crashed")
        try:
            VersionStore(tmp_path / "crashed" / "app").load()
        except Exception:
            lost += 1
        shutil.rmtree(tmp_path / "crashed")
    assert lost

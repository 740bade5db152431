from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jamais.errors import CorruptStateError, SettingsError, StaleVersionError, StateError
from jamais.learning.checkpoints import Checkpoints
from jamais.persistence import Retention, VersionStore
from jamais.types import StateTree


def state(step: int) -> StateTree:
    return {"trainer": {"step": step}, "weights": np.full(3000, step, dtype=np.float32)}


def look(checkpoints: Checkpoints, step: int, **metrics: float) -> bool:
    return checkpoints.at(step, lambda: state(step), metrics)


def steps(folder: Path) -> list[int]:
    return [int(info.metrics["step"]) for info in VersionStore(folder).history()]


def best(folder: Path) -> int:
    store = VersionStore(folder)
    return int(store.info("best").metrics["step"])


def test_an_empty_store_gives_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert Checkpoints(VersionStore(tmp_path / "none")).resume() is None


def test_every_so_many_steps_and_at_the_end_a_version_is_saved(tmp_path: Path) -> None:
    checkpoints = Checkpoints(VersionStore(tmp_path), every_steps=3)
    asked: list[int] = []
    for step in range(8):
        checkpoints.at(step, lambda step=step: asked.append(step) or state(step), {"loss": 1.0})
    assert asked == [3, 6]  # a state that is not saved is not even made
    checkpoints.finish(7, lambda: state(7), {"loss": 1.0})
    checkpoints.finish(7, lambda: state(7), {"loss": 1.0})
    assert steps(tmp_path) == [3, 6, 7]
    tree = Checkpoints(VersionStore(tmp_path)).resume()
    assert tree is not None
    assert tree["trainer"]["step"] == 7
    assert (tree["weights"] == 7).all()


def test_every_so_many_seconds_since_the_last_one(tmp_path: Path) -> None:
    now = [100.0]
    checkpoints = Checkpoints(VersionStore(tmp_path), every_seconds=10, clock=lambda: now[0])
    saved = []
    for step, seconds in enumerate([1, 8, 2, 5, 4, 1, 30], start=1):
        now[0] += seconds
        saved.append(look(checkpoints, step))
    assert saved == [False, False, True, False, False, True, True]


def test_best_is_the_best_saved_and_never_a_number_that_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(VersionStore(tmp_path), every_steps=1)
    found = []
    for step, loss in enumerate([3.0, math.nan, 2.0, -math.inf, 2.0, 2.5, 1.0, math.inf], start=1):
        look(checkpoints, step, loss=loss)
        found.append(best(tmp_path))
    assert found == [1, 1, 3, 3, 3, 3, 7, 7]
    assert len(steps(tmp_path)) == 8  # a diverged state is saved all the same: somebody wants to look at it
    look(checkpoints, 9)
    assert best(tmp_path) == 7


def test_a_first_loss_that_is_nan_names_no_best(tmp_path: Path) -> None:
    look(Checkpoints(VersionStore(tmp_path), every_steps=1), 1, loss=math.nan)
    assert "best" not in VersionStore(tmp_path).refs()


def test_a_restart_goes_on_from_the_last_and_remembers_the_best(tmp_path: Path) -> None:
    first = Checkpoints(VersionStore(tmp_path), every_steps=1, metric="recall", mode="max")
    for step, recall in enumerate([0.5, 0.9, 0.7], start=1):
        look(first, step, recall=recall)
    second = Checkpoints(VersionStore(tmp_path), every_steps=1, metric="recall", mode="max")
    tree = second.resume()
    assert tree is not None
    assert tree["trainer"]["step"] == 3
    assert not look(second, 3, recall=0.7)  # it is there already
    assert look(second, 4, recall=0.8)
    assert best(tmp_path) == 2
    look(second, 5, recall=0.95)
    assert best(tmp_path) == 5


def test_save_best_saves_where_nothing_else_is_due(tmp_path: Path) -> None:
    checkpoints = Checkpoints(VersionStore(tmp_path), every_steps=100, metric="recall", mode="max", save_best=True)
    for step, metrics in enumerate([{}, {"recall": 0.5}, {"recall": 0.5}, {"loss": 1.0}, {"recall": 0.6}], start=1):
        look(checkpoints, step, **metrics)
    assert steps(tmp_path) == [2, 5]


def test_retention_keeps_the_last_and_the_best(tmp_path: Path) -> None:
    checkpoints = Checkpoints(VersionStore(tmp_path), every_steps=1, keep=Retention(latest=2))
    for step, loss in enumerate([5.0, 1.0, 4.0, 3.0, 2.0], start=1):
        look(checkpoints, step, loss=loss)
    assert steps(tmp_path) == [2, 4, 5]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    look(Checkpoints(VersionStore(tmp_path), every_steps=1), 1)
    with pytest.raises(StaleVersionError):
        look(Checkpoints(VersionStore(tmp_path), every_steps=1), 1)
    a, b = (Checkpoints(VersionStore(tmp_path), every_steps=1) for _ in range(2))
    a.resume()
    b.resume()
    look(a, 2)
    with pytest.raises(StaleVersionError):
        look(b, 2)
    assert steps(tmp_path) == [1, 2]


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    VersionStore(tmp_path).commit({"a": 1}, reason="fit", kind="logs", parent=None)
    with pytest.raises(StateError, match="version 1 is of kind 'logs', not a checkpoint"):
        Checkpoints(VersionStore(tmp_path)).resume()


def damage(folder: Path) -> None:
    newest = max((folder / "objects").iterdir(), key=lambda path: (path.stat().st_mtime_ns, path.name))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.chmod(0o644)
    newest.write_bytes(data)


def test_a_damaged_last_is_told_and_the_one_before_goes_on(tmp_path: Path) -> None:
    checkpoints = Checkpoints(VersionStore(tmp_path), every_steps=1)
    look(checkpoints, 1)
    look(checkpoints, 2)
    damage(tmp_path)
    again = Checkpoints(VersionStore(tmp_path), every_steps=1)
    with pytest.warns(UserWarning, match=r"version 2 is damaged \(.*; version 1 was loaded instead"):
        tree = again.resume()
    assert tree is not None
    assert tree["trainer"]["step"] == 1
    look(again, 2)
    tree = Checkpoints(VersionStore(tmp_path)).resume()
    assert tree is not None
    assert (tree["weights"] == 2).all()


def test_nothing_but_damage_is_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    look(Checkpoints(VersionStore(tmp_path), every_steps=1), 1)
    damage(tmp_path)
    with pytest.raises(CorruptStateError):
        Checkpoints(VersionStore(tmp_path)).resume()


class Failing:
    """A store whose commits fail when told so."""

    def __init__(self, folder: Path) -> None:
        self._store = VersionStore(folder)
        self.broken = False
        self.let_go = threading.Event()
        self.let_go.set()

    def commit(self, tree: StateTree, **details: Any) -> int:
        self.let_go.wait()
        if self.broken:
            raise StateError("no room")
        return self._store.commit(tree, **details)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("background", [False, True])
def test_a_save_that_failed_is_told_and_is_not_the_best(tmp_path: Path, background: bool) -> None:
    store = Failing(tmp_path)
    checkpoints = Checkpoints(store, every_steps=1, background=background)
    look(checkpoints, 1, loss=3.0)
    if background:
        checkpoints.finish(1, lambda: state(1))
    store.broken = True
    with pytest.raises(StateError, match="no room"):  # noqa: PT012
        look(checkpoints, 2, loss=1.0)
        checkpoints.finish(2, lambda: state(2), {"loss": 1.0})
    store.broken = False
    assert look(checkpoints, 3, loss=2.0)
    checkpoints.finish(3, lambda: state(3), {"loss": 2.0})
    assert best(tmp_path) == 3


def test_in_the_background_the_same_versions_come(tmp_path: Path) -> None:
    for name, background in (("front", False), ("back", True)):
        checkpoints = Checkpoints(VersionStore(tmp_path / name), every_steps=2, background=background)
        live = state(0)
        for step, loss in enumerate([3.0, 2.0, 5.0, 4.0, 1.0], start=1):
            live["trainer"]["step"] = step
            live["weights"] += 1
            checkpoints.at(step, lambda live=live: live, {"loss": loss})
        checkpoints.finish(5, lambda live=live: live, {"loss": 1.0})
    found = []
    for name in ("front", "back"):
        store = VersionStore(tmp_path / name)
        infos = [(i.number, i.parent, i.reason, dict(i.metrics), i.refs) for i in store.history()]
        found.append((infos, [float(store.load(number)[0]["weights"][0]) for number in (1, 2, 3)]))
    assert found[0] == found[1]
    assert found[0][1] == [2.0, 4.0, 5.0]


def test_nonsense_is_refused(tmp_path: Path) -> None:
    store = VersionStore(tmp_path)
    for wrong in ({"every_steps": 0}, {"every_seconds": 0.0}, {"every_seconds": math.nan}, {"mode": "most"}):
        with pytest.raises(SettingsError):
            Checkpoints(store, **wrong)

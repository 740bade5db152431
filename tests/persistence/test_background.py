from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jamais.errors import StaleVersionError, StateError
from jamais.persistence import VersionStore
from jamais.persistence.background import BackgroundSaver
from jamais.persistence.tree import state_sha256
from jamais.types import StateTree


class Slow:
    """A store that waits until it is let go, and fails when told so."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.begun = threading.Event()
        self.failure: Exception | None = None
        self.trees: list[StateTree] = []
        self.digests: list[str] = []
        self.details: list[dict[str, Any]] = []

    def commit(self, tree: StateTree, **details: Any) -> int:
        self.begun.set()
        assert self.let_go.wait(10)
        if self.failure is not None:
            raise self.failure
        self.trees.append(tree)
        self.digests.append(state_sha256(tree))
        self.details.append(details)
        return len(self.trees)


@pytest.fixture
def slow() -> Slow:
    return Slow()


def state() -> StateTree:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    return {
        "model": {"words": weights, "out": weights, "turned": weights.T, "low": weights.astype(ml_dtypes.bfloat16)},
        "rng": {"state": np.array(7, dtype=np.uint64), "none": np.zeros((0, 3))},
        "trainer": {"losses": [0.1, float("nan")], "names": [["a"], {"b": 1}], "step": 3},
    }


def test_the_snapshot_holds_whatever_happens_to_the_state_after(slow: Slow) -> None:
    tree = state()
    expected = state_sha256(tree)
    saver = BackgroundSaver(slow)
    saver.commit(tree, reason="r", kind="training")
    assert slow.begun.wait(10)
    tree["model"]["words"] += 1
    tree["model"]["low"][:] = 0
    tree["rng"]["state"][...] = 8
    tree["trainer"]["losses"].append(1.0)
    tree["trainer"]["names"][0].append("z")
    tree["trainer"]["step"] = 4
    del tree["rng"]
    slow.let_go.set()
    assert saver.close() == 1
    assert slow.digests == [expected]


def test_commit_returns_before_the_save_and_the_next_waits_for_it(slow: Slow) -> None:
    saver = BackgroundSaver(slow)
    saver.commit(state(), reason="first", kind="training")
    assert slow.trees == []
    second = threading.Thread(target=saver.commit, args=(state(),), kwargs={"reason": "second", "kind": "training"})
    second.start()
    second.join(0.1)
    assert second.is_alive(), "one save in flight"
    slow.let_go.set()
    second.join(10)
    assert saver.wait() == 2
    assert [details["reason"] for details in slow.details] == ["first", "second"]


def test_versions_are_chained_and_everything_is_handed_on(slow: Slow) -> None:
    slow.let_go.set()
    with BackgroundSaver(slow, parent=41) as saver:
        for step in (1, 2):
            saver.commit(state(), reason=f"step {step}", kind="training", metrics={"loss": 0.5}, refs=["best"])
    assert [details["parent"] for details in slow.details] == [41, 1]
    wanted = {"reason": "step 1", "kind": "training", "metrics": {"loss": 0.5}, "refs": ("best",), "keep": None}
    assert slow.details[0] == wanted | {"parent": 41}


def test_buffers_are_used_again_as_long_as_they_fit(slow: Slow) -> None:
    slow.let_go.set()
    saver, tree = BackgroundSaver(slow), state()
    for rows in (5, 5, 6):
        tree["memory"] = np.zeros((rows, 2))
        saver.commit(tree, reason="r", kind="training")
        saver.wait()
    first, second, third = slow.trees
    assert first["model"]["words"] is second["model"]["words"] is third["model"]["words"]
    assert first["model"]["words"] is first["model"]["out"], "tied weights are copied once"
    assert first["model"]["turned"].flags.c_contiguous
    assert first["memory"] is second["memory"]
    assert third["memory"].shape == (6, 2)


@pytest.mark.parametrize("call", ["commit", "check", "wait", "close"])
def test_an_error_is_raised_once_by_the_next_call_and_the_chain_goes_on(slow: Slow, call: str) -> None:
    slow.let_go.set()
    saver = BackgroundSaver(slow, parent=7)
    slow.failure = StateError("no room")
    saver.commit(state(), reason="lost", kind="training")
    assert saver._thread is not None
    saver._thread.join()
    slow.failure = None
    with pytest.raises(StateError, match="no room"):
        saver.commit(state(), reason="not taken", kind="training") if call == "commit" else getattr(saver, call)()
    saver.commit(state(), reason="kept", kind="training")
    assert saver.close() == 1
    assert [details["reason"] for details in slow.details] == ["kept"]
    assert slow.details[0]["parent"] == 7


def test_check_does_not_wait(slow: Slow) -> None:
    saver = BackgroundSaver(slow)
    saver.check()
    saver.commit(state(), reason="r", kind="training")
    saver.check()
    assert slow.trees == []
    slow.let_go.set()
    saver.close()


def test_the_end_of_the_block_raises_but_hides_no_other_error(slow: Slow) -> None:
    slow.let_go.set()
    slow.failure = StateError("no room")
    with pytest.raises(StateError, match="no room"), BackgroundSaver(slow) as saver:
        saver.commit(state(), reason="r", kind="training")
    with pytest.raises(ZeroDivisionError) as caught, BackgroundSaver(slow) as saver:  # noqa: PT012
        saver.commit(state(), reason="r", kind="training")
        _ = 1 / 0
    assert caught.value.__notes__ == ["and a background save failed: no room"]


def test_a_real_store_gets_what_a_direct_commit_gives(tmp_path: Path) -> None:
    tree = state()
    VersionStore(tmp_path / "direct").commit(tree, reason="r", kind="training", parent=None)
    with BackgroundSaver(VersionStore(tmp_path / "behind")) as saver:
        saver.commit(tree, reason="r", kind="training")
        saver.commit({"bad": object()}, reason="r", kind="training")
        with pytest.raises(StateError, match=r"/bad: cannot save"):
            saver.wait()
        saver.commit(tree, reason="again", kind="training")
    direct, behind = (VersionStore(tmp_path / name) for name in ("direct", "behind"))
    assert state_sha256(behind.load(2)[0]) == state_sha256(direct.load()[0]) == state_sha256(tree)
    assert behind.load()[0]["model"]["words"] is not None
    assert [info.parent for info in behind.history()] == [None, 1]
    saver = BackgroundSaver(VersionStore(tmp_path / "behind"), parent=1)
    saver.commit(tree, reason="late", kind="training")
    with pytest.raises(StaleVersionError):
        saver.close()


CHILD = """
import sys, numpy as np
from jamais.persistence import VersionStore
from jamais.persistence.background import BackgroundSaver
class Store:
    def commit(self, tree, **details):
        import time
        time.sleep(0.3)
        if sys.argv[2] == "fail":
            raise OSError("the disk is gone")
        return VersionStore(sys.argv[1]).commit(tree, **details)
saver = BackgroundSaver(Store())
saver.commit({"rows": np.arange(9)}, reason="r", kind="training")
sys.exit(143)
"""


@pytest.mark.parametrize("how", ["save", "fail"])
def test_a_program_that_ends_meanwhile_ends_after_the_save(tmp_path: Path, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), how], capture_output=True, text=True)
    assert done.returncode == 143, done.stderr
    if how == "save":
        assert (VersionStore(tmp_path).load()[0]["rows"] == np.arange(9)).all()
        assert done.stderr == ""
    else:
        assert "a background save failed and nobody asked for it: the disk is gone" in done.stderr

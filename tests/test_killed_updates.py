"""An update that is killed, interrupted, refused room or fed nonsense: is the old version whole, or the new one?"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests import killed_update_child
from tests.reference import small_log

import jamais
from jamais.cli.main import run
from jamais.errors import InputError, RefusedUpdateError
from jamais.persistence import VersionStore
from jamais.testing import digest
from jamais.watcher import Watcher

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
UPDATES = ("learn", "learn unknown", "feedback")


@dataclass(frozen=True)
class Case:
    """A watcher in a folder, not to be changed, and updates that it takes."""

    folder: Path
    score: Path
    updates: dict[str, list[str]]

    def copy(self, to: Path) -> Path:
        return Path(shutil.copytree(self.folder, to))

    def seen(self, folder: Path | str) -> tuple[str, pl.DataFrame]:
        """Give all bits of a watcher and its verdicts."""
        watcher = jamais.load(folder)
        return digest(undated(watcher.recipe.state_dict())), watcher.score(self.score)

    def expected(self, update: str, tmp_path: Path) -> dict[int, tuple[str, pl.DataFrame]]:
        """Give what the version before an update and the one after it know."""
        whole = self.copy(tmp_path / "whole")
        known = {1: self.seen(whole)}
        assert run([str(whole) if one == "W" else one for one in self.updates[update]]) == 0
        known[2] = self.seen(whole)
        assert known[1][0] != known[2][0]
        return known


def undated(tree: Any) -> Any:
    """Leave out when something was answered for rows without a time: by the clock, another one in every run."""
    day, now = 86_400_000_000, time.time_ns() // 1_000
    if isinstance(tree, dict):
        return {key: undated(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [undated(value) for value in tree]
    if isinstance(tree, np.ndarray) and tree.dtype == np.int64:
        return np.where(abs(tree - now) < day, 0, tree)
    return 0 if isinstance(tree, int) and abs(tree - now) < day else tree


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def clusters(n: int, seed: int, centres: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    middle = 20 * np.random.default_rng(7).normal(size=(5, 6))
    return (middle[rng.integers(0, centres, n)] + rng.normal(size=(n, 6))).astype(np.float32)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    made = tmp_path_factory.mktemp("watchers")
    watcher = Watcher(small_log.fitted().recipe)
    watcher.save(made / "logs")
    today = written(made / "today.log", "\n".join(small_log.today()) + "\n")
    row = watcher.score(today).filter(pl.col("template").str.contains("sdb"))["row"].item()
    labels = written(made / "log.csv", f"row,label\n{row},1\n")
    jamais.fit(clusters(600, 1), kind="embeddings", out=made / "embeddings")
    np.save(made / "more.npy", clusters(300, 2))
    np.save(made / "score.npy", np.concatenate([clusters(100, 3), clusters(50, 4, 5)]))
    answers = written(made / "rows.csv", "row,label\n120,1\n3,0\n")
    return {
        "logs": Case(made / "logs", today, _updates(today, today, labels)),
        "embeddings": Case(
            made / "embeddings", made / "score.npy", _updates(made / "more.npy", made / "score.npy", answers)
        ),
    }


def _updates(more: Path, asked: Path, labels: Path) -> dict[str, list[str]]:
    return {
        "learn": ["learn", "W", str(more)],
        "learn unknown": ["learn", "W", str(more), "--trust", "unknown"],
        "feedback": ["feedback", "W", str(asked), "--labels", str(labels)],
    }


def stopped(case: Case, update: str, out: Path, way: str, stride: int) -> list[tuple[Path, int, str]]:
    """Run an update again and again, stopped at later and later steps: copy, exit status and words of each run."""
    out.mkdir()
    command = [sys.executable, killed_update_child.__file__, way, str(case.folder), str(out), str(stride)]
    done = subprocess.run([*command, *case.updates[update]], env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = []
    for line in done.stdout.splitlines():
        n, status = map(int, line.split())
        found.append((out / f"{n:04d}", status, (out / f"{n:04d}.said").read_text()))
    return found


def holds(case: Case, folder: Path, known: dict[int, tuple[str, pl.DataFrame]]) -> int:
    """Assert that a folder holds one whole version or the other, bit for bit; give which."""
    store = VersionStore(folder)
    assert store.verify() == []
    version = store.current
    assert version in known
    bits, scores = case.seen(folder)
    assert bits == known[version][0]
    assert_frame_equal(scores, known[version][1], check_exact=True)
    return version


def goes_on(case: Case, folder: Path, update: str = "learn unknown") -> None:
    """Assert that a folder takes another update, and that nothing of a broken one is left."""
    assert run([str(folder) if one == "W" else one for one in case.updates[update]]) == 0
    assert VersionStore(folder).verify() == []
    assert not [path for path in folder.rglob("*") if ".tmp-" in path.name]


def killed_everywhere(case: Case, update: str, tmp_path: Path, stride: int) -> list[int]:
    known = case.expected(update, tmp_path)
    found = []
    for folder, status, _ in stopped(case, update, tmp_path / "out", "kill", stride):
        assert status in (0, signal.SIGKILL)
        found.append(holds(case, folder, known))
    goes_on(case, folder)
    assert found == sorted(found), "the new version, once there, stays"
    assert set(found) == {1, 2}
    return found


@pytest.mark.parametrize("kind", ["logs", "embeddings"])
def test_an_update_killed_now_and_then_leaves_the_old_version_or_the_new_one(
    kind: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    assert len(killed_everywhere(cases[kind], "learn", tmp_path, stride=17)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("kind", ["logs", "embeddings"])
def test_an_update_killed_at_any_step_leaves_the_old_version_or_the_new_one(
    kind: str, update: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    assert len(killed_everywhere(cases[kind], update, tmp_path, stride=1)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("kind", ["logs", "embeddings"])
def test_a_process_killed_at_random_moments_leaves_the_old_version_or_the_new_one(
    kind: str, update: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    case = cases[kind]
    begun = time.monotonic()
    known = case.expected(update, tmp_path)
    typical, pick = max(time.monotonic() - begun, 1.0), random.Random(0)
    for number in range(8):
        folder = case.copy(tmp_path / f"{number}")
        words = [str(folder) if one == "W" else one for one in case.updates[update]]
        process = subprocess.Popen(
            [sys.executable, "-m", "jamais", *words], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        threading.Event().wait(pick.random() * 2 * typical)
        process.send_signal(signal.SIGKILL)
        process.wait()
        holds(case, folder, known)
        goes_on(case, folder)


@pytest.mark.parametrize("kind", ["logs", "embeddings"])
def test_ctrl_c_changes_nothing_and_says_so(kind: str, cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases[kind]
    known = {1: case.seen(case.folder)}
    folder = case.copy(tmp_path / "w")
    pipe = tmp_path / ("pipe.log" if kind == "logs" else "pipe.csv")
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "jamais", "learn", str(folder), str(pipe)], env=ENV, stderr=subprocess.PIPE, text=True
    )
    with pipe.open("w") as lines:  # opens when the command begins to read, which then waits for more
        lines.write("\n".join(small_log.normal(20) if kind == "logs" else ["1,2,3,4,5,6"] * 9) + "\n")
        lines.flush()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "jamais: stopped; nothing was changed"
    assert holds(case, folder, known) == 1
    goes_on(case, folder)


@pytest.mark.parametrize(("kind", "stride"), [("logs", 17), ("embeddings", 17)])
def test_a_full_disk_changes_nothing_and_says_so(
    kind: str, stride: int, cases: dict[str, Case], tmp_path: Path
) -> None:
    case = cases[kind]
    known = case.expected("learn", tmp_path)
    n_refused = 0
    for folder, status, said in stopped(case, "learn", tmp_path / "out", "full", stride):
        version = holds(case, folder, known)
        if status:
            n_refused += 1
            assert os.waitstatus_to_exitcode(status) == 2
            assert said.splitlines()[-1].startswith("jamais: no room ")
            assert version == 1, "what is reported as not saved is not there"
            assert not [path for path in folder.rglob("*") if ".tmp-" in path.name]
    assert n_refused >= 2
    goes_on(case, folder)


def test_no_room_for_what_is_read_is_one_clear_sentence(cases: dict[str, Case], tmp_path: Path) -> None:
    # Data that is learned waits on the disk, sixteen bytes a record, until all of it has been read.
    case = cases["logs"]
    folder = case.copy(tmp_path / "w")
    long = written(tmp_path / "long.log", "\n".join(small_log.normal(8_000, seed=4)) + "\n")
    command = f"ulimit -f 100; exec '{sys.executable}' -m jamais learn '{folder}' '{long}'"
    done = subprocess.run(["bash", "-c", command], env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("jamais: no room in ")
    assert done.stderr.count("\n") == 1
    assert holds(case, folder, {1: case.seen(case.folder)}) == 1


# --- nonsense


def test_rows_that_are_no_numbers_change_nothing(cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases["embeddings"]
    watcher = jamais.load(case.folder)
    before = digest(watcher.recipe.state_dict())
    for bad in (np.nan, np.inf, -np.inf):
        rows = clusters(50, 5)
        rows[31, 2] = bad
        for trust in ("normal", "unknown"):
            with pytest.raises(InputError, match="31"):
                watcher.learn(rows, trust)
    np.save(tmp_path / "bad.npy", rows)
    folder = case.copy(tmp_path / "w")
    assert run(["learn", str(folder), str(tmp_path / "bad.npy")]) == 2
    assert digest(watcher.recipe.state_dict()) == before
    assert holds(case, folder, {1: case.seen(case.folder)}) == 1


def test_nothing_but_anomalies_are_refused_in_one_sentence(
    cases: dict[str, Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [one + two for one in "abcdef" for two in "uvwxyz"]
    odd = [small_log.odd_at(small_log.BEGIN, f"ERROR {word}disk: the {word} is lost") for word in words]
    # Far away, and each in another direction: no new kind of row.
    np.save(tmp_path / "odd.npy", 500 * np.random.default_rng(6).normal(size=(60, 6)))
    data = {"logs": written(tmp_path / "odd.log", "\n".join(odd) + "\n"), "embeddings": tmp_path / "odd.npy"}
    for kind, path in data.items():
        case = cases[kind]
        folder = case.copy(tmp_path / kind)
        capsys.readouterr()
        assert run(["learn", str(folder), str(path)]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("jamais: refused, nothing was changed: ")
        assert "that looked abnormal before (share) 1, at most 0.95" in last
        assert holds(case, folder, {1: case.seen(case.folder)}) == 1
        with pytest.raises(RefusedUpdateError):
            jamais.load(folder).learn(path)
        assert run(["learn", str(folder), str(path), "--trust", "unknown"]) == 0, "they may wait in quarantine"


def test_one_row_is_an_update_like_any_other(cases: dict[str, Case], tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", clusters(1, 8))
    data = {"logs": written(tmp_path / "one.log", small_log.normal(1)[0] + "\n"), "embeddings": tmp_path / "one.npy"}
    for kind, path in data.items():
        for trust in ("normal", "unknown"):
            folder = cases[kind].copy(tmp_path / f"{kind} {trust}")
            assert run(["learn", str(folder), str(path), "--trust", trust]) == 0
            assert jamais.load(folder).version == 2
            assert VersionStore(folder).verify() == []


@pytest.mark.slow
def test_a_million_rows_are_one_update(cases: dict[str, Case], tmp_path: Path) -> None:
    lines = small_log.normal(20_000, seed=4)
    path = tmp_path / "million.log"
    with path.open("w") as file:
        for _ in range(1_000_000 // len(lines) + 1):
            file.write("\n".join(lines) + "\n")
    folder = cases["logs"].copy(tmp_path / "logs")
    assert run(["learn", str(folder), str(path)]) == 0
    watcher = jamais.load(folder)
    assert watcher.score(small_log.normal(100, seed=5))["abnormal"].mean() < 0.02  # type: ignore[operator]
    np.save(tmp_path / "million.npy", clusters(1_000_000, 9))
    folder = cases["embeddings"].copy(tmp_path / "embeddings")
    assert run(["learn", str(folder), str(tmp_path / "million.npy"), "--trust", "unknown"]) == 0
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 50e6

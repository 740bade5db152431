"""Do history, promote, rollback and gc do what a store can do, for watchers and for any other?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_inspect import training

from jamais.persistence import VersionStore


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five versions of training, the fourth is the best; not to be changed."""
    store = VersionStore(tmp_path_factory.mktemp("stores") / "app")
    for number in range(1, 6):
        store.commit(
            training(number),
            reason=f"epoch {number}",
            kind="training",
            metrics={"step": number * 10, "loss": abs(number - 4) / 8 + 0.5},
            parent=number - 1 or None,
            refs=("best",) if number == 4 else (),
        )
    return store.folder


@pytest.fixture
def store(made_once: Path, tmp_path: Path) -> VersionStore:
    return VersionStore(shutil.copytree(made_once, tmp_path / "app"))


def numbers(store: VersionStore) -> list[int]:
    return [one.number for one in store.history()]


def test_history_tells_names_and_where_a_version_came_from(store: VersionStore, typed: Any) -> None:
    typed("promote", store.folder, "2", "--as", "production")
    typed("rollback", store.folder, "best")
    store.unname("production")
    store.gc()
    lines = typed("history", store.folder).out.splitlines()
    assert [line[:5].strip("* ") for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert lines[-1].startswith("*")
    assert lines[3].endswith("epoch 4  step 40  loss 0.5  [best]")
    assert "from version" not in "".join(lines)
    (store.folder / "versions" / "0006.json").unlink()
    (store.folder / "versions" / "0003.json").unlink()
    store.commit(training(9), reason="on", kind="training", parent=5)
    typed("gc", store.folder, "--keep-latest", "1")
    lines = typed("history", store.folder).out.splitlines()
    assert [line.split()[0] for line in lines] == ["4", "*"]
    assert lines[0].endswith("[best]")
    assert lines[1].endswith("on")


def test_a_parent_that_is_not_the_one_before_is_told(store: VersionStore, typed: Any) -> None:
    path = store.folder / "versions" / "0005.json"
    kept = path.read_bytes()
    path.write_bytes(kept[:-10])
    assert "DAMAGED" in typed("history", store.folder).out
    store.commit(training(7), reason="beside", kind="training", parent=4)  # the newest that is whole
    path.write_bytes(kept)
    lines = typed("history", store.folder).out.splitlines()
    assert lines[-1].endswith("beside  (from version 4)")
    assert "from version" not in "".join(lines[:-1])


def test_the_log_tells_every_move_of_a_name(store: VersionStore, typed: Any) -> None:
    assert typed("promote", store.folder, "1", "--as", "production", "--why", "first").out == (
        "production means version 1; it is new\n"
    )
    assert typed("promote", store.folder, "best", "--as", "production").out == (
        "production means version 4; before: version 1\n"
    )
    assert typed("promote", store.folder, "--as", "production").out.startswith("production means version 5")
    said = typed("promote", store.folder, "--as", "production", "--remove", "--why", "done\x1b[2J")
    assert said.out == "production names no version any more; before: version 5\n"
    lines = typed("history", store.folder, "--log").out.splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        "best: none → 4",
        "production: none → 1",
        "production: 1 → 4",
        "production: 4 → 5",
        "production: 5 → none",
    ]
    assert lines[1].endswith("  first")
    assert lines[-1].endswith("done\\x1b[2J")
    told = [json.loads(line) for line in typed("history", store.folder, "--log", "--json").out.splitlines()]
    assert [one["version"] for one in told] == [4, 1, 4, 5, None]
    assert all(one["who"] and one["time"] for one in told)


def test_a_damaged_version_gets_no_name(store: VersionStore, typed: Any) -> None:
    for path in (store.folder / "objects").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    said = typed("promote", store.folder, "2", "--as", "production")
    assert said.code == 2
    assert "is damaged, production was not moved" in said.err
    assert "production" not in store.refs()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["promote", "--as", "last"], "cannot name a version"),
        (["promote", "--as", "3"], "cannot name a version"),
        (["promote", "--as", "../x"], "cannot name a version"),
        (["promote", "9", "--as", "a"], "no version 9"),
        (["promote", "nobody", "--as", "a"], "no version called 'nobody'"),
        (["promote", "--as", "a", "--remove"], "no version called 'a'"),
        (["rollback", "9"], "no version 9"),
        (["rollback", "nobody"], "no version called 'nobody'"),
        (["rollback", "1", "--only", "nothing/here"], "no part 'nothing/here'"),
    ],
)
def test_mistakes_are_told_and_change_nothing(arguments: list[str], told: str, store: VersionStore, typed: Any) -> None:
    command, *rest = arguments
    said = typed(command, store.folder, *rest)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert said.err.count("\n") == 1
    assert (numbers(store), store.refs()) == ([1, 2, 3, 4, 5], {"best": 4, "last": 5})


def test_any_store_rolls_back_as_a_whole_and_in_parts(store: VersionStore, typed: Any) -> None:
    told = json.loads(typed("rollback", store.folder, "best", "--json").out)
    assert told == {"version": 6, "content_of": 4}
    tree, info = store.load()
    assert tree["optimizer"]["step"] == 4
    assert (info.parent, info.reason, info.metrics["loss"]) == (5, "rollback to version 4", 0.5)
    said = typed("rollback", store.folder, "1", "--only", "optimizer")
    assert said.out == "version 7 now holds the optimizer of version 1\n"
    tree, info = store.load()
    assert (tree["optimizer"]["step"], info.metrics) == (1, {})
    assert tree["model"]["b/c"].tobytes() == training(4)["model"]["b/c"].tobytes()


def test_a_rollback_past_damage_tells_what_it_stands_on(store: VersionStore, typed: Any) -> None:
    path = store.folder / "versions" / "0005.json"
    path.write_bytes(path.read_bytes()[:-10])
    said = typed("rollback", store.folder, "2", "--only", "optimizer")
    assert said.code == 0
    assert "version 5 is damaged" in said.err
    tree, _ = store.load()
    assert tree["model"]["b/c"].tobytes() == training(4)["model"]["b/c"].tobytes()
    assert typed("rollback", store.folder, "2").code == 0


def test_one_part_of_a_watcher_goes_back(watcher: Path, today: Path, typed: Any) -> None:
    assert typed("learn", watcher, today).code == 0
    said = typed("rollback", watcher, "1", "--only", "calibration")
    assert said.out == "version 3 now holds the calibration of version 1\n"
    told = json.loads(typed("diff", watcher, "2", "3", "--json").out)
    assert {one["path"].split("/")[1] for one in told["arrays"]} == {"calibration"}
    assert "/calibration" in json.loads(typed("diff", watcher, "1", "3", "--json").out)["same"]


def test_gc_tells_what_would_go_and_why_the_others_stay(store: VersionStore, typed: Any) -> None:
    rules = ["--keep-latest", "1", "--keep-best", "loss:max:2"]
    said = typed("gc", store.folder, *rules, "--dry-run")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "    1  stays  best 0.875"
    assert lines[1] == "    2  stays  best 0.75"
    assert lines[2] == "    3  goes"
    assert lines[3] == "    4  stays  best"
    assert lines[4].startswith("    5  stays  ")
    assert lines[5].startswith("1 version and ")
    assert lines[5].endswith("nothing was changed")
    assert numbers(store) == [1, 2, 3, 4, 5]
    planned = json.loads(typed("gc", store.folder, *rules, "--dry-run", "--json").out)
    done = json.loads(typed("gc", store.folder, *rules, "--json").out)
    assert {**planned, "dry_run": False} == done
    assert (done["versions"], sorted(done["kept"])) == ([3], ["1", "2", "4", "5"])
    assert numbers(store) == [1, 2, 4, 5]
    assert typed("verify", store.folder, "--full").code == 0


def test_gc_without_a_rule_removes_only_what_no_version_needs(store: VersionStore, typed: Any) -> None:
    (store.folder / "versions" / "0005.json").unlink()
    before = {path.name for path in (store.folder / "objects").iterdir()}
    said = typed("gc", store.folder)
    assert said.out.splitlines()[0] == "no rule was given: all 4 versions stay"
    assert numbers(store) == [1, 2, 3, 4]
    assert {path.name for path in (store.folder / "objects").iterdir()} < before
    assert typed("fsck", store.folder) == (0, "everything is in order\n", "")


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (["--keep-latest", "2"], [4, 5]),
        (["--keep-best", "loss:min"], [4, 5]),
        (["--keep-best", "loss:max:1"], [1, 4, 5]),
        (["--keep-every-steps", "20"], [2, 4, 5]),
        (["--keep-every", "1000d"], [4, 5]),
        (["--keep-latest", "1", "--min-age", "1h"], [1, 2, 3, 4, 5]),
        (["--min-age", "1h"], [1, 2, 3, 4, 5]),
    ],
)
def test_each_rule_keeps_what_it_says(rules: list[str], left: list[int], store: VersionStore, typed: Any) -> None:
    assert typed("gc", store.folder, *rules).code == 0
    assert numbers(store) == left  # 4 has a name, 5 is the newest


def test_figures_that_are_no_numbers_are_text_in_json(tmp_path: Path, typed: Any) -> None:
    store = VersionStore(tmp_path / "app")
    store.commit(training(1), reason="", kind="training", metrics={"loss": float("nan")}, parent=None)
    told = json.loads(typed("history", store.folder, "--json").out, parse_constant=lambda name: pytest.fail(name))
    assert told["metrics"] == {"loss": "nan"}

"""Do names of versions move as asked, tell their history, and protect what they name?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jamais.errors import CorruptStateError, InputError
from jamais.persistence import VersionStore


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    made = VersionStore(tmp_path / "app")
    for number in (1, 2, 3):
        made.commit(
            {"n": number, "w": np.full(9, number)}, reason=f"step {number}", kind="any", parent=number - 1 or None
        )
    return made


def test_a_name_moves_and_the_log_tells_who_moved_it_when_and_why(store: VersionStore) -> None:
    assert store.refs() == {"last": 3}
    first = store.promote("production", 1, reason="quiet for a week")
    store.promote("production", 3, reason="knows the new release")
    assert store.refs() == {"production": 3, "last": 3}
    assert [(move.before, move.version, move.why) for move in store.log()] == [
        (None, 1, "quiet for a week"),
        (1, 3, "knows the new release"),
    ]
    assert first.time.endswith("Z")
    assert "@" in first.who
    assert store.load("production")[0]["n"] == 3
    assert store.info("production").refs == ("production",)
    assert [info.refs for info in store.history()] == [(), (), ("production",)]


def test_a_commit_takes_names_over(store: VersionStore) -> None:
    store.promote("best", 2)
    store.commit({"n": 4}, reason="better", kind="any", parent=3, refs=["best", "stable"])
    assert store.refs() == {"best": 4, "stable": 4, "last": 4}
    assert store.log()[-1].why == "better"


def test_a_name_is_taken_away_and_the_log_keeps_that(store: VersionStore) -> None:
    store.promote("pin", 1)
    assert store.unname("pin", reason="no longer needed").version is None
    assert store.refs() == {"last": 3}
    assert [(move.name, move.version) for move in store.log()] == [("pin", 1), ("pin", None)]
    with pytest.raises(InputError, match="no version called 'pin'; it has last"):
        store.unname("pin")
    store.promote("pin", 2)
    assert store.refs() == {"pin": 2, "last": 3}


@pytest.mark.parametrize("name", ["last", "log", "", "7", "a/b", "../x", "a b", "-x", ".x", "x" * 80, "ü", "a\n"])
def test_some_words_cannot_be_names(store: VersionStore, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a version"):
        store.promote(name, 1)
    with pytest.raises(InputError, match="cannot name a version"):
        store.commit({}, reason="", kind="any", parent=3, refs=[name])
    assert store.current == 3
    assert store.refs() == {"last": 3}


def test_a_damaged_version_gets_no_name(store: VersionStore) -> None:
    store.promote("production", 1)
    for path in (store.folder / "objects").iterdir():
        data = bytearray(path.read_bytes())
        data[20] ^= 1  # in the header of a safetensors file, which loading does not need: only sha256 tells
        path.write_bytes(data)
    with pytest.raises(CorruptStateError, match="version 3 is damaged, production was not moved"):
        store.promote("production", 3)
    assert store.refs()["production"] == 1


def test_unknown_versions_and_names_are_told(store: VersionStore) -> None:
    with pytest.raises(InputError, match="no version 9; the newest are 1, 2, 3"):
        store.promote("production", 9)
    with pytest.raises(InputError, match="no version called 'best'; it has last"):
        store.load("best")
    assert store.load("last")[0]["n"] == 3
    assert store.load("2")[0]["n"] == 2


def test_a_line_torn_by_a_power_cut_is_left_out_and_the_next_move_mends_the_log(store: VersionStore) -> None:
    store.promote("best", 1)
    store.promote("best", 2)
    path = store.folder / "refs" / "log.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert [move.version for move in store.log()] == [1]
    store.promote("best", 3)
    assert [(move.before, move.version) for move in store.log()] == [(None, 1), (1, 2), (2, 3)]
    for line in path.read_text().splitlines():
        assert line.startswith("{"), "each move has a line of its own"


DAMAGE = ["", "{}", "[1]", '{"version": 1}', "\xff", json.dumps({"name": "best", "version": "1"})]


@pytest.mark.parametrize("text", DAMAGE)
def test_where_a_name_is_damaged_its_last_move_in_the_log_counts_and_the_next_mends_it(
    store: VersionStore, text: str
) -> None:
    store.promote("best", 1)
    store.promote("production", 2)
    store.promote("best", 3)
    (store.folder / "refs" / "best.json").write_text(text)
    assert store.load("production")[0]["n"] == 2
    assert store.load("best")[0]["n"] == 3
    assert store.promote("best", 1).before == 3
    assert json.loads((store.folder / "refs" / "best.json").read_text())["version"] == 1


def test_a_damaged_name_without_a_log_keeps_nobody_from_saving(store: VersionStore) -> None:
    store.promote("best", 1)
    (store.folder / "refs" / "best.json").write_text("{")
    (store.folder / "refs" / "log.jsonl").unlink()
    assert store.refs() == {"last": 3}
    with pytest.raises(InputError, match="no version called 'best'"):
        store.load("best")
    store.commit({"n": 4}, reason="on", kind="any", parent=3, refs=["best"])
    assert store.refs() == {"best": 4, "last": 4}


def test_a_long_reason_is_cut_in_the_log_and_whole_in_the_version(store: VersionStore) -> None:
    store.commit({"n": 4}, reason="x" * 90_000 + "\udc80", kind="any", parent=3, refs=["best"])
    assert store.load("best")[0]["n"] == 4
    assert len(store.log()[-1].why) < 5_000
    assert len(store.info("best").reason) == 90_001
    store.promote("best", 1, reason="y" * 10_000)
    assert store.refs()["best"] == 1


@pytest.mark.parametrize("metrics", [{"ap": 10**400}, {"ap": "high"}, {"a\udc80": 1.0}, {5: 1.0}, {"ap": None}])
def test_figures_that_are_none_are_refused_before_anything_is_written(store: VersionStore, metrics: Any) -> None:
    with pytest.raises(InputError, match="metrics are numbers by name"):
        store.commit({"n": 4}, reason="", kind="any", parent=3, metrics=metrics)
    assert store.current == 3


def test_a_name_that_was_taken_away_is_logged_by_the_next_move_if_a_kill_prevented_it(store: VersionStore) -> None:
    store.promote("pin", 1)
    store.unname("pin")
    log = store.folder / "refs" / "log.jsonl"
    log.write_text(log.read_text().splitlines()[0] + "\n")
    store.promote("other", 2)
    assert [(move.name, move.version) for move in store.log()] == [("pin", 1), ("pin", None), ("other", 2)]


def test_where_every_version_is_damaged_no_name_is_given(store: VersionStore) -> None:
    for path in (store.folder / "versions").iterdir():
        path.write_text("{")
    with pytest.raises(InputError, match="no version called 'last'; it has none"):
        store.promote("best")


def test_a_name_that_cannot_be_moved_is_a_warning_as_the_version_is_there(
    store: VersionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jamais.persistence.versions.refs.move", refuse)
    with pytest.warns(UserWarning, match="version 4 is saved, but what was to follow failed: .*No space left"):
        assert store.commit({"n": 4}, reason="", kind="any", parent=3, refs=["best"]) == 4
    assert store.load()[0]["n"] == 4

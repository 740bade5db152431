"""Do flags, --set and --config reach the settings, and is what was learned told?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jamais
from jamais.cli import given, told
from jamais.cli.progress import ProgressBar, note
from jamais.settings import as_tree
from jamais.types import Event

SMALL = ("--set", "encoder.steps=0", "--set", "encoder.layers=1", "--set", "encoder.width=32")


@pytest.mark.slow
def test_every_flag_reaches_its_setting(tmp_path: Path, normal: Path, typed: Any) -> None:
    config = tmp_path / "c.toml"
    config.write_text('alarm_rate = 0.5\n[memory]\ncapacity = 77\nn_neighbors = 2\n[parsing]\nkeep = ["err=(x+)"]\n')
    said = typed(
        *("fit", normal, "--out", tmp_path / "w", *SMALL, "--config", config, "--set", "memory.capacity=99"),
        *("--window", "60s", "--alarm-rate", "0.01", "--input", "text", "--timezone", "Europe/Berlin"),
        *("--record-start", "^2026", "--no-severity", "--seed", "3"),
    )
    assert said.code == 0
    watcher = jamais.load(tmp_path / "w")
    settings = as_tree(watcher.settings)
    assert (settings["window"], settings["alarm_rate"], settings["severity"]) == ("60s", 0.01, False)
    assert (settings["memory"]["capacity"], settings["memory"]["n_neighbors"]) == (99, 2)
    assert settings["parsing"]["keep"] == ["err=(x+)"]
    assert settings["reading"]["timezone"] == "Europe/Berlin"
    assert settings["reading"]["record_start"] == "^2026"
    assert watcher.alarm_rate == 0.01


def test_alarms_per_day_set_the_rate(tmp_path: Path, normal: Path, typed: Any) -> None:
    assert typed("fit", normal, "--out", tmp_path / "w", *SMALL, "--alarms-per-day", "1000").code == 0
    # 2,000 lines in 998 seconds.
    assert jamais.load(tmp_path / "w").alarm_rate == pytest.approx(1000 / (2000 * 86400 / 998), rel=0.01)


def test_what_was_learned_is_told(tmp_path: Path, normal: Path, typed: Any) -> None:
    out = typed("fit", normal, "--out", tmp_path / "my w", *SMALL, "--group-by", r"req=(\w+)").out
    for words in ("500 sessions in 2,000 records", "2026-03-01 00:00:00 – 00:16:38 UTC", "false alarms a day"):
        assert words in out
    assert out.splitlines()[-1] == f"next      jamais score '{tmp_path / 'my w'}' today.log"


def test_several_files_are_one_stream(tmp_path: Path, normal: Path, typed: Any) -> None:
    lines = normal.read_text().splitlines(keepends=True)
    for name, part in (("a.log", lines[:900]), ("b.log", lines[900:])):
        (tmp_path / name).write_text("".join(part))
    said = typed("fit", tmp_path / "a.log", tmp_path / "b.log", "--out", tmp_path / "w", *SMALL)
    assert "2,000 records" in said.out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set", "memory.capacity"], "--set wants NAME=VALUE"),
        (["--set", "memory.capasity=5"], "did you mean 'capacity'"),
        (["--set", "memory.capacity=many"], "memory.capacity wants int"),
        (["--alarm-rate", "2"], "alarm rate is a share between 0 and 1"),
        (["--group-by", "("], "no regular expression"),
        (["--group-by", "x", "--window", "5"], "exclude each other"),
        (["--window", "soon"], "no duration"),
        (["--timezone", "Mars/Base"], "IANA name"),
        (["--config", "no.toml"], "cannot read no.toml"),
        (["--method", "magic"], "the method is one of knn, lof"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told(
    flags: list[str], message: str, tmp_path: Path, normal: Path, typed: Any
) -> None:
    said = typed("fit", normal, "--out", tmp_path / "w", *flags)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "w").exists()


def test_a_config_that_is_no_toml_is_told(tmp_path: Path, normal: Path, typed: Any) -> None:
    (tmp_path / "c.toml").write_text("a = \n")
    assert "is no TOML" in typed("fit", normal, "--out", tmp_path / "w", "--config", tmp_path / "c.toml").err


def test_data_is_a_path_and_never_a_line() -> None:
    assert given.data(["a.log"]) == Path("a.log")
    assert given.data(["-"]) == "-"
    assert given.data(["a.log", "-"]) == [Path("a.log"), "-"]


class Terminal:
    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


def test_a_bar_appears_after_a_second_and_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("jamais.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("sys.stderr", Terminal())
    with ProgressBar() as bar:
        bar(Event("reading", 1, 10))
        assert bar._bars is None
        now[0] = 2.0
        bar(Event("reading", 5, 10, {"records": 100}))
        assert bar._bars is not None
        bar(Event("pretraining", 1, 150, {"loss": 4.5}))
        assert [task.description for task in bar._bars.tasks] == ["pretraining"]
        assert bar._bars.tasks[0].fields["amount"] == "1 of 150"
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    with ProgressBar() as quiet:
        now[0] = 9.0
        quiet(Event("reading", 5, 10))
        assert quiet._bars is None


def test_a_note_tells_speed_templates_and_loss() -> None:
    assert note(Event("r", 1, 2, {"records": 3000, "templates": 7}), 2.0) == "3,000 records, 1,500/s, 7 templates"
    assert note(Event("p", 1, 2, {"loss": 1.23456}), 2.0) == "loss 1.235"


def test_facts_are_told_as_people_do() -> None:
    assert told.duration(59) == "59 s"
    assert told.duration(3 * 3600) == "3 h"
    assert told.oddities({"blank": 2, "lines": 9, "over_long": 0}) == "2 blank lines"
    assert told.plain("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert told.size(14_500_000) == "14.5 MB"


def test_two_alarm_rates_are_one_too_many(tmp_path: Path, normal: Path, typed: Any) -> None:
    said = typed("fit", normal, "--out", tmp_path / "w", "--alarm-rate", "0.01", "--alarms-per-day", "5", *SMALL)
    assert said.code == 2
    assert said.err.startswith("jamais: --alarm-rate and --alarms-per-day set the same thing: give one of them")
    assert not (tmp_path / "w").exists()


def test_fitting_into_a_watcher_says_which_version_it_becomes(watcher: Path, normal: Path, typed: Any) -> None:
    said = typed("fit", normal, "--out", watcher, *SMALL)
    assert f"jamais: {watcher} holds 1 version already: this becomes version 2\n" in said.err
    assert f"{watcher}, version 2" in said.out
    assert "holds 2 versions already: this becomes version 3\n" in typed("fit", normal, "--out", watcher, *SMALL).err


def test_fitting_into_a_new_folder_says_nothing_of_versions(tmp_path: Path, normal: Path, typed: Any) -> None:
    (tmp_path / "w").mkdir()
    assert "already" not in typed("fit", normal, "--out", tmp_path / "w", *SMALL).err

"""Do learn, feedback, rollback and evaluate do what the library does, and save it as one version?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import jamais
from jamais import evaluation
from jamais.cli.labels import Labels
from jamais.errors import InputError


def history(watcher: Path) -> list[str]:
    return [version.reason for version in jamais.load(watcher).history()]


def labels(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_learning_makes_the_new_known_and_one_version(watcher: Path, today: Path, typed: Any) -> None:
    assert typed("score", watcher, today, "--fail-on-alarm").code == 1
    said = typed("learn", watcher, today)
    assert said.code == 0
    assert "accepted: 403 records" in said.out
    assert "saved as version 2" in said.out
    assert len(history(watcher)) == 2
    rows = jamais.load(watcher).score(today)
    assert rows.filter(pl.col("why").str.contains("never seen")).is_empty()


def test_a_dry_run_changes_nothing(watcher: Path, today: Path, typed: Any) -> None:
    said = typed("learn", watcher, today, "--dry-run", "--json")
    report = json.loads(said.out)
    assert report["accepted"] is True
    assert report["version"] is None
    assert len(history(watcher)) == 1


def test_learning_the_unknown_keeps_the_abnormal_waiting(watcher: Path, today: Path, typed: Any) -> None:
    typed("learn", watcher, today, "--trust", "unknown")
    assert typed("score", watcher, today, "--fail-on-alarm").code == 1
    waiting = json.loads(typed("inspect", watcher, "--json").out)["quarantine"]
    assert ["vanished" in one["text"] for one in waiting] == [True]
    assert "1 items in quarantine" in typed("inspect", watcher).out


def test_feedback_on_alarm_records_needs_no_log(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    alarms = tmp_path / "alarms.jsonl"
    log = tmp_path / "copy.log"
    log.write_bytes(today.read_bytes())
    typed("score", watcher, log, "--alarms", alarms)
    log.unlink()
    item = next(
        record["item"] for record in map(json.loads, alarms.read_text().splitlines()) if "vanished" in record["why"]
    )
    answers = labels(tmp_path / "a.csv", "item,label", f"{item},0", "nobody,1", "empty,")
    said = typed("feedback", watcher, "--alarms", alarms, "--labels", answers)
    assert said.code == 0
    assert "saved as version 2" in said.out
    left = jamais.load(watcher).score(today).filter(pl.col("abnormal"))
    assert item not in left["item"].to_list()


def test_feedback_by_time_answers_for_alarms_only(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    answers = labels(tmp_path / "a.csv", "start,end,label", "2026-03-01 00:00:00,2026-03-02 00:00:00,1")
    assert typed("feedback", watcher, today, "--labels", answers).code == 0
    known = json.loads(typed("inspect", watcher, "--json").out)["confirmed"]
    wanted = jamais.load(watcher).score(today).filter(pl.col("abnormal"))["item"].n_unique()
    assert len(known["abnormal"]) == wanted
    refused = typed("learn", watcher, today)
    assert refused.code == 2
    assert "confirmed abnormal" in refused.err.splitlines()[-1]
    assert refused.err.splitlines()[-1].startswith("jamais: refused, nothing was changed")
    assert len(history(watcher)) == 2


def flood(tmp_path: Path) -> Path:
    """Nothing that is known, and of 25 kinds."""
    path = tmp_path / "flood.log"
    things, ends = ("tape", "robot", "drawer", "magnet", "reel"), ("lost", "bent", "torn", "wet", "gone")
    lines = [f"{thing}: the {thing} is {end}" for thing in things for end in ends]
    path.write_text("".join(f"2026-03-02 10:00:{k:02d} INFO {line}\n" for k in range(10) for line in lines))
    return path


def test_a_refusal_names_the_limit_that_would_let_it_pass(watcher: Path, tmp_path: Path, typed: Any) -> None:
    new = flood(tmp_path)
    refused = typed("learn", watcher, new)
    assert refused.code == 2
    table, _, last = refused.err.rstrip("\n").rpartition("\n")
    assert "records that looked abnormal before (share)" in table
    assert "BROKEN" in table
    assert last == (
        "jamais: refused, nothing was changed: records that looked abnormal before (share) 1, at most 0.95. "
        "If it is right all the same: --limit looks_abnormal=1"
    )
    assert history(watcher) == history(watcher)[:1]
    told = json.loads(typed("learn", watcher, new, "--dry-run", "--json").out)
    assert [one["setting"] for one in told["checks"] if not one["passed"]] == ["looks_abnormal"]
    assert typed("learn", watcher, new, "--limit", "looks_abnormal=1").code == 0
    assert len(history(watcher)) == 2


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("looks_abnormal", "--limit wants NAME=VALUE, got 'looks_abnormal'"),
        ("=1", "--limit wants NAME=VALUE, got '=1'"),
        ("looks_abnorml=1", "no setting 'guard.looks_abnorml': did you mean 'looks_abnormal'?"),
        ("looks_abnormal=2", "looks_abnormal is a share between 0 and 1"),
        ("looks_abnormal=much", "wants float, got 'much'"),
    ],
)
def test_a_limit_that_makes_no_sense_is_told(limit: str, told: str, watcher: Path, today: Path, typed: Any) -> None:
    said = typed("learn", watcher, today, "--limit", limit)
    assert said.code == 2
    assert told in said.err
    assert said.err.count("\n") == 1
    assert len(history(watcher)) == 1


def test_drift_is_said_when_scoring_and_kept_when_learned(watcher: Path, tmp_path: Path, typed: Any) -> None:
    new = flood(tmp_path)
    said = typed("score", watcher, new, "--json")
    (line,) = said.err.splitlines()
    assert line.startswith("jamais: normal has moved since row 0: ")
    assert line.endswith(
        " (in all 250 of 250); new: 25 templates in 250 rows (100%); jamais learn takes in what you vouch for"
    )
    typed("learn", watcher, new, "--limit", "looks_abnormal=1")
    last = typed("history", watcher).out.splitlines()[-1]
    assert "normal has moved since row 0: " in last
    assert "looks_abnormal 1" in last
    assert "in 10 rows" not in last, "details are in the report"
    assert "jamais: normal has moved" not in typed("score", watcher, new, "--json").err


def test_feedback_can_be_tried_first(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    found = jamais.load(watcher).score(today).filter(pl.col("abnormal"))
    answers = labels(tmp_path / "a.csv", "item,label", f"{found['item'][0]},1")
    tried = typed("feedback", watcher, today, "--labels", answers, "--dry-run")
    assert (tried.code, len(history(watcher))) == (0, 1)
    assert "dry run: nothing was changed" in tried.out
    done = typed("feedback", watcher, today, "--labels", answers)
    assert done.out.partition("\nsaved")[0] == tried.out.partition("\ndry run")[0]


def test_answers_about_nothing_here_are_told(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    said = typed("feedback", watcher, today, "--labels", labels(tmp_path / "a.csv", "row,label", "99999,1"))
    assert said.code == 2
    assert "compare its row" in said.err
    assert len(history(watcher)) == 1


def test_a_rollback_is_a_version_on_top(watcher: Path, today: Path, typed: Any) -> None:
    before = jamais.load(watcher).score(today)
    typed("learn", watcher, today)
    said = typed("rollback", watcher, "1", "--json")
    assert json.loads(said.out) == {"version": 3, "content_of": 1}
    assert jamais.load(watcher).score(today).equals(before)
    assert history(watcher)[-1] == "rollback to version 1"
    assert typed("rollback", watcher, "9").err.startswith(f"jamais: {watcher} has no version 9")


def test_a_stale_change_is_refused_and_rebased(
    watcher: Path, today: Path, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = jamais.Watcher.learn
    raced: list[int] = []

    def racing(self: jamais.Watcher, *data: Any, **more: Any) -> Any:
        report = learn(self, *data, **more)
        if not raced:
            other = jamais.load(watcher)
            other.set_alarm_rate(0.01)
            raced.append(other.save())
        return report

    monkeypatch.setattr(jamais.Watcher, "learn", racing)
    said = typed("learn", watcher, today)
    assert said.code == 2
    assert "--rebase" in said.err
    raced.clear()
    said = typed("learn", watcher, today, "--rebase")
    assert (said.code, raced) == (0, [3])
    assert [reason.split()[0] for reason in history(watcher)] == ["fit", "alarm", "alarm", "learn"]


def test_history_marks_the_version_that_counts(watcher: Path, today: Path, typed: Any) -> None:
    typed("learn", watcher, today)
    lines = typed("history", watcher).out.splitlines()
    assert [line[0] for line in lines] == [" ", "*"]
    told = [json.loads(line) for line in typed("history", watcher, "--json").out.splitlines()]
    assert [one["number"] for one in told] == [1, 2]
    assert told[1]["parent"] == 1


def test_inspect_tells_what_is_known(watcher: Path, today: Path, typed: Any) -> None:
    said = typed("inspect", watcher)
    for told in ("2,000 records", "encoder.steps = 0", "rate 0.001", "calibration rows", "version   1"):
        assert told in said.out
    known = json.loads(typed("inspect", watcher, "--json").out)
    assert known["changed_settings"] == {"encoder.steps": 0, "encoder.layers": 1, "encoder.width": 32}
    assert sum(one["times"] for one in known["templates"]) == 2000
    recipe: Any = jamais.load(watcher).recipe
    assert known["meaning"] == recipe.meaning_of_rate()
    assert len(typed("inspect", watcher, "--templates").out.splitlines()) == len(known["templates"])
    typed("learn", watcher, today)
    newest = typed("inspect", watcher).out.partition("the newest:")[2].splitlines()
    assert newest[1].split(" ×  ")[1] == jamais.load(watcher).recipe.parser.texts[-1]  # type: ignore[attr-defined]
    assert "reading.timezone = UTC" in typed("inspect", watcher, "--settings").out.splitlines()


def test_verify_finds_every_byte_right(watcher: Path, typed: Any) -> None:
    assert typed("verify", watcher) == (0, "1 version: every byte is right\n", "")
    said = json.loads(typed("verify", watcher, "--json").out)
    assert said == {"versions": 1, "whole": 1, "problems": [], "next_step": ""}


def test_the_figures_are_those_of_the_library(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    rows = jamais.load(lines_kept).score(today)
    bad = set(rows.filter(pl.col("template").str.contains("vanished"))["row"])
    truth = labels(tmp_path / "t.csv", "row,label", *(f"{row},{int(row in bad)}" for row in range(300)))
    told = json.loads(typed("evaluate", lines_kept, today, "--labels", truth, "--json").out)
    label = [int(row in bad) for row in range(300)]
    scores = rows["score"].to_numpy()[:300]
    quality = evaluation.alarm_quality(label, rows["abnormal"].to_numpy()[:300])
    assert told["average_precision"] == evaluation.average_precision(label, scores)
    assert (told["precision"], told["recall"], told["f1"]) == (quality.precision, quality.recall, quality.f1)
    assert (told["rows"], told["labelled"], told["abnormal"]) == (403, 300, len(bad & set(range(300))))
    false = sum(rows["abnormal"][row] and row not in bad for row in range(300))
    assert told["false_alarms_per_1000_normal"] == pytest.approx(1000 * false / (300 - sum(label)))
    text = typed("evaluate", lines_kept, today, "--labels", truth).out
    assert "an upper bound" in text
    assert "base rate" in text


def test_the_delay_is_from_the_start_of_a_stretch_to_its_first_alarm(
    lines_kept: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    rows = jamais.load(lines_kept).score(today)
    first = rows.filter(pl.col("template").str.contains("vanished"))["time"][0]
    start = first.replace(second=0)
    spans = labels(
        tmp_path / "t.csv",
        "start,end,label",
        f"{start:%Y-%m-%d %H:%M:%S},{first:%Y-%m-%dT%H:%M:%SZ},1",
        "2026-03-01 23:00:00,2026-03-01T23:30:00,1",
    )
    told = json.loads(typed("evaluate", lines_kept, today, "--labels", spans, "--json").out)
    assert (told["stretches"], told["stretches_found"]) == (2, 1)
    inside = rows.filter(pl.col("abnormal") & pl.col("time").is_between(start, first))["time"].min()
    assert told["delays_seconds"] == [(inside - start).total_seconds(), None]
    assert "1 of 2 abnormal stretches" in typed("evaluate", lines_kept, today, "--labels", spans).out


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["row,label", "1,0"], "no row is labelled abnormal (403 rows, 1 with a label by row)"),
        (["row,label", "1,1"], "all 1 rows with a label are abnormal"),
        (["group,label", "x,1"], "the labels are by group, but these rows have none"),
        (["foo,label", "x,1"], "has columns foo, label: wanted a column label"),
        (["row,label", "1,2"], "a label is 0 or 1, got '2'"),
        (["row,label", "1,0", "1,1"], "answers both 0 and 1 for row '1'"),
        (["start,end,label", "yesterday,today,1"], "answer 1: start and end are times in UTC"),
        (["start,label", "2026-01-01,1"], "wanted a column label"),
    ],
)
def test_labels_that_say_nothing_are_told(
    lines: list[str], told: str, lines_kept: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    said = typed("evaluate", lines_kept, today, "--labels", labels(tmp_path / "t.csv", *lines))
    assert said.code == 2
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_labels_file_that_is_not_there_is_told(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    said = typed("evaluate", lines_kept, today, "--labels", tmp_path / "no.csv")
    assert said.err == f"jamais: no such file: {tmp_path / 'no.csv'}\n"


def test_labels_keep_the_order_of_the_rows(tmp_path: Path) -> None:
    read = Labels.read(str(labels(tmp_path / "t.csv", "Item , label", "b,1", "a, 0", "c,", "b,1")))
    assert read.of(pl.DataFrame({"item": ["a", "b", "c", "b", "d"]})).to_list() == [0, 1, None, 1, None]


def test_an_empty_labels_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.touch()
    with pytest.raises(InputError, match="cannot read labels"):
        Labels.read(str(path))


@pytest.mark.parametrize(
    "arguments",
    [["score", "W", "D"], ["watch", "W", "-"], ["learn", "W", "D", "--dry-run"], ["rollback", "W", "1"]],
)
def test_that_an_older_version_is_used_is_said(
    arguments: list[str], watcher: Path, normal: Path, child: Any, typed: Any
) -> None:
    assert typed("rollback", watcher, "1").code == 0
    manifest = watcher / "versions" / "0002.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"rollback", b"fallback", 1))
    names = {"W": watcher, "D": normal}
    said = child(*[names.get(one, one) for one in arguments]).end()
    assert said.code == 0
    assert "jamais: version 2 is damaged" in said.err
    assert "jamais: version 1 was loaded instead\n" in said.err

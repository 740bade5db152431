"""Does `jamais questions` ask what settles most, and do the answers find their way back?"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import jamais
from jamais.cli import asking
from jamais.cli.labels import Labels
from jamais.errors import InputError


def questions(*whys: str) -> pl.DataFrame:
    n = len(whys)
    return pl.DataFrame(
        {
            "cause": [f"{i:016x}" for i in range(n)],
            "rows": [20 * (n - i) for i in range(n)],
            "alarms": [10 * (n - i) for i in range(n)],
            "settles": [9.96 * (n - i) for i in range(n)],
            "belief": [0.5] * n,
            "answers": [0] * n,
            "row": list(range(n)),
            "item": ["0123456789abcdef"] * n,
            "why": list(whys),
        }
    )


def fill_in(path: Path, *answers: str) -> list[dict[str, str]]:
    """Answer the first questions of a file, in the order in which they stand there."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, answer in zip(rows, answers, strict=False):
        row["label"] = answer
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_a_file_of_answers_is_a_labels_file_with_nothing_answered(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    asking.write_down(questions('line 1 never seen: a, "b"\nc', "x"), "cause", str(path))
    assert path.read_text().splitlines()[0] == "label,cause,about,alarms,settles,belief,why"
    labels = Labels.read(str(path))
    frame = pl.DataFrame({"cause": [f"{i:016x}" for i in (1, 0, 1)]})
    assert labels.of(frame).to_list() == [None, None, None]
    fill_in(path, "", "1")
    assert Labels.read(str(path)).of(frame).to_list() == [1, None, 1]


def test_text_of_a_log_is_no_formula_and_moves_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    nasty = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\x1b[2J gone", "plain"]
    asking.write_down(questions(*nasty), "cause", str(path))
    with path.open(newline="") as file:
        whys = [row["why"] for row in csv.DictReader(file)]
    assert whys == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@SUM(1)", "\\x1b[2J gone", "plain"]
    assert "\x1b" not in "\n".join(asking.lines(questions(*nasty), 10))


def test_answers_that_somebody_gave_are_never_lost(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    asking.write_down(questions("a", "b"), "cause", str(path))
    asking.write_down(questions("c"), "cause", str(path))  # nobody has answered: newer questions may take the place
    fill_in(path, " 0 ")
    kept = path.read_bytes()
    with pytest.raises(InputError, match=r"holds 1 answer: .*feedback"):
        asking.write_down(questions("d"), "cause", str(path))
    other = tmp_path / "table.csv"
    other.write_text("cause,label\nx,1\n")
    with pytest.raises(InputError, match="something else than questions"):
        asking.write_down(questions("d"), "cause", str(other))
    (tmp_path / "binary").write_bytes(b"\xff\x00\x01")
    with pytest.raises(InputError, match="something else than questions"):
        asking.write_down(questions("d"), "cause", str(tmp_path / "binary"))
    assert path.read_bytes() == kept
    assert other.read_text() == "cause,label\nx,1\n"


def test_the_table_tells_the_best_questions_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = list(asking.lines(questions("why " * 40, "b", "c"), 2))
    assert lines[0] == "3 questions about 60 alarms; 2 answers would settle 50 of 60 rows that are uncertain"
    assert lines[3].split() == ["30", "30", "60", "50%", "0", "0" * 16]
    assert " ".join(" ".join(lines[4:-3]).split()).count("why") == 40
    assert max(map(len, lines[1:])) <= 80
    assert lines[-1] == "\n… and 1 more question: --top 3 shows all"
    assert list(asking.lines(questions(), 2)) == ["nothing to ask: no cause is open"]


def test_the_next_step_can_be_typed(tmp_path: Path) -> None:
    told = asking.next_step("my watchers/app", (), "a b.jsonl", "answers 1.csv")
    assert told.endswith("jamais feedback 'my watchers/app' --alarms 'a b.jsonl' --labels 'answers 1.csv'")
    assert "--out answers.csv writes" in asking.next_step("w", ("x.log",), None, None)


@pytest.fixture
def busy(today: Path, tmp_path: Path) -> Path:
    """A day on which two new things came often: nobody can tell from the words whether they are bad."""
    lines = [line for line in today.read_text().splitlines(keepends=True) if "vanished" not in line]
    for at in range(0, 120, 3):
        when = lines[at].split(" INFO")[0].split(" DEBUG")[0]
        lines[at] += f"{when} INFO deploy: rolled out build {at} to web\n"
        lines[at + 1] += f"{when} INFO mirror: snapshot {at} handed over\n" if at < 60 else ""
    path = tmp_path / "busy.log"
    path.write_text("".join(lines))
    return path


def causes_of(said: Any) -> list[str]:
    return [json.loads(line)["cause"] for line in said.out.splitlines()]


def test_answers_find_their_way_back_and_what_was_not_answered_stays_open(
    watcher: Path, busy: Path, tmp_path: Path, typed: Any
) -> None:
    alarms, answers = tmp_path / "alarms.jsonl", tmp_path / "answers.csv"
    typed("score", watcher, busy, "--alarms", alarms)
    asked = typed("questions", watcher, "--alarms", alarms, "--json", "--out", answers)
    assert asked.code == 0
    assert asked.err.endswith(f"jamais feedback {watcher} --alarms {alarms} --labels {answers}\n")
    assert causes_of(asked) == causes_of(typed("questions", watcher, busy, "--json"))
    questions = [json.loads(line) for line in asked.out.splitlines()]
    assert [one["alarms"] for one in questions] == [40, 20], "one question per cause, the larger first"
    nothing = typed("feedback", watcher, "--alarms", alarms, "--labels", answers)
    assert nothing.code == 2
    assert "no answer" in nothing.err
    fill_in(answers, "", "0")
    assert typed("feedback", watcher, "--alarms", alarms, "--labels", answers).code == 0
    again = [json.loads(line) for line in typed("questions", watcher, "--alarms", alarms, "--json").out.splitlines()]
    assert again[0] == questions[0], "what was not answered is asked as before"
    assert all(one["belief"] < questions[1]["belief"] for one in again[1:])
    left = jamais.load(watcher).score(busy).filter(pl.col("abnormal"))
    assert questions[1]["cause"] not in left["cause"].to_list()
    kept = typed("questions", watcher, "--alarms", alarms, "--out", answers)
    assert kept.code == 2
    assert "holds 1 answer" in kept.err


def test_what_waits_in_quarantine_is_asked_about_and_answered_without_any_data(
    watcher: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    answers = tmp_path / "answers.csv"
    assert "nothing to ask" in typed("questions", watcher).out
    typed("learn", watcher, today, "--trust", "unknown")
    asked = typed("questions", watcher, "--out", answers)
    assert "1 question about 3 alarms" in asked.out
    fill_in(answers, "1")
    assert typed("feedback", watcher, "--labels", answers).code == 0
    known = json.loads(typed("inspect", watcher, "--json").out)
    assert ["vanished" in text for text in known["confirmed"]["abnormal"]] == [True]
    stranger = tmp_path / "stranger.csv"
    stranger.write_text("cause,label\nnobody,1\n")
    said = typed("feedback", watcher, "--labels", stranger)
    assert said.code == 2
    assert "what waits in quarantine" in said.err


def test_rows_of_several_runs_in_one_file_are_answered_by_cause(
    watcher: Path, busy: Path, tmp_path: Path, typed: Any
) -> None:
    alarms, answers = tmp_path / "alarms.jsonl", tmp_path / "answers.csv"
    typed("score", watcher, busy, "--alarms", alarms)
    alarms.write_text(alarms.read_text() * 2)
    assert typed("questions", watcher, "--alarms", alarms, "--out", answers).code == 0
    assert Labels.read(str(answers)).key == "cause"
    fill_in(answers, "0")
    assert typed("feedback", watcher, "--alarms", alarms, "--labels", answers).code == 0
    assert answers.read_text().splitlines()[0].startswith("label,cause,about")


def test_a_picture_of_the_questions_is_drawn(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    pytest.importorskip("matplotlib")
    assert typed("questions", watcher, today, "--plot", tmp_path / "q.png").code == 0
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")


def test_data_and_alarms_at_once_are_refused(watcher: Path, today: Path, typed: Any) -> None:
    said = typed("questions", watcher, today, "--alarms", "x.jsonl")
    assert said.code == 2
    assert "one of the two" in said.err

"""Does `jamais questions` ask what settles most, and do the answers find their way back?"""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

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
    assert lines[0] == "2 answers would settle 50 rows; 60 alarms in all"
    assert lines[3].split() == ["30", "30", "60", "50%", "0", "0" * 16]
    assert " ".join(" ".join(lines[4:-3]).split()).count("why") == 40
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "\n… and 1 more question: --top 3 shows all"
    assert list(asking.lines(questions(), 2)) == ["nothing to ask: no cause is open"]


def test_the_next_step_can_be_typed(tmp_path: Path) -> None:
    told = asking.next_step("my watchers/app", (), "a b.jsonl", "answers 1.csv")
    assert told.endswith("jamais feedback 'my watchers/app' --alarms 'a b.jsonl' --labels 'answers 1.csv'")
    assert "--out answers.csv writes" in asking.next_step("w", ("x.log",), None, None)

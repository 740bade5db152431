"""Does `jamais score` write what the library says, whole or not at all?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import jamais
from jamais.cli.alarms import Stories
from jamais.cli.verdicts import sinks


def test_json_lines_are_the_verdicts_of_the_library(lines_kept: Path, today: Path, typed: Any) -> None:
    said = typed("score", lines_kept, today, "--json")
    rows = [json.loads(line) for line in said.out.splitlines()]
    wanted = jamais.load(lines_kept).score(today)
    assert [row["score"] for row in rows] == wanted["score"].to_list()
    assert [row["why"] for row in rows] == wanted["why"].to_list()
    assert rows[0]["time"] == wanted["time"][0].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert said.code == 0


def test_parquet_holds_the_verdicts_bit_for_bit(sessions_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    out = tmp_path / "verdicts.parquet"
    assert typed("score", sessions_kept, today, "--out", out).code == 0
    wanted = jamais.load(sessions_kept).score(today)
    assert pl.read_parquet(out).sort("row").equals(wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts.parquet"]


def test_parquet_of_many_parts_keeps_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_PART_ROWS", 10)
    with (tmp_path / "x.parquet").open("wb") as file:
        sink = sinks.Parquet(file, tmp_path / "x.parquet")
        for start in range(0, 95, 5):
            sink.add(pl.DataFrame({"row": range(start, start + 5)}))
        sink.close()
    assert pl.read_parquet(tmp_path / "x.parquet")["row"].to_list() == list(range(95))
    assert len(list(tmp_path.iterdir())) == 1


def test_csv_has_one_header(sessions_kept: Path, today: Path, typed: Any) -> None:
    text = typed("score", sessions_kept, today, "--format", "csv").out
    assert text.count("p_value") == 1
    read = pl.read_csv(text.encode())
    assert len(read) == len(jamais.load(sessions_kept).score(today))


def test_only_abnormal_and_top_leave_rows_out(lines_kept: Path, today: Path, typed: Any) -> None:
    abnormal = typed("score", lines_kept, today, "--json", "--only-abnormal").out.splitlines()
    wanted = jamais.load(lines_kept).score(today)
    assert len(abnormal) == wanted["abnormal"].sum()
    top = [
        json.loads(line)["score"] for line in typed("score", lines_kept, today, "--json", "--top", "7").out.splitlines()
    ]
    assert top == wanted["score"].sort(descending=True).head(7).to_list()


def test_the_table_folds_alarms_by_cause(lines_kept: Path, today: Path, typed: Any) -> None:
    said = typed("score", lines_kept, today)
    wanted = jamais.load(lines_kept).score(today).filter(pl.col("abnormal"))
    assert f"403 rows, {len(wanted)} alarms of {wanted['cause'].n_unique()} cause" in said.out
    assert "device vanished" in said.out
    assert said.out.count("never seen: write failed") == 1
    assert "3 ×" in said.out


def test_an_alarm_record_needs_nothing_else(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    typed("score", lines_kept, today, "--alarms", tmp_path / "alarms.jsonl")
    records = [json.loads(line) for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
    assert len(records) == jamais.load(lines_kept).score(today)["abnormal"].sum()
    wanted = {"row", "line", "time", "score", "p_value", "why", "item", "cause", "template", "watcher_version"}
    assert all(wanted <= set(record) for record in records)
    assert records[0]["watcher_version"] == 1


def test_fail_on_alarm_exits_with_one(lines_kept: Path, today: Path, normal: Path, tmp_path: Path, typed: Any) -> None:
    assert typed("score", lines_kept, today, "--fail-on-alarm").code == 1
    calm = tmp_path / "calm.log"
    calm.write_text("".join(normal.read_text().splitlines(keepends=True)[:40]))
    assert typed("score", lines_kept, calm, "--fail-on-alarm").code == 0


def test_an_empty_file_is_no_mistake(lines_kept: Path, tmp_path: Path, typed: Any) -> None:
    empty = tmp_path / "empty.log"
    empty.touch()
    said = typed("score", lines_kept, empty)
    assert (said.code, said.out) == (0, "0 rows, no alarms at alarm rate 0.001\n")
    assert f"jamais: nothing was read from {empty}\n" in said.err
    for name in ("e.csv", "e.parquet", "e.jsonl"):
        assert typed("score", lines_kept, empty, "--out", tmp_path / name).code == 0
    assert pl.read_csv(tmp_path / "e.csv").columns == pl.read_parquet(tmp_path / "e.parquet").columns


def test_what_was_survived_is_told_at_the_end(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    odd = tmp_path / "odd.log"
    lines = today.read_bytes().splitlines(keepends=True)
    odd.write_bytes(b"".join([*lines[:50], b"\n\n", b"2026-03-01 00:33:00 INFO web: \xff\xfe\n", *lines[50:]]))
    said = typed("score", lines_kept, odd)
    assert said.code == 0
    assert said.err.startswith("jamais: survived: 1 lines with undecodable bytes, 2 blank lines")


def test_a_file_is_whole_or_not_there(lines_kept: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    out = tmp_path / "verdicts.csv"
    out.write_text("old")
    said = typed("score", lines_kept, today, "--out", out, "--plot", tmp_path / "no" / "p.png")
    assert said.code == 2
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts.csv"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--out", "verdicts.xml"], "cannot tell a format"),
        (["--format", "parquet"], "--out FILE.parquet"),
        (["--out", "no/such/folder/x.csv"], "cannot write no/such/folder/x.csv: No such file or directory"),
        (["--plot", "p.gif"], "a picture is a .png, .svg or .html file"),
    ],
)
def test_a_place_that_cannot_be_written_is_told(
    flags: list[str], told: str, lines_kept: Path, today: Path, typed: Any
) -> None:
    said = typed("score", lines_kept, today, *flags)
    assert said.code == 2
    assert told in said.err
    assert said.err.count("\n") == 1


def test_a_device_is_written_to_and_not_replaced(lines_kept: Path, today: Path, typed: Any) -> None:
    device = Path("/dev/null")
    assert typed("score", lines_kept, today, "--format", "csv", "--out", device).code == 0
    assert device.is_char_device()


def test_text_of_a_log_cannot_steer_the_terminal(lines_kept: Path, tmp_path: Path, typed: Any) -> None:
    log = tmp_path / "evil.log"
    log.write_text("2026-03-01 00:33:20 ERROR web: \x1b[2J\x1b[31mall is well\x07 exploded\n")
    said = typed("score", lines_kept, log)
    assert "exploded" in said.out
    assert not [c for c in said.out if ord(c) < 32 and c != "\n"]


def test_a_million_causes_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamais.cli.alarms.MOST_CAUSES", 100)
    stories = Stories()
    for number in range(1000):
        stories.add({"cause": f"c{number}", "score": float(number % 500), "time": None, "group": None})
    assert len(stories) == 1000
    assert stories.n_alarms == 1000
    worst = stories.worst_first()
    assert len(worst) <= 100
    assert worst[0].worst["score"] == 499.0


def test_sessions_are_told_by_name(sessions_kept: Path, today: Path, typed: Any) -> None:
    said = typed("score", sessions_kept, today)
    assert said.out.startswith("103 sessions, ")

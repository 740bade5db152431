"""Does the shell live a watcher's whole life with rows of numbers?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference.blobs import blob, ordinary, tight

import jamais


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows to fit on, rows of today with an incident, and more of a new kind of normal."""
    folder = tmp_path_factory.mktemp("rows")
    np.save(folder / "normal.npy", ordinary(450, 1))
    np.save(folder / "today.npy", np.concatenate([ordinary(60, 2), tight(5, 12, 2)]))
    np.save(folder / "more.npy", np.concatenate([ordinary(60, 3), blob(6, 120, 3)]))
    return folder


@pytest.fixture
def fitted(place: Path, tmp_path: Path, typed: Any) -> Path:
    said = typed("fit", place / "normal.npy", "--kind", "embeddings", "--out", tmp_path / "w", "--alarm-rate", "0.01")
    assert said.code == 0, said.err
    return tmp_path / "w"


def test_fit_says_what_it_read_and_learned(place: Path, tmp_path: Path, typed: Any) -> None:
    said = typed("fit", place / "normal.npy", "--kind", "embeddings", "--out", tmp_path / "w")
    assert "read      450 rows of width 6 (npy)" in said.out
    assert "learned   3 clusters, 450 rows remembered" in said.out
    assert "one false alarm in 1,000 rows" in said.out
    assert f"jamais score {tmp_path / 'w'} today.npy" in said.out


def test_numbers_want_their_kind_said(place: Path, tmp_path: Path, typed: Any) -> None:
    said = typed("fit", place / "normal.npy", "--out", tmp_path / "w")
    assert (said.code, said.out) == (2, "")
    assert "say kind='embeddings'" in said.err


def test_flags_and_settings_reach_the_watcher(place: Path, tmp_path: Path, typed: Any) -> None:
    flags = ("--method", "lof", "--set", "metric=cosine", "--set", "clusters.n_clusters=4")
    assert typed("fit", place / "normal.npy", "--kind", "embeddings", "--out", tmp_path / "w", *flags).code == 0
    settings = jamais.load(tmp_path / "w").settings
    assert (settings.method, settings.metric, settings.clusters.n_clusters) == ("lof", "cosine", 4)
    wrong = typed("fit", place / "normal.npy", "--kind", "embeddings", "--out", tmp_path / "v", "--window", "60s")
    assert wrong.code == 2
    assert "no setting 'window'" in wrong.err


@pytest.mark.parametrize("suffix", ["npz", "parquet", "csv"])
def test_every_format_is_read(suffix: str, place: Path, tmp_path: Path, typed: Any) -> None:
    rows, path = np.load(place / "normal.npy"), tmp_path / f"normal.{suffix}"
    if suffix == "npz":
        np.savez(path, rows)
    elif suffix == "parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        pl.DataFrame(rows).write_csv(path)
    assert typed("fit", path, "--kind", "embeddings", "--out", tmp_path / "w").code == 0
    assert typed("score", tmp_path / "w", path).code == 0


def test_a_table_folds_alarms_by_cause_and_machines_get_every_row(fitted: Path, place: Path, typed: Any) -> None:
    said = typed("score", fitted, place / "today.npy")
    assert "72 rows" in said.out
    assert "12 ×  score" in said.out
    assert "far from all 3 clusters" in said.out
    assert "no time" not in said.out
    rows = [json.loads(line) for line in typed("score", fitted, place / "today.npy", "--json").out.splitlines()]
    assert len(rows) == 72
    # The rows themselves are in alarm records only.
    assert list(rows[0])[-2:] == ["cluster", "novel"]
    assert typed("score", fitted, place / "today.npy", "--fail-on-alarm").code == 1
    csv = typed("score", fitted, place / "today.npy", "--format", "csv", "--top", "3").out.splitlines()
    assert len(csv) == 4
    assert csv[0].endswith(",cluster,novel")


def test_alarms_asked_answered_and_learned_from_files_alone(
    fitted: Path, place: Path, tmp_path: Path, typed: Any
) -> None:
    alarms, answers = tmp_path / "alarms.jsonl", tmp_path / "answers.csv"
    typed("score", fitted, place / "today.npy", "--alarms", alarms)
    records = [json.loads(line) for line in alarms.read_text().splitlines()]
    incident = [record for record in records if record["row"] >= 60]
    assert len(incident) == 12
    assert all(len(record["vector"]) == 6 for record in records)
    assert typed("questions", fitted, "--alarms", alarms, "--out", answers).code == 0
    cause = incident[0]["cause"]
    answers.write_text(f"cause,label\n{cause},1\n")
    said = typed("feedback", fitted, "--alarms", alarms, "--labels", answers)
    assert said.code == 0, said.err
    assert "rows answered abnormal" in said.out
    assert "like the incident of" in typed("score", fitted, place / "today.npy").out
    # Vouched for by mistake, the incident is not learned.
    refused = typed("learn", fitted, place / "today.npy")
    assert refused.code == 2
    assert "rows confirmed abnormal in this data" in refused.err
    assert jamais.load(fitted).version == 2


def test_answers_by_row_of_the_data_itself(fitted: Path, place: Path, tmp_path: Path, typed: Any) -> None:
    (tmp_path / "labels.csv").write_text("row,label\n3,0\n60,1\n61,1\n5,\n")
    said = typed("feedback", fitted, place / "today.npy", "--labels", tmp_path / "labels.csv", "--json")
    report = json.loads(said.out)
    assert (report["accepted"], report["records"]) == (True, 3)
    (tmp_path / "none.csv").write_text("row,label\n999,0\n")
    nothing = typed("feedback", fitted, place / "today.npy", "--labels", tmp_path / "none.csv")
    assert nothing.code == 2
    assert "no answer in" in nothing.err
    (tmp_path / "timed.csv").write_text("start,end,label\n2026-01-01T00:00:00,2026-01-02T00:00:00,1\n")
    timed = typed("feedback", fitted, place / "today.npy", "--labels", tmp_path / "timed.csv")
    assert (timed.code, "rows have none" in timed.err) == (2, True)


def test_what_waits_is_answered_without_any_file_of_data(fitted: Path, place: Path, tmp_path: Path, typed: Any) -> None:
    assert typed("learn", fitted, place / "today.npy", "--trust", "unknown").code == 0
    asked = [json.loads(line) for line in typed("questions", fitted, "--json").out.splitlines()]
    assert sum(one["alarms"] for one in asked) >= 12
    lines = "".join(f"{one['cause']},1\n" for one in asked)
    (tmp_path / "answers.csv").write_text(f"cause,label\n{lines}")
    said = typed("feedback", fitted, "--labels", tmp_path / "answers.csv")
    assert said.code == 0, said.err
    assert "like the incident of" in typed("score", fitted, place / "today.npy").out


def test_learning_tells_of_born_clusters_and_history_keeps_them(
    fitted: Path, place: Path, tmp_path: Path, typed: Any
) -> None:
    before = typed("score", fitted, place / "more.npy", "--format", "csv").out
    dry = typed("learn", fitted, place / "more.npy", "--dry-run")
    assert "cluster 3 was born of" in dry.out
    assert jamais.load(fitted).version == 1
    said = typed("learn", fitted, place / "more.npy", "--plot", tmp_path / "memory.html")
    assert "cluster 3 was born of" in said.out
    assert (tmp_path / "memory.html").stat().st_size > 1_000
    assert "cluster 3 was born of" in typed("history", fitted).out
    assert typed("score", fitted, place / "more.npy", "--format", "csv").out != before
    assert typed("diff", f"{fitted}@1", f"{fitted}@2").out
    assert typed("rollback", fitted, "1").code == 0
    assert typed("score", fitted, place / "more.npy", "--format", "csv").out == before


def test_figures_against_labels(fitted: Path, place: Path, tmp_path: Path, typed: Any) -> None:
    (tmp_path / "truth.csv").write_text("row,label\n" + "".join(f"{row},{int(row >= 60)}\n" for row in range(72)))
    figures = json.loads(
        typed("evaluate", fitted, place / "today.npy", "--labels", tmp_path / "truth.csv", "--json").out
    )
    assert figures["auroc"] == 1.0
    assert figures["recall"] == 1.0


def test_a_log_is_watched_rows_are_not(fitted: Path, tmp_path: Path, typed: Any) -> None:
    (tmp_path / "app.log").write_text("a line\n")
    said = typed("watch", fitted, tmp_path / "app.log")
    assert said.code == 2
    assert "this is a watcher of embeddings" in said.err


@pytest.mark.parametrize("command", ["score", "learn", "evaluate"])
def test_bad_rows_are_told_in_one_line_and_change_nothing(
    command: str, fitted: Path, place: Path, tmp_path: Path, typed: Any
) -> None:
    rows = np.load(place / "today.npy")
    rows[7, 1] = np.nan
    np.save(tmp_path / "bad.npy", rows)
    (tmp_path / "truth.csv").write_text("row,label\n1,1\n")
    more = ("--labels", tmp_path / "truth.csv") if command == "evaluate" else ()
    said = typed(command, fitted, tmp_path / "bad.npy", *more)
    assert said.code == 2
    assert "row 7 holds NaN" in said.err
    assert said.err.count("\n") == 1
    assert jamais.load(fitted).version == 1

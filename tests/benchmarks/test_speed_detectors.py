from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from benchmarks.speed.detectors.measuring import COLUMNS, Way, compared


def busy(_: object = None) -> int:
    return sum(range(200_000))


def test_every_way_is_measured_beside_the_best_floor() -> None:
    made: list[int] = []
    ways = [
        Way("one", busy),
        Way("twice as long", lambda _: busy() + busy()),
        Way("prepared", lambda n: n, before=lambda: made.append(1) or len(made), note=lambda n: f"round {n}"),
        Way("a tenth", busy, times=10.0, note="tenfold"),
    ]
    rows = {row["method"]: row for row in compared("part", "what", "size", ways, ("one", "twice as long"), rounds=2)}
    assert list(rows) == [way.method for way in ways]
    assert all(tuple(row) == COLUMNS for row in rows.values())
    assert rows["one"]["cpu_x_floor"] == 1.0
    assert 1.3 < rows["twice as long"]["cpu_x_floor"] < 3.0
    assert 6.0 < rows["a tenth"]["cpu_x_floor"] < 15.0
    assert made == [1, 1]
    assert rows["prepared"]["note"] == "round 2"
    assert rows["one"]["floor"] == "one | twice as long"


def test_without_a_floor_there_are_no_ratios() -> None:
    (row,) = compared("part", "what", "size", [Way("one", busy)], rounds=1)
    assert row["cpu_x_floor"] == ""
    assert row["cpu_s"] > 0


def test_rows_are_written_under_the_command_that_made_them(tmp_path: Path) -> None:
    from benchmarks.speed.detectors.__main__ import write

    rows = list(compared("part", "what", "size", [Way("one", busy)], ("one",), rounds=1))
    write(tmp_path / "deep" / "some.csv", rows, "python -m this")
    first, *table = (tmp_path / "deep" / "some.csv").read_text().splitlines()
    assert first == "# made by: python -m this"
    (found,) = csv.DictReader(table)
    assert found["method"] == "one"
    assert found["cpu_x_floor"] == "1"


@pytest.mark.slow
def test_the_searches_that_are_compared_find_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in ("faiss", "pyod", "sklearn"):
        pytest.importorskip(peer, reason="a peer of the benchmark is not installed")
    from benchmarks.speed.detectors import knn

    for make in (knn.random_rows, knn.near_duplicates, knn.clusters):
        memory, queries = make(1_500, 60)
        assert memory.shape == (1_500, knn.WIDTH)
        ours, brute, flat = (way.run(None) for way in [*knn._ours(memory, queries), *knn._peers(memory, queries)[1:]])
        assert np.abs(ours - brute[0][:, -1]).max() < 0.1
        assert np.abs(ours - np.sqrt(flat[0][:, -1])).max() < 0.3  # what float32 products lose at |x| = 50
    monkeypatch.setattr(knn, "QUICK", ((600, 50),))
    rows = list(knn.rows(quick=True, rounds=1))
    assert {row["what"] for row in rows} >= {"score 50 rows", "score 1 row", "make the search"}
    assert all(tuple(row) == COLUMNS and row["cpu_s"] > 0 for row in rows)

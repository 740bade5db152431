"""Does the benchmark of embeddings measure what it says?"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.speed import embeddings


def test_the_stream_is_unit_rows_in_clusters(tmp_path: Path) -> None:
    embeddings.write_stream(tmp_path / "rows.npy", 500, 64, seed=0)
    rows = np.load(tmp_path / "rows.npy")
    assert (rows.shape, rows.dtype) == ((500, 64), np.float32)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    likeness = rows @ rows.T
    assert 20 < (likeness > 0.3).sum(axis=1).mean() < 30  # 500 rows in 20 clusters


@pytest.mark.slow
def test_one_run_writes_one_row_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "speed.csv"
    arguments = ["speed", "--rows", "500", "--fitted", "500", "--width", "8", "--cores", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--out", str(out)])
    embeddings.main()
    (row,) = list(csv.DictReader(out.read_text().splitlines()))
    assert (row["method"], row["width"], row["cores"]) == ("knn", "8", "1")
    assert float(row["learn_cpu_s"]) > 0
    assert int(row["rows"]) == 500

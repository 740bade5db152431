from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.quality import calibration as benchmark


def figure(share: float, error: float = 0.0005) -> benchmark.Figure:
    return benchmark.Figure("knn", "unbounded", "after fit", 0.01, 10, share, error)


def test_a_share_is_judged_by_its_sampling_error() -> None:
    assert figure(0.0100).verdict == "ok"
    assert figure(0.0112).verdict == "ok"
    assert figure(0.0120).verdict == "TOO OFTEN"
    assert figure(0.0070).verdict == "ok"
    assert figure(0.0060).verdict == "too seldom"


def test_a_world_is_drawn_from_its_seed_and_goes_on() -> None:
    one, other = benchmark.world(3), benchmark.world(3)
    first = one(50)
    assert first.shape == (50, benchmark.WIDTH)
    assert first.dtype == np.float32
    assert first.tobytes() == other(50).tobytes()
    assert one(50).tobytes() != first.tobytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "N_FITTED", 99)
    monkeypatch.setattr(benchmark, "N_ROUNDS", 4)
    monkeypatch.setattr(benchmark, "N_PER_ROUND", 25)
    monkeypatch.setattr(benchmark, "N_UNSEEN", 300)


def test_it_writes_a_row_for_each_detector_memory_moment_and_rate(small: Any, tmp_path: Path) -> None:
    out = tmp_path / "made" / "calibration.csv"
    asked = ["--seeds", "3", "--bounded-seeds", "2", "--only", "knn,cluster", "--out", str(out)]
    benchmark.main([*asked, "--memories", "unbounded,ring 300"])
    command, header, *rows = out.read_text().splitlines()
    assert command.startswith("# made by: python -m benchmarks.quality.calibration --seeds 3")
    assert header.split(",")[:5] == ["detector", "memory", "moment", "rate", "seeds"]
    assert len(rows) == 2 * 2 * 2 * 3
    assert rows[0].startswith("knn,unbounded,after fit,0.05,3,")
    assert rows[-1].startswith("cluster,ring 300,after 4 rounds,0.001,2,")


def test_the_figures_are_near_the_rates_for_nearest_neighbours(small: Any) -> None:
    for one in benchmark.figures("knn", "unbounded", 12):
        if one.rate >= 0.01:
            assert one.share == pytest.approx(one.rate, abs=4 * one.error + 1e-9)


def test_p_values_that_are_too_small_end_with_1(small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_shares", lambda p_values: np.array([0.2, 0.1, 0.1]))
    asked = ["--seeds", "2", "--only", "knn", "--memories", "unbounded", "--out", str(tmp_path / "c.csv")]
    assert benchmark.main(asked) == 1

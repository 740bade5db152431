"""What does the shell show of a series: segments in a table, pictures with the values, what a watcher knows?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest


def metrics(n: int, first: int, seed: int, *, broken: bool = False) -> pl.DataFrame:
    rng, at = np.random.default_rng(seed), np.arange(first, first + n)
    made = {
        "load": 40 + 20 * np.sin(2 * np.pi * at / 200) + rng.normal(size=n),
        "queue": rng.gamma(2, 1, size=n),
        "flag": np.zeros(n),
    }
    if broken:
        made["queue"][300:340] += 40
        made["load"][400:420] = np.nan
    times = pl.Series("time", 1_772_323_200_000_000 + 60_000_000 * at).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"time": times, **made})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    metrics(2400, 0, 1).write_csv(folder / "normal.csv")
    metrics(600, 2400, 2, broken=True).write_csv(folder / "today.csv")
    metrics(600, 2400, 2, broken=True).drop("time").write_csv(folder / "untimed.csv")
    return folder


@pytest.fixture
def fitted(place: Path, tmp_path: Path, typed: Any) -> Path:
    said = typed("fit", place / "normal.csv", "--kind", "series", "--out", tmp_path / "w", "--alarm-rate", "0.002")
    assert said.code == 0, said.err
    return tmp_path / "w"


def test_a_table_tells_segments_with_start_end_duration_score_and_channels(
    fitted: Path, place: Path, typed: Any
) -> None:
    said = typed("score", fitted, place / "today.csv")
    assert said.code == 0, said.err
    head, worst = said.out.splitlines()[0], said.out.split("\n\n")[1]
    assert re.fullmatch(r"600 rows, \d+ abnormal segments? \(\d+ rows?\) at alarm rate 0\.002", head)
    # Row 300 of what began 2,400 minutes after midnight of the first of March.
    assert "2026-03-02 21:00:00 – " in worst
    assert re.search(r"score \d+\.\d  p ~?\S+", worst)
    assert re.search(r"\(rows 300–\d\d\d, \d+ abnormal\)", worst)
    assert "queue" in worst.splitlines()[1]
    assert re.search(r"item \S+  cause \S+", worst)


def test_top_limits_the_segments_and_says_how_many_there_are(fitted: Path, place: Path, typed: Any) -> None:
    few = typed("score", fitted, place / "today.csv", "--top", "1").out
    assert few.count("cause ") == 1
    whole = typed("score", fitted, place / "today.csv").out
    n = whole.count("cause ")
    assert f"--top {n} shows all" in few if n > 1 else "--top" not in few


@pytest.mark.parametrize("data", ["today.csv", "untimed.csv"])
@pytest.mark.parametrize("name", ["p.png", "p.html"])
def test_plot_draws_values_and_segments(
    name: str, data: str, fitted: Path, place: Path, tmp_path: Path, typed: Any
) -> None:
    pytest.importorskip("matplotlib")
    said = typed("score", fitted, place / data, "--plot", tmp_path / name, "--out", tmp_path / "v.csv")
    assert said.code == 0, said.err
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG" if name == "p.png" else b"<!doctype html>")
    if name == "p.html":
        found = re.search(r"<script type=application/json id=data>(.*?)</script>", content.decode(), re.DOTALL)
        assert found is not None
        seen = json.loads(found[1])
        assert seen["channels"][0]["name"] == "queue"
        assert {one["name"] for one in seen["channels"]} == {"load", "queue", "flag"}
        assert seen["timed"] == (data == "today.csv")
        assert len(seen["segments"]) >= 1


def test_hindsight_is_drawn_with_its_own_threshold(fitted: Path, place: Path, tmp_path: Path, typed: Any) -> None:
    thresholds = []
    for more in ((), ("--hindsight",)):
        said = typed("score", fitted, place / "today.csv", "--plot", tmp_path / "p.html", "--json", *more)
        assert said.code == 0, said.err
        found = re.search(r'"threshold":([\d.e+-]+)', (tmp_path / "p.html").read_text())
        assert found is not None
        thresholds.append(float(found[1]))
    assert thresholds[0] != thresholds[1]


def test_a_picture_of_another_kind_is_refused_before_anything_is_scored(
    fitted: Path, place: Path, tmp_path: Path, typed: Any
) -> None:
    said = typed("score", fitted, place / "today.csv", "--plot", tmp_path / "p.gif")
    assert (said.code, said.out) == (2, "")
    assert ".png, .svg or .html" in said.err


def test_inspect_tells_channels_with_their_scale_and_how_banks_are_used(fitted: Path, typed: Any) -> None:
    said = typed("inspect", fitted).out
    assert "channels  3, 1 of them never moved" in said
    assert re.search(r"queue +[12]\.\d+ ± ", said)
    assert re.search(r"flag +0 ± \S+  never moved", said)
    assert re.search(r"memory    \d+ of at most \d+ windows, looked at in \d+ ways:", said)
    assert re.search(r"statistics 16 +\d+ in use, usage entropy 0\.\d\d, the busiest tenth stands for \d+%", said)
    assert "settings  alarm_rate = 0.002" in said
    known = json.loads(typed("inspect", fitted, "--json").out)
    assert [one["name"] for one in known["channels"]] == ["load", "queue", "flag"]
    assert known["channels"][2]["constant"]
    assert known["channels"][0]["mean"] == pytest.approx(40, abs=1)
    bank = known["banks"]["statistics 16"]
    assert 0 < bank["used"] <= bank["windows"] <= known["capacity"]
    assert 0.5 < bank["usage_entropy"] <= 1
    assert known["calibration_rows"] > 0
    assert known["answers"] == known["quarantine"] == []

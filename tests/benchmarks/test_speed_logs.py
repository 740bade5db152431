"""Does the speed benchmark measure the commands it names? A stand-in plays jamais, Drain3 is the real one."""

import csv
import gzip
import sys

import pytest
from benchmarks.speed import child, logs
from test_speed_lines import HDFS, OPENSTACK

STAND_IN = """
import sys
from pathlib import Path
verb, *rest = sys.argv[1:]
here = Path(__file__).parent
if verb == "score":
    file = sys.stdin if rest[1] == "-" else open(rest[1])
    n = sum(1 for _ in file)
else:
    n = sum(1 for _ in open(rest[0]))
with open(here / "calls.txt", "a") as calls:
    print(verb, n, *[r for r in rest if r.startswith("--") or r == "-"], file=calls)
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A tiny data folder, and a package named jamais that only counts its lines."""
    sets = tmp_path / "data" / "logs"
    (sets / "hdfs_2pct_raw").mkdir(parents=True)
    (sets / "loghub_2k").mkdir()
    with gzip.open(sets / "hdfs_2pct_raw" / "hdfs_2pct.log.gz", "wt") as file:
        file.writelines(f"{line}\n" for line in HDFS)
    (sets / "loghub_2k" / "OpenStack_2k.log").write_text("\n".join(OPENSTACK) + "\n")
    package = tmp_path / "stand_in" / "jamais"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("JAMAIS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(logs, "IMPORTS", "import sys")
    monkeypatch.setattr(logs, "FIT_LINES", 50)
    return tmp_path


def run(stage, monkeypatch, *options):
    out = stage / "out.csv"
    monkeypatch.setattr(sys, "argv", ["logs.py", "--out", str(out), "--cache", str(stage), *options])
    logs.main()
    first, *rest = out.read_text().splitlines()
    calls = (stage / "stand_in" / "jamais" / "calls.txt").read_text().splitlines()
    return first, list(csv.DictReader(rest)), calls


@pytest.mark.slow
def test_all_rows_are_measured_and_compared_with_drain_of_the_same_run(stage, monkeypatch, capsys):
    pytest.importorskip("drain3", reason="the peer needs the bench extra")
    first, rows, calls = run(stage, monkeypatch, "--lines", "120", "--drain-lines", "40")
    assert first.startswith("# made by: python -m benchmarks.speed.logs --out")
    assert [row["what"] for row in rows if row["data"] == "uuid"] == [
        "Drain3 add",
        "Drain3 match",
        "fit, ungrouped",
        "score, ungrouped",
        "score, ungrouped, every verdict to parquet",
    ]
    score = next(row for row in rows if row["what"] == "score, by block")
    match = next(row for row in rows if row["what"] == "Drain3 match")
    ratio = float(score["lines_per_s_wall"]) / float(match["lines_per_s_wall"])
    assert float(score["ratio_wall"]) == pytest.approx(ratio, rel=1e-2)
    assert int(score["lines"]) == 120
    assert "fit 50 --kind --out --group-by" in calls
    assert "score 120 --only-abnormal --format --out" in calls
    assert capsys.readouterr().out.count("\n|") == len(rows) + 1


def test_a_piped_run_feeds_all_lines_through_stdin(stage, monkeypatch):
    _, rows, calls = run(stage, monkeypatch, "--lines", "120", "--memory-only", "--pipe")
    assert calls.count("score 120 - --only-abnormal --format --out") == 2
    assert {row["data"] for row in rows} == {"hdfs"}
    assert all(row["ratio_wall"] == "" for row in rows)
    assert all(float(row["peak_mb"]) > 0 for row in rows)


def test_a_child_is_charged_for_its_own_cpu_and_ram():
    program = "import time\nblock = bytearray(150 << 20)\nwhile time.process_time() < 0.3: pass"
    cost = child.measure([sys.executable, "-c", program])
    assert cost.cpu >= 0.3
    assert cost.wall >= 0.3
    assert cost.peak_mb >= 150


def test_a_failed_command_is_never_taken_for_a_fast_one():
    program = "import sys; sys.exit('no such watcher')"
    with pytest.raises(child.CommandFailedError, match="no such watcher"):
        child.measure([sys.executable, "-c", program])

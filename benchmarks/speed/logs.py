"""How many lines a second do fit and score take, how much RAM, and how does that compare with Drain3?

    python -m benchmarks.speed.logs                     # 1,000,000 HDFS + 200,000 uuid lines
    python -m benchmarks.speed.logs --lines 20000000 --memory-only          # does RAM stay where it is?
    python -m benchmarks.speed.logs --lines 20000000 --memory-only --pipe   # the same without a big file
    python -m benchmarks.speed.logs --skip-jamais       # Drain3 alone

Every row is a whole process started from a shell, imports included; `beyond start-up` takes off what the same
command needs for one line. Ratios are to Drain3's `match` (score) or `add_log_message` (fit) in this run.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.speed.child import ROOT, Cost, measure

RESULTS = ROOT / "benchmarks" / "results"
BLOCK = r"(blk_-?\d+)"
DRAIN_LINES = 60_000
FIT_LINES = 100_000
UUID_LINES = 200_000
IMPORTS = "import click, numpy, polars, rich, safetensors, tokenizers, jamais.api, jamais.cli.main"
RAM_NOW = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')))"


@dataclass(frozen=True)
class Row:
    """One measured command. Ratios: lines a second over Drain3's of the same run; RAM in MB."""

    data: str
    what: str
    lines: int
    wall_s: float
    cpu_s: float
    lines_per_s_wall: float
    lines_per_s_cpu: float
    ratio_wall: float | None = None
    ratio_cpu: float | None = None
    ratio_cpu_beyond_startup: float | None = None
    peak_mb: float | None = None
    mb_beyond_imports: float | None = None


def main() -> None:
    options = _options()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.cache) as cache:
        for row in _measured(options, Path(cache)):
            print(_line(row) if rows else f"{_HEAD}\n{_line(row)}", flush=True)
            rows.append(row)
    path = options.out or RESULTS / f"speed-logs-{options.lines}.csv"
    _write(path, rows, shlex.join(["python", "-m", "benchmarks.speed.logs", *sys.argv[1:]]))
    print(f"\n{len(rows)} rows in {path}")


def _measured(options: argparse.Namespace, cache: Path) -> Iterator[Row]:
    kinds = ["hdfs"] if options.memory_only else ["hdfs", "uuid"]
    imports_mb = 0.0 if options.skip_jamais else _imports_mb(cache)
    for kind in kinds:
        n = options.lines if kind == "hdfs" else min(UUID_LINES, options.lines)
        piped = options.pipe and kind == "hdfs"
        log = cache / f"{kind}.log"
        _make(kind, min(n, FIT_LINES) if piped else n, log)
        peer: dict[str, Row] = {}
        if not options.memory_only:
            peer = {row.what: row for row in _drain(kind, log, min(n, options.drain_lines))}
            yield from peer.values()
        if not options.skip_jamais:
            yield from _jamais(Task(kind, n, log, piped, imports_mb, peer), cache, options.memory_only)


@dataclass(frozen=True)
class Task:
    """What jamais is asked to score: `n` lines of a kind, from a file or made while it reads."""

    kind: str
    n: int
    log: Path
    piped: bool
    imports_mb: float
    peer: dict[str, Row]


def _jamais(task: Task, cache: Path, memory_only: bool) -> Iterator[Row]:
    """Fit on the first lines, then score all: lines alone, by block, and with every verdict written."""
    known = _first(task.log, FIT_LINES, cache / f"{task.kind}-fit.log")
    n_known = min(task.n, FIT_LINES)
    ways: dict[str, Sequence[str]] = {"ungrouped": ()}
    if task.kind == "hdfs":
        ways["by block"] = ("--group-by", BLOCK)
    for way, grouping in ways.items():
        home = cache / f"{task.kind}-{way.replace(' ', '-')}"
        cost = measure([*_JAMAIS, "fit", str(known), "--kind", "logs", "--out", str(home), *grouping])
        yield _row(task, f"fit, {way}", n_known, cost, "Drain3 add")
        brief = ["--only-abnormal", "--format", "csv", "--out", str(cache / "verdicts.csv")]
        yield _score(task, f"score, {way}", home, brief, cache)
        if not memory_only:
            full = ["--format", "parquet", "--out", str(cache / "verdicts.parquet")]
            yield _score(task, f"score, {way}, every verdict to parquet", home, full, cache)


_JAMAIS = [sys.executable, "-m", "jamais"]


def _score(task: Task, what: str, home: Path, output: list[str], cache: Path) -> Row:
    one = _first(task.log, 1, cache / "one.log")
    startup = measure([*_JAMAIS, "score", str(home), str(one), *output])
    if not task.piped:
        cost = measure([*_JAMAIS, "score", str(home), str(task.log), *output])
    else:
        with subprocess.Popen(_maker(task.kind, task.n), stdout=subprocess.PIPE, cwd=ROOT) as maker:
            assert maker.stdout is not None
            cost = measure([*_JAMAIS, "score", str(home), "-", *output], stdin=maker.stdout.fileno())
    return _row(task, what, task.n, cost, "Drain3 match", startup)


def _row(task: Task, what: str, n: int, cost: Cost, peer: str, startup: Cost | None = None) -> Row:
    rival = task.peer.get(peer)
    per_cpu = n / cost.cpu
    beyond = n / max(cost.cpu - startup.cpu, 1e-3) if startup else None
    return Row(
        data=task.kind,
        what=what,
        lines=n,
        wall_s=cost.wall,
        cpu_s=cost.cpu,
        lines_per_s_wall=n / cost.wall,
        lines_per_s_cpu=per_cpu,
        ratio_wall=n / cost.wall / rival.lines_per_s_wall if rival else None,
        ratio_cpu=per_cpu / rival.lines_per_s_cpu if rival else None,
        ratio_cpu_beyond_startup=beyond / rival.lines_per_s_cpu if rival and beyond else None,
        peak_mb=cost.peak_mb,
        mb_beyond_imports=cost.peak_mb - task.imports_mb,
    )


def _drain(kind: str, log: Path, n: int) -> Iterator[Row]:
    answer = log.with_suffix(".json")
    measure([sys.executable, "-m", "benchmarks.speed.drain", str(log), str(n)], stdout=answer)
    found = json.loads(answer.read_text())
    for verb in ("add", "match"):
        wall, cpu = found[verb]["wall"], found[verb]["cpu"]
        yield Row(kind, f"Drain3 {verb}", found["lines"], wall, cpu, found["lines"] / wall, found["lines"] / cpu)


def _imports_mb(cache: Path) -> float:
    answer = cache / "imports.txt"
    measure([sys.executable, "-c", f"{IMPORTS}\n{RAM_NOW}"], stdout=answer)
    return int(answer.read_text()) / 1024


def _make(kind: str, n: int, path: Path) -> None:
    measure(_maker(kind, n), stdout=path)


def _maker(kind: str, n: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.speed.lines", kind, str(n)]


def _first(source: Path, n: int, target: Path) -> Path:
    with source.open("rb") as lines, target.open("wb") as file:
        file.writelines(islice(lines, n))
    return target


_HEAD = (
    "| data | what | lines | wall s | CPU s | lines/s wall | lines/s CPU | x Drain3 wall | x CPU "
    "| x CPU beyond start-up | peak MB | MB beyond imports |\n" + "|---" * 12 + "|"
)


def _line(row: Row) -> str:
    shown = [f"{row.data} | {row.what} | {row.lines:,} | {row.wall_s:.2f} | {row.cpu_s:.2f}"]
    shown.append(f"{row.lines_per_s_wall:,.0f} | {row.lines_per_s_cpu:,.0f}")
    for ratio in (row.ratio_wall, row.ratio_cpu, row.ratio_cpu_beyond_startup):
        shown.append("" if ratio is None else f"{ratio:.1f}")
    for ram in (row.peak_mb, row.mb_beyond_imports):
        shown.append("" if ram is None else f"{ram:.0f}")
    return "| " + " | ".join(shown) + " |"


def _write(path: Path, rows: list[Row], command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {command}\n")
        table = csv.DictWriter(file, fieldnames=list(asdict(rows[0])), lineterminator="\n")
        table.writeheader()
        table.writerows({name: _rounded(value) for name, value in asdict(row).items()} for row in rows)


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="HDFS lines to score")
    parser.add_argument("--drain-lines", type=int, default=DRAIN_LINES, help="lines that Drain3 is timed on")
    parser.add_argument("--memory-only", action="store_true", help="HDFS only, without Drain3 and parquet")
    parser.add_argument("--pipe", action="store_true", help="score the HDFS lines from stdin as they are made")
    parser.add_argument("--skip-jamais", action="store_true", help="Drain3 only")
    parser.add_argument("--cache", type=Path, help="where the lines are written (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="CSV file (default: a name in benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""How long do a durable save and a verified load of a training state take, beside the usual ways, in one run?

    python -m benchmarks.speed.persistence                                   # 364 MB, 5 rounds, JSON with 40 MB
    python -m benchmarks.speed.persistence --megabytes 60 --rounds 2         # a quick look

The floor writes, or reads into fresh memory, the same buffers and does nothing else. Everybody flushes files and
folder. Each measurement is a forked child (forked.py); methods take turns, round by round. Ratios are to the floor of
the same run: best by best (what the budgets are about) and median by median. A load is warm (files in the page cache)
or cold (dropped from it), and gives every array in memory of its own. Needs some 6 GB in --cache, on a real disk.
Ends with 1 when a budget is missed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch look

import argparse
import platform
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.speed.persistence import ours, peers, report, rounds
from benchmarks.speed.persistence.forked import Cost
from benchmarks.speed.persistence.report import Row
from benchmarks.speed.persistence.state import Maker

FLOOR = peers.FLOOR.loads[0].name
RESULTS = Path(__file__).resolve().parents[2] / "results"


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # what the peers have to say about their own future
    rows: list[Row] = []
    print(report.HEAD)
    with tempfile.TemporaryDirectory(dir=options.cache) as name:
        parts: tuple[Callable[..., Iterator[Row]], ...] = (_binary, _json)
        for part in parts:
            cache = Path(name, part.__name__)
            cache.mkdir()
            for row in part(options, cache):
                print(report.line(row), flush=True)
                rows.append(row)
    rows, verdicts = report.judged(rows)
    print("\n" + "\n".join(verdicts))
    path = options.out or RESULTS / f"speed-persistence-{options.megabytes:g}.csv"
    report.write(path, rows, _made_by(options))
    print(f"\n{len(rows)} rows in {path}")
    return any(line.startswith("MISSED") for line in verdicts)


def _binary(options: argparse.Namespace, cache: Path) -> Iterator[Row]:
    maker, n = Maker(options.megabytes), options.rounds
    ways = [peers.FLOOR, *ours.ALL, *peers.ALL]
    memory, dcp = ours.MemoryOnly(maker), peers.Async(maker)
    background: list[rounds.Special] = [
        ours.Background(maker, again=False),
        ours.Background(maker, again=True),
        ours.Training(maker),
    ]
    costs = rounds.saves(ways, [memory, *background, dcp], maker, n, cache)
    shares = rounds.sizes(ways, maker, cache) | {memory.name: rounds.written_share(costs, memory.name, maker)}
    blocked = {one.name: [_own_wall(cost) for cost in costs.pop(one.name)] for one in background}
    theirs = {dcp.name: costs.pop(dcp.name)}
    yield from rounds.rows_of("save", costs, costs[peers.FLOOR.name], sizes=shares)
    yield from rounds.rows_of("blocked", blocked, costs[ours.COMMIT.name])
    yield from rounds.rows_of("blocked", theirs, costs[peers.DCP.name])
    for how in ("warm", "cold"):
        costs = rounds.loads(ways, maker, n, cache, cold=how == "cold")
        yield from rounds.rows_of(f"load {how}", costs, costs[FLOOR], result_mb=maker.state().nbytes / 2**20)
    for how in ("warm", "cold"):
        costs = rounds.firsts(ways, maker, n, cache, cold=how == "cold")
        yield from rounds.rows_of(f"first 4 MiB {how}", costs, result_mb=4)


def _json(options: argparse.Namespace, cache: Path) -> Iterator[Row]:
    maker, n = Maker(options.json_megabytes), min(options.rounds, 3)
    ways = [peers.FLOOR, *ours.JSON, peers.ORJSON]
    costs = rounds.saves(ways, [], maker, n, cache)
    yield from rounds.rows_of("JSON save", costs, costs[peers.FLOOR.name], sizes=rounds.sizes(ways, maker, cache))
    costs = rounds.loads(ways, maker, n, cache, cold=False)
    yield from rounds.rows_of("JSON load warm", costs, costs[FLOOR], result_mb=maker.state().nbytes / 2**20)


def _own_wall(cost: Cost) -> Cost:
    return Cost(cost.found.get("wall", cost.wall), cost.cpu, cost.extra_mb, cost.found)


def _made_by(options: argparse.Namespace) -> str:
    command = shlex.join(["python", "-m", "benchmarks.speed.persistence", *sys.argv[1:]])
    versions = ", ".join(f"{name} {version(name)}" for name in ("jamais", "torch", "safetensors", "numpy", "joblib"))
    disk = _file_system(options.cache or Path(tempfile.gettempdir()))
    machine = (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, {disk}"
    )
    return f"{command} ({datetime.now(UTC):%Y-%m-%d}; {versions}; {machine})"


def _file_system(folder: Path) -> str:
    """Name the file system of a folder: on a tmpfs, flushing costs nothing and the figures mean nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    return max((len(place), kind) for place, kind in mounts if place in above)[1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=364, help="size of the state")
    parser.add_argument("--json-megabytes", type=float, default=40, help="size of the state for the JSON rows")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--cache", type=Path, help="where to write (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="CSV file (default: a name in benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

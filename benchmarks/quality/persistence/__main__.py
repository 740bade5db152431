"""What do damage, kill -9, a power cut and malice make of a saved state, beside what others save?

    python -m benchmarks.quality.persistence                       # everything
    python -m benchmarks.quality.persistence --only damage --flips 300 --peer-flips 50

damage   one bit flipped in a file, anywhere and outside of the numbers; files cut, zeroed, mixed from two saves
crash    kill -9 while a save replaces an older one: at every call that changes the disk, and at random moments
power    every state in which a model of a POSIX disk can be after the power has failed at any of these calls
hostile  files made to run code, to take memory or time, or to lie under the right digests

Whose row says "library" is the real library; a "replica" writes in the order read in its source (savers.py). Ends with
1 when jamais did not keep a promise.
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
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.quality.persistence import corpus, crash, damage, hostile, power, report
from benchmarks.quality.persistence.damage import Counts
from benchmarks.quality.persistence.hostile import Met

RESULTS = Path(__file__).resolve().parents[2] / "results"
PARTS = ("damage", "crash", "power", "hostile")


def main() -> int:
    options = _options()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # what the peers have to say about damage
    counts: list[Counts] = []
    met: list[Met] = []
    with tempfile.TemporaryDirectory(dir=options.cache) as name:
        if options.only != "hostile":
            print(report.COUNTS_HEAD)
        for one in _counted(options, Path(name)):
            print(report.counts_line(one), flush=True)
            counts.append(one)
        if options.only in (None, "hostile"):
            print("\n" + report.MET_HEAD)
            for other in hostile.met(corpus.corpus(), Path(name)):
                print(report.met_line(other), flush=True)
                met.append(other)
    promises = report.broken_promises(counts, met)
    print("\n" + "\n".join(promises or ["ok: every promise was kept"]))
    _write(options, counts, met)
    return bool(promises)


def _counted(options: argparse.Namespace, cache: Path) -> Iterator[Counts]:
    if options.only in (None, "damage"):
        yield from damage.all_damage(options.flips, options.peer_flips, cache)
    if options.only in (None, "crash"):
        yield from crash.at_every_call(crash.EVERY_CALL, options.points, cache)
        yield from crash.at_random(crash.AT_RANDOM, options.kills, cache)
    if options.only in (None, "power"):
        yield from power.power_cuts(power.SAVERS, cache)


def _write(options: argparse.Namespace, counts: list[Counts], met: list[Met]) -> None:
    part = f"-{options.only}" if options.only else ""
    folder = options.out or RESULTS
    if counts:
        path = folder / f"quality-persistence{part}.csv"
        report.write(path, [report.counts_cells(one) for one in counts], _made_by())
        print(f"\n{len(counts)} rows in {path}")
    if met:
        path = folder / "quality-persistence-hostile.csv"
        report.write(path, [report.met_cells(one) for one in met], _made_by())
        print(f"\n{len(met)} rows in {path}")


def _made_by() -> str:
    command = shlex.join(["python", "-m", "benchmarks.quality.persistence", *sys.argv[1:]])
    versions = ", ".join(f"{name} {version(name)}" for name in ("jamais", "torch", "safetensors", "numpy", "joblib"))
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{command} ({datetime.now(UTC):%Y-%m-%d}; {versions}; {machine})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--flips", type=int, default=3000, help="flipped bits for each face of jamais, each way")
    parser.add_argument("--peer-flips", type=int, default=300, help="the same for everybody else")
    parser.add_argument("--points", type=int, default=100, help="calls at which a save is killed, at most")
    parser.add_argument("--kills", type=int, default=60, help="kills at random moments")
    parser.add_argument("--cache", type=Path, help="where to write (default: the temporary folder)")
    parser.add_argument("--out", type=Path, help="folder for the CSV files (default: benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

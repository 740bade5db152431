"""Do the alarms on real logs find the labelled faults, and do simpler ideas find them too?

    python -m benchmarks.quality.logs                  # everything: HDFS in two protocols, BGL
    python -m benchmarks.quality.logs --skip-jamais    # the baselines only (15 s)
    python -m benchmarks.quality.logs --only hdfs --protocol operator

Needs the data sets of benchmarks/README.md under $JAMAIS_DATA; OMP_NUM_THREADS=1 makes seconds steady.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

if not __package__:  # started by path: the packages beside it are found from the checkout's root
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.data import data_folder
from benchmarks.quality import datasets
from benchmarks.quality.baselines import all_baselines
from benchmarks.quality.protocol import Run, judge, run_baseline
from benchmarks.quality.report import figures, markdown, write_csv

RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> None:
    options = _options()
    rows = []
    for split in _splits(options):
        runs = [] if options.skip_baselines else _baselines(split)
        runs += [] if options.skip_jamais else _ours(split, options.seed)
        tables = [figures(split, row) for row in judge(runs, split, seed=options.seed)]
        print(markdown(tables), flush=True)
        rows += tables
    if not rows:
        sys.exit("nothing was measured: no split matches --only and --protocol")
    path = options.out or RESULTS / _name(options)
    write_csv(path, rows, shlex.join(["python", "-m", "benchmarks.quality.logs", *sys.argv[1:]]))
    print(f"\n{len(rows)} rows in {path}")


def _splits(options: argparse.Namespace) -> Iterator[datasets.Split]:
    folder = data_folder()
    if options.only != "bgl":
        hdfs = datasets.hdfs_splits(folder / "hdfs_2pct_raw")
        yield from (split for split in hdfs if options.protocol in (None, split.protocol))
    if options.only != "hdfs":
        yield from datasets.bgl_splits(folder / "bgl_windows20")


def _baselines(split: datasets.Split) -> list[Run]:
    return [run_baseline(name, make, split) for name, make in all_baselines(split.texts).items()]


def _ours(split: datasets.Split, seed: int) -> list[Run]:
    from benchmarks.quality.ours import VARIANTS, run_jamais  # baselines alone need neither torch nor a model

    return [run_jamais(name, split, seed=seed) for name in VARIANTS]


def _name(options: argparse.Namespace) -> str:
    parts = ["quality-logs", options.only, options.protocol]
    parts += ["baselines"] if options.skip_jamais else []
    parts += ["jamais"] if options.skip_baselines else []
    return "-".join(part for part in parts if part) + ".csv"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=["hdfs", "bgl"], help="one data set instead of both")
    parser.add_argument("--protocol", choices=["operator", "whole"], help="one HDFS protocol instead of both")
    parser.add_argument("--skip-jamais", action="store_true", help="baselines only")
    parser.add_argument("--skip-baselines", action="store_true", help="jamais only, compared with nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the watcher and of the bootstrap")
    parser.add_argument("--out", type=Path, help="CSV file (default: a name in benchmarks/results/)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""How well do the detectors tell abnormal rows from normal ones, beside PyOD's, in one run?

    python -m benchmarks.quality.detectors --odds DIR        # DIR: notebooks/data of a checkout of yzhao062/pyod
    python -m benchmarks.quality.detectors --quick           # a few sets, one seed, no file

Without --odds (or $JAMAIS_ODDS) only scikit-learn's and generated sets take part. Templates of logs are found in
$JAMAIS_DATA, as for the other benchmarks. Everybody has the default settings and the same standardised rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch look

import argparse
import csv
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.quality.detectors.contest import Figure, figures
from benchmarks.quality.detectors.sets import Split, odds_splits, template_splits
from benchmarks.quality.detectors.tables import by_set, means_table, promises, promises_table

RESULT = Path(__file__).resolve().parents[2] / "results" / "quality-detectors.csv"
_COLUMNS = (
    "table", "data", "method", "whose", "seeds", "n_fit", "width", "n_test", "n_abnormal",
    "auroc", "auroc_lowest_seed", "ap", "cpu_seconds", "note",
)  # fmt: skip
_QUICK = ("glass", "pima", "wine (scikit-learn)", "dense beside sparse", "Apache", "Zookeeper")


def main() -> None:
    options = _options()
    begin = time.process_time()
    found: list[Figure] = []
    for split in _splits(options):
        found += figures(split)
        print(f"\r{split.table}: {split.data}, seed {split.seed}".ljust(70), end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for table in dict.fromkeys(one.split.table for one in found):
        n_sets = len({one.split.data for one in found if one.split.table == table})
        print(f"\n### {table}: means over {n_sets} sets\n\n{means_table(found, table)}")
    print(f"\n### Ensembles and their members\n\n{promises_table(promises(found))}")
    print(f"\n{time.process_time() - begin:.0f} CPU-s")
    path = options.out or (None if options.quick else RESULT)
    if path is not None:
        write(path, found, shlex.join(["python", "-m", "benchmarks.quality.detectors", *sys.argv[1:]]))
        print(f"figures in {path}")


def write(path: Path, found: Sequence[Figure], command: str) -> None:
    """Write a row for each set and method, over its seeds, under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {command}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        for (name, data, method, whose), seeds in by_set(found).items():
            split, areas = seeds[0].split, [one.auroc for one in seeds]
            sizes = [len(seeds), *split.fit.shape, len(split.test), int(split.abnormal.sum())]
            precision, seconds = (np.mean([one.average_precision for one in seeds]), sum(one.seconds for one in seeds))
            figures_ = [f"{np.mean(areas):.4f}", f"{min(areas):.4f}", f"{precision:.4f}", f"{seconds:.2f}"]
            table.writerow([name, data, method, whose, *sizes, *figures_, seeds[0].note])


def _splits(options: argparse.Namespace) -> Iterator[Split]:
    seeds = 1 if options.quick else options.seeds
    for split in chain(odds_splits(options.odds, seeds), template_splits(seeds)):
        if not options.quick or split.data in _QUICK:
            yield split


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    folder = os.environ.get("JAMAIS_ODDS")
    parser.add_argument("--odds", type=Path, default=folder and Path(folder), help="folder of ODDS .mat files")
    parser.add_argument("--seeds", type=int, default=3, help="splits of each set")
    parser.add_argument("--quick", action="store_true", help="a few sets, one seed, no file")
    parser.add_argument("--out", type=Path, help="CSV file (default: a name in benchmarks/results/)")
    options = parser.parse_args()
    if options.odds is not None and not list(options.odds.glob("*.mat")):
        parser.error(f"no .mat files in {options.odds}: clone yzhao062/pyod and give its notebooks/data")
    return options


if __name__ == "__main__":
    main()

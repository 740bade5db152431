"""How fast do the detectors score, fit and learn, beside their peers, in one run?

    python -m benchmarks.speed.detectors                    # all parts
    python -m benchmarks.speed.detectors knn lof --quick    # some parts, small sizes, no file

Each part is a module of this folder with `rows(quick, rounds)`, an iterator of rows made by `measuring.compared`.
One thread for everybody unless OMP_NUM_THREADS says otherwise: CPU-seconds then repeat on a busy machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy, torch and faiss look

import argparse
import csv
import platform
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.speed.detectors.measuring import COLUMNS

PARTS = ("knn", "lof", "iforest")
RESULTS = Path(__file__).resolve().parents[2] / "results"
_PACKAGES = ("jamais", "numpy", "torch", "scikit-learn", "pyod", "faiss-cpu", "river", "numba")
_SHOWN = COLUMNS[1:-2]


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")  # what the peers have to say about their own future
    chosen = options.parts or list(PARTS)
    rows = list(_shown(options, chosen))
    path = options.out
    if path is None and not options.quick:
        path = RESULTS / ("-".join(["speed-detectors", *([] if set(chosen) == set(PARTS) else chosen)]) + ".csv")
    if path is not None:
        write(path, rows, _made_by())
        print(f"\n{len(rows)} rows in {path}")


def _shown(options: argparse.Namespace, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Print each row as soon as it is known."""
    print("| " + " | ".join((*_SHOWN, "note")) + " |\n" + "|---" * (len(_SHOWN) + 1) + "|")
    for part in parts:
        for row in import_module(f"benchmarks.speed.detectors.{part}").rows(options.quick, options.rounds):
            print("| " + " | ".join(_cell(row[name]) for name in (*_SHOWN, "note")) + " |", flush=True)
            yield row


def write(path: Path, rows: Sequence[dict[str, Any]], made_by: str) -> None:
    """Write the rows under a first line that says how they were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by: {made_by}\n")
        table = csv.DictWriter(file, fieldnames=COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({name: _cell(row[name]) for name in COLUMNS} for row in rows)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _made_by() -> str:
    command = shlex.join(["python", "-m", "benchmarks.speed.detectors", *sys.argv[1:]])
    threads = os.environ["OMP_NUM_THREADS"]
    found = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"OMP_NUM_THREADS={threads} {command} ({datetime.now(UTC):%Y-%m-%d}; {found}; {machine})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes; writes no file unless --out is given")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    parser.add_argument("--out", type=Path, help="CSV file (default: a name in benchmarks/results/)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown {', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    main()

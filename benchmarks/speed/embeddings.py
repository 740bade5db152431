"""How many rows a second does a watcher of embeddings learn and score, and does its memory stay where it is?

    python -m benchmarks.speed.embeddings                     # 100,000 rows of width 384
    python -m benchmarks.speed.embeddings --rows 1000000      # does RAM stay where it is?

A stream of unit rows in 20 clusters, with noise of the size of the signal: in so many dimensions all distances are
alike, which is the hardest case for a memory that lets near rows stand for each other. The file is learned and
scored from disk, block by block, in a process of its own, so that its peak of RAM is its own. CPU seconds of all
threads; rows per second at the given number of cores are CPU seconds divided among them, not wall time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "speed-embeddings.csv"
CLUSTERS = 20
FITTED = 20_000
AT_ONCE = 50_000


def main() -> None:
    """Measure, print a table and write it."""
    options = _options()
    if options.child:
        print(json.dumps(_measured(Path(options.child), options.method, options.fitted)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "stream.npy"
        write_stream(data, options.fitted + options.rows, options.width, seed=0)
        for method in options.methods:
            command = [sys.executable, "-m", "benchmarks.speed.embeddings", "--child", str(data), "--method", method]
            command += ["--fitted", str(options.fitted)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.cores)}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
            rows.append(_row(json.loads(done.stdout), method, options))
            print(json.dumps(rows[-1]))
    with options.out.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_stream(path: Path, n: int, width: int, seed: int) -> None:
    """Write `n` unit rows in clusters, never holding them all."""
    import numpy as np

    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(CLUSTERS, width))
    stream = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, width))
    for start in range(0, n, AT_ONCE):
        size = min(AT_ONCE, n - start)
        rows = centres[chance.integers(0, CLUSTERS, size)] + chance.normal(size=(size, width))
        stream[start : start + size] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    stream.flush()


def _measured(path: Path, method: str, fitted: int) -> dict[str, Any]:
    """Fit on the first rows, then learn and score the others from their file."""
    import numpy as np

    import jamais
    from jamais.types import Event

    rows = np.load(path, mmap_mode="r")
    rest = path.with_name("rest.npy")
    if not rest.exists():
        np.save(rest, rows[fitted:])
    cost = {}
    begin = time.process_time()
    watcher = jamais.fit(np.array(rows[:fitted]), kind="embeddings", settings={"method": method})
    cost["fit"] = time.process_time() - begin
    n = len(rows) - fitted
    del rows
    peaks = [_peak()]
    begin = time.process_time()
    marks: list[float] = []

    def listen(event: Event) -> None:
        marks.append(_peak())

    watcher.learn(rest, on_event=listen)
    cost["learn"] = time.process_time() - begin
    begin = time.process_time()
    alarms = sum(int(frame["abnormal"].sum()) for frame in watcher.score_batches(rest))
    cost["score"] = time.process_time() - begin
    peaks += [marks[len(marks) // 2], _peak()]
    remembered = len(watcher.recipe.detector.memory)  # type: ignore[attr-defined]
    return {**cost, "rows": n, "alarms": alarms, "peaks": peaks, "remembered": remembered}


def _peak() -> float:
    """Give the most RAM so far in MB; not getrusage, which counts the process that started this one, too."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1e3


def _row(found: dict[str, Any], method: str, options: argparse.Namespace) -> dict[str, Any]:
    both = found["learn"] + found["score"]
    fitted, half, end = found["peaks"]
    return {
        "method": method,
        "rows": found["rows"],
        "width": options.width,
        "fit_cpu_s": round(found["fit"], 2),
        "learn_cpu_s": round(found["learn"], 2),
        "score_cpu_s": round(found["score"], 2),
        "rows_per_cpu_s": round(found["rows"] / both),
        "rows_per_s_on_cores": round(options.cores * found["rows"] / both),
        "cores": options.cores,
        "peak_mb_after_fit": round(fitted),
        "peak_mb_half_way": round(half),
        "peak_mb": round(end),
        "remembered": found["remembered"],
        "alarms_per_1000": round(1000 * found["alarms"] / found["rows"], 2),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--fitted", type=int, default=FITTED)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=["knn"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--method", default="knn", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

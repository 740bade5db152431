"""How many rows a second do window banks score, what does one streamed row cost, and does RAM stay where it is?

    python -m benchmarks.speed.series                          # banks, peers, streams; 200,000 rows learned and scored
    python -m benchmarks.speed.series --rows 10000000 --channels 2     # does RAM stay where it is?

Series of sines with noise. CPU seconds of one thread. Rows a second of peers are those of scikit-learn's own
`predict` or matrix products on windows that are ready-made: what they cost at the very least.
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
RESULTS = ROOT / "benchmarks" / "results" / "speed-series.csv"
FITTED = 20_000
SCORED = 20_000
STREAMED = 500


def main() -> None:
    """Measure in processes of their own, print and write."""
    options = _options()
    if options.child:
        print(json.dumps(PARTS[options.child](options)))
        return
    rows = []
    for part in options.parts:
        command = [sys.executable, "-m", "benchmarks.speed.series", "--child", part]
        command += ["--rows", str(options.rows), "--channels", str(options.channels)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        for row in json.loads(done.stdout.splitlines()[-1]):
            rows.append(row)
            print(json.dumps(row), flush=True)
    with options.out.open("w", newline="") as file:
        table = csv.DictWriter(file, ["part", "what", "channels", "value", "unit"])
        table.writeheader()
        table.writerows(rows)


def series(n: int, channels: int, seed: int) -> Any:
    """Make rows [n, channels] of ordinary life."""
    import numpy as np

    chance = np.random.default_rng(seed)
    time_of_day = np.arange(n)[:, None] / (20.0 + 10.0 * np.arange(channels))
    return np.sin(2 * np.pi * time_of_day) + 0.2 * chance.normal(size=(n, channels))


def banks(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows a second of the banks alone, beside what peers cost at the least."""
    import numpy as np
    from sklearn.cluster import KMeans

    from jamais.detectors.windows import WindowBanks

    found = []
    for channels in (1, 25, 38):
        known = WindowBanks()
        values = series(FITTED, channels, 0)
        fit = _seconds(lambda known=known, values=values: known.fit(values))
        today = series(SCORED, channels, 1)
        causal = _seconds(lambda known=known, today=today: known.look(today))
        late = _seconds(lambda known=known, today=today: known.look(today, hindsight=True))
        found += [
            _row("banks", "fit", channels, FITTED / fit, "rows/CPU-s"),
            _row("banks", "score, causal", channels, SCORED / causal, "rows/CPU-s"),
            _row("banks", "score, with hindsight", channels, SCORED / late, "rows/CPU-s"),
        ]
        windows = np.lib.stride_tricks.sliding_window_view(today, 40, axis=0).reshape(SCORED - 39, -1)
        means = KMeans(10, n_init=1, max_iter=5, random_state=0).fit(windows[::20])
        peer = _seconds(lambda means=means, windows=windows: means.transform(windows))
        found.append(_row("peer", "KMeansAD, windows of 40, transform alone", channels, SCORED / peer, "rows/CPU-s"))
    return found


def stream(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds of one row of 38 channels, through the banks and through the whole watcher."""
    import numpy as np

    import jamais

    values = series(FITTED, 38, 0)
    watcher = jamais.fit(values, kind="series")
    known, today = watcher.recipe.banks, series(1_000 + STREAMED, 38, 1)  # type: ignore[attr-defined]
    alone, whole, pushed = [], [], watcher.stream()
    pushed.push(today[:1_000])
    for row in range(1_000, 1_000 + STREAMED):
        looked = today[row - known.past : row + 1]
        alone.append(_seconds(lambda looked=looked: known.look(looked, known.past)))
        whole.append(_seconds(lambda row=row: pushed.push(today[row : row + 1])))
    return [
        _row("stream", f"{name}, {what}", 38, 1e3 * float(np.quantile(times, q)), "CPU-ms a row")
        for name, times in (("banks", alone), ("watcher", whole))
        for what, q in (("median", 0.5), ("p99", 0.99))
    ]


def memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    """RAM and pace of a watcher that learns and scores a long file."""
    import numpy as np

    import jamais

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.npy"
        held = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(options.rows, options.channels))
        for start in range(0, options.rows, 100_000):
            n = min(100_000, options.rows - start)
            held[start : start + n] = series(n, options.channels, start)
        held.flush()
        del held
        watcher = jamais.fit(series(FITTED, options.channels, 0), kind="series")
        marks = [_ram()]
        learn = _seconds(lambda: watcher.learn(path, on_event=lambda event: marks.append(_ram())))
        half = marks[len(marks) // 2]
        alarms, score = 0, time.process_time()
        for frame in watcher.score_batches(path):
            alarms += int(frame["abnormal"].sum())
        score = time.process_time() - score
    figures = [
        ("learn", options.rows / learn, "rows/CPU-s"),
        ("score, whole watcher", options.rows / score, "rows/CPU-s"),
        ("RAM after fit", marks[0], "MB"),
        ("RAM half way through learning", half, "MB"),
        ("RAM at the end", _ram(), "MB"),
        ("alarms", 1000 * alarms / options.rows, "of 1,000 rows"),
    ]
    return [_row(f"{options.rows:,} rows", what, options.channels, value, unit) for what, value, unit in figures]


PARTS = {"banks": banks, "stream": stream, "memory": memory}


def _seconds(work: Any) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _ram() -> float:
    """Give the RAM that is this process's own, in MB: pages of a mapped file are the system's."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1e3


def _row(part: str, what: str, channels: int, value: float, unit: str) -> dict[str, Any]:
    return {"part": part, "what": what, "channels": channels, "value": f"{value:.4g}", "unit": unit}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--channels", type=int, default=25, help="of the long file")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

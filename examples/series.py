"""Metrics of one machine: learn six ordinary days, judge three with faults in them, look, and answer one alarm.

Run: python examples/series.py [FOLDER]     needs jamais[plots]; the pictures are left in FOLDER
`python examples/series.py docs/pictures` draws those of the docs (the page beside them is not kept there).
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

import jamais
from jamais.plots.series import draw_series, draw_usage

MINUTES = 1440
FAULTS = {"disk": (700, 760), "leak": (1900, 2300), "errors": (3000, 3004), "outage": (3240, 3280)}


def metrics(n: int, first: int, faults: dict[str, tuple[int, int]], seed: int) -> pl.DataFrame:
    """Make n minutes of seven metrics that follow the day, with faults from row to row."""
    rng, day = np.random.default_rng(seed), 2 * np.pi * np.arange(first, first + n) / MINUTES
    load = 40 + 25 * np.sin(day) + 3 * rng.normal(size=n)
    made = {
        "requests_per_s": 12 * load + 20 * rng.normal(size=n),
        "cpu_percent": load + 2 * rng.normal(size=n),
        "memory_mb": 2000 + 200 * np.sin(day + 0.5) + 8 * rng.normal(size=n),
        "latency_ms": 20 + 0.3 * load + rng.gamma(2, 1, size=n),
        "disk_queue": rng.gamma(1.5, 0.4, size=n),
        "errors_per_s": rng.poisson(0.5, size=n).astype(float),
        "replicas": np.full(n, 3.0),
    }
    for name, (a, b) in faults.items():
        if name == "disk":  # slow, and everybody waits for it
            made["disk_queue"][a:b] += 6
            made["latency_ms"][a:b] += 60
        elif name == "leak":
            made["memory_mb"][a:b] += np.linspace(0, 1500, b - a)
        elif name == "errors":
            made["errors_per_s"][a:b] += rng.poisson(20, size=b - a)
        else:  # nobody gets through, by day
            made["requests_per_s"][a:b] *= 0.02
            made["cpu_percent"][a:b] *= 0.2
    minutes = pl.Series("time", 1_772_323_200_000_000 + 60_000_000 * np.arange(first, first + n))
    return pl.DataFrame({"time": minutes.cast(pl.Datetime("us", "UTC")), **made})


with tempfile.TemporaryDirectory() as scratch:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
    watcher = jamais.fit(metrics(6 * MINUTES, 0, {}, seed=0), kind="series", alarm_rate=0.001)
    print(f"fitted on six days: {watcher.recipe.meaning_of_rate()}")

    today = metrics(4320, 6 * MINUTES, FAULTS, seed=1)
    verdicts = watcher.score(today)
    alarms = verdicts.filter("abnormal")
    for name, (a, b) in FAULTS.items():
        inside = alarms.filter(pl.col("row").is_between(a, b - 1))
        said = f"first alarm {inside['row'][0] - a} min after it began: {inside['why'][0]}" if len(inside) else "missed"
        print(f"{name:<8}{said}")

    # What happened, when, in which channels: one picture, and one page to look round in.
    truth = np.isin(np.arange(len(today)), np.concatenate([np.arange(a, b) for a, b in FAULTS.values()]))
    channels = today.columns[1:]
    values = today.select(channels).to_numpy()
    for suffix in (".png", ".html"):
        path = folder / f"series{suffix}"
        draw_series(path, today["time"], values, channels, verdicts, watcher.recipe.threshold(), truth, rate=0.001)
        print(f"drawn: {path.name}, {path.stat().st_size:,} bytes")
    draw_usage(folder / "series-memory.png", watcher.recipe.banks.usage())

    # A person says of one cause that it is nothing to worry about: windows like those alarm no more.
    cause = alarms.filter(pl.col("row") >= FAULTS["errors"][0])["cause"][0]
    watcher.feedback(verdicts, {cause: 0})
    after = watcher.score(today).filter("abnormal")
    print(f"answered normal: {(alarms['cause'] == cause).sum()} alarms of cause {cause}")
    print(f"alarms: {len(alarms)} before, {len(after)} after")

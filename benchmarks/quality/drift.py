"""How soon is the arrival of new classes noticed, and how often without one?

    python -m benchmarks.quality.drift [--splits N] [--only simulated,digits]

A memory holds a third of the old classes, the next sixth calibrates, the rest is a stream: 400 rows of old life, then
a fifth of the rows are of classes never seen. Every method sees the same novelty (mean distance to the five nearest).
Delays are rows after the arrival until the first alarm; what was raised before it is no find. False alarms are counted
on 10,000 rows drawn from unseen rows of the old classes, each method begun anew after each of its alarms.

Peers: the binomial test on the last 50 rows looked at every 10 (level .001), with the 95 % quantile of the calibration;
ADWIN (river, delta .002) on the novelty. `simulated`: five normal clusters in eight dimensions, new ones elsewhere.
Data sets of $JAMAIS_DATA/embeddings; digits come with scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import data_folder
from benchmarks.quality.report import Figures, write_csv
from jamais.detectors import KNN
from jamais.detectors.calibration import Calibration
from jamais.learning.drift import DriftSettings, ExceedanceTest
from jamais.types import Floats, Ints, Vectors

RESULT = Path(__file__).parents[1] / "results" / "quality-drift.csv"
SETS = ("simulated", "digits", "MNIST PCA-50", "CLINC150 PCA-64")
N_BEFORE, N_AFTER, SHARE_NEW, N_CLEAN = 400, 400, 0.2, 10_000
PAIRS = ((8, 9), (0, 1), (2, 3), (4, 5), (6, 7))
WINDOW, EVERY, LEVEL = 50, 10, 1e-3


@dataclass(frozen=True)
class Stream:
    """Novelty of the calibration rows, of a stream whose new classes arrive after `N_BEFORE`, and of clean rows."""

    calibration: Floats
    mixed: Floats
    clean: Floats


Alarm = tuple[int, int | None]
Method = Callable[[Floats, Floats], Iterator[Alarm]]
"""From novelty of calibration and stream to alarms: the row, and the row since when (None where it is not said)."""


def exceedances(rows_between: int, exact: bool = False) -> Method:
    """Give the test of jamais; `exact`: without allowing for the size of the calibration."""

    def alarms(calibration: Floats, novelty: Floats) -> Iterator[Alarm]:
        settings = DriftSettings(rows_between_false_alarms=rows_between)
        test = ExceedanceTest(settings, None if exact else len(calibration))
        p_values = Calibration.of(calibration).p_value(novelty)[0]
        begin = 0
        while begin < len(p_values) and test.push(p_values[begin:]):
            assert test.noticed is not None
            assert test.since is not None
            yield begin + test.noticed, begin + test.since
            begin += test.noticed + 1
            test.reset()

    return alarms


def binomial(calibration: Floats, novelty: Floats) -> Iterator[Alarm]:
    """Look at the last 50 rows every 10 rows."""
    from scipy.stats import binom

    beyond = novelty > np.quantile(calibration, 0.95)
    at = WINDOW
    while at <= len(novelty):
        if binom.sf(beyond[at - WINDOW : at].sum() - 1, WINDOW, 0.05) < LEVEL:
            yield at - 1, None
            at += WINDOW
        else:
            at += EVERY


def adwin(calibration: Floats, novelty: Floats) -> Iterator[Alarm]:
    """Follow the mean of the novelty."""
    import river.drift

    drift: Any = river.drift

    scale, detector = float(np.quantile(calibration, 0.95)), drift.ADWIN(delta=0.002)
    for row, value in enumerate((novelty / scale).tolist()):
        detector.update(value)
        if detector.drift_detected:
            yield row, None
            detector = drift.ADWIN(delta=0.002)


METHODS: dict[str, Method] = {
    "exceedances, 1 in 10^4 rows (default)": exceedances(DriftSettings().rows_between_false_alarms),
    "exceedances, 1 in 10^6 rows": exceedances(1_000_000),
    "exceedances, 1 in 10^4 rows, p taken as exact": exceedances(10_000, exact=True),
    "binomial, window 50": binomial,
    "ADWIN on novelty": adwin,
}


def streams(name: str, n_splits: int) -> Iterator[Stream]:
    """Cut a data set into old and new classes, several times."""
    if name == "simulated":
        yield from (_simulated(seed) for seed in range(n_splits))
        return
    rows, labels, width = _read(name)
    for split in range(n_splits):
        rng = np.random.default_rng(split)
        n_new = 2 if len(np.unique(labels)) == 10 else 30
        new = PAIRS[split % 5] if n_new == 2 else rng.permutation(np.unique(labels))[:n_new]
        is_new = np.isin(labels, new)
        yield _stream(rows[~is_new], rows[is_new], width, rng)


def _stream(old: Vectors, new: Vectors, width: int | None, rng: Any) -> Stream:
    old, new = old[rng.permutation(len(old))], new[rng.permutation(len(new))]
    third, half = len(old) // 3, len(old) // 2
    if width is not None:
        from sklearn.decomposition import PCA

        flat = PCA(width, random_state=0).fit(old[:half])
        old, new = flat.transform(old).astype(np.float32), flat.transform(new).astype(np.float32)
    memory = KNN(n_neighbors=5, method="mean").fit(old[:third])
    calibration, rest, novel = (memory.decision_function(part) for part in (old[third:half], old[half:], new))
    before, after = rest[:N_BEFORE], rest[N_BEFORE : N_BEFORE + round(N_AFTER * (1 - SHARE_NEW))]
    arrived = np.concatenate([after, novel[: round(len(after) * SHARE_NEW / (1 - SHARE_NEW))]])
    mixed = np.concatenate([before, rng.permutation(arrived)])
    return Stream(calibration, mixed, rng.choice(rest, N_CLEAN))


def _simulated(seed: int) -> Stream:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 4, (7, 8))
    rows = [rng.normal(centre, 1, (2_400, 8)).astype(np.float32) for centre in centres]
    return _stream(np.concatenate(rows[:5]), np.concatenate(rows[5:]), None, rng)


def _read(name: str) -> tuple[Vectors, Ints, int | None]:
    """Give rows, labels and the number of principal components of a data set."""
    if name == "digits":
        from sklearn.datasets import load_digits

        rows, labels = load_digits(return_X_y=True)
        return np.asarray(rows / 16, dtype=np.float32), np.asarray(labels), None
    folder = data_folder().parent / "embeddings"
    if name.startswith("MNIST"):
        with np.load(folder / "mnist70k_uint8.npz") as data:
            rows, labels = data["X_train"][:12_000], data["y_train"][:12_000].astype(np.int64)
        return rows.reshape(len(rows), -1).astype(np.float32) / 255, labels, 50
    with np.load(folder / "clinc150_minilm384_f16.npz") as data:
        rows, labels = data["X"].astype(np.float32), data["y"].astype(np.int64)
    inside = np.bincount(labels, minlength=labels.max() + 1)[labels] < 1_000  # out-of-scope queries are no class
    return rows[inside], labels[inside], 64


def measured(name: str, n_splits: int) -> Iterator[Figures]:
    """Give a row of figures per method."""
    all_streams = list(streams(name, n_splits))
    for method, alarms in METHODS.items():
        delays: list[int] = []
        errors: list[int] = []
        n_false, n_rows = 0, 0
        begun = time.process_time()
        for stream in all_streams:
            found = next((one for one in alarms(stream.calibration, stream.mixed) if one[0] >= N_BEFORE), None)
            if found is not None:
                delays.append(found[0] - N_BEFORE + 1)
                errors += [] if found[1] is None else [abs(found[1] - N_BEFORE)]
            n_false += len(list(alarms(stream.calibration, stream.clean)))
            n_rows += len(stream.mixed) + len(stream.clean)
        seconds = time.process_time() - begun
        yield {
            "data": name,
            "method": method,
            "streams": len(all_streams),
            "calibration_rows": len(all_streams[0].calibration),
            "found": len(delays),
            "median_delay": f"{np.median(delays):.0f}" if delays else "",
            "shortest_delay": min(delays, default=""),
            "longest_delay": max(delays, default=""),
            "median_error_of_since": f"{np.median(errors):.0f}" if errors else "",
            "false_alarms_in_10000": f"{n_false / len(all_streams):.1f}",
            "microseconds_per_row": f"{1e6 * seconds / n_rows:.2f}",
        }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--only", default=",".join(SETS))
    asked = parser.parse_args(arguments)
    rows: list[Figures] = []
    for name in asked.only.split(","):
        for row in measured(name, asked.splits):
            rows.append(row)
            print("  ".join(f"{value}" for value in row.values()), flush=True)
    if asked.only == ",".join(SETS):
        write_csv(RESULT, rows, f"python -m benchmarks.quality.drift --splits {asked.splits}")


if __name__ == "__main__":
    main(sys.argv[1:])

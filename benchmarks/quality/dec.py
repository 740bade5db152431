"""How well does DEC cluster MNIST, and in how many CPU-minutes?

    OMP_NUM_THREADS=1 python -m benchmarks.quality.dec            # one seed, some 20 CPU-minutes
    python -m benchmarks.quality.dec --seeds 3                    # three, one after the other
    python -m benchmarks.quality.dec --rows 10000 --epochs 5      # a look; no file unless --out names one

All 70,000 images, clusters found and judged on the same rows as in the papers; classes are only counted. Beside each
other in one run: k-means on pixels; k-means on the latents of a denoising autoencoder; IDEC from that start; the
normalised cut of a graph of nearest rows alone; IDEC that starts from the cut and averages its targets over the graph
(`neighbours` of `DECConfig`). Both IDECs share one pretraining, which counts for each in `cpu_minutes`.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import data_folder
from jamais.evaluation import ari, clustering_accuracy, nmi
from jamais.learning.dec.batches import Shuffled
from jamais.learning.dec.neighbours import nearest_rows
from jamais.models.dec import DEC, DECConfig
from jamais.models.dec.starting import first_labels
from jamais.types import Event

RESULT = Path(__file__).resolve().parents[1] / "results" / "quality-dec.csv"
DIMS = (784, 500, 500, 2000, 10)
NEIGHBOURS = 5
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One method on one seed; `cpu_minutes` holds all that the method needs."""

    data: str
    method: str
    seed: int
    rows: int
    acc: float
    nmi: float
    ari: float
    cpu_minutes: float


class Clock:
    """CPU time since the last look."""

    def __init__(self) -> None:
        self._at = time.process_time()

    def lap(self) -> float:
        before, self._at = self._at, time.process_time()
        return (self._at - before) / 60


def mnist() -> tuple[NDArray[np.float32], Labels]:
    """Return images [70000, 784] from 0 to 1, and their digits [70000]."""
    with np.load(data_folder().parent / "embeddings" / "mnist70k_uint8.npz") as kept:
        rows = np.concatenate([kept["X_train"], kept["X_test"]]).reshape(-1, 784).astype(np.float32)
        return rows / np.float32(255), np.concatenate([kept["y_train"], kept["y_test"]]).astype(np.int64)


def settings(seed: int, epochs: int, updates: int) -> DECConfig:
    """Say what DEC is made of here; what is not named is the default."""
    return DECConfig(
        dims=DIMS,
        n_clusters=10,
        pretrain_epochs=epochs,
        maxiter=updates,
        update_interval=140,
        optimizer="adam",
        lr=1e-3,
        lr_step=700,
        gamma=1.0,  # IDEC's .1 is for pixels from 0 to 1; numbers of mean square 1 make errors ten times as large
        neighbours=NEIGHBOURS,
        seed=seed,
    )


def run(rows: Any, classes: Labels, config: DECConfig) -> list[Row]:
    """Measure all methods with one seed."""
    made: list[Row] = []

    def add(method: str, labels: Any, minutes: float) -> None:
        figures = [100 * measure(classes, labels) for measure in (clustering_accuracy, nmi, ari)]
        acc, information, rand = figures
        made.append(Row("MNIST", method, config.seed, len(rows), acc, information, rand, minutes))
        print(
            f"{method:<44} ACC {figures[0]:5.1f}  NMI {figures[1]:5.1f}  ARI {figures[2]:5.1f}  {minutes:5.1f} CPU-min"
        )

    clock = Clock()
    add("k-means", first_labels(rows, None, config), clock.lap())
    graph = nearest_rows(rows, config.neighbours)
    add(f"cut of a graph of {config.neighbours} nearest rows", first_labels(rows, graph, config), clock.lap())
    model = DEC(config)
    model.pretrain(Shuffled(rows, config.batch_size, config.seed), on_event=told)
    pretraining = clock.lap()
    plain = copy.deepcopy(model)
    plain.config = dataclasses.replace(config, neighbours=0)
    clock.lap()
    add("AE + k-means", first_labels(plain.encode(rows), None, plain.config), pretraining + clock.lap())
    add("IDEC, start by k-means", plain.cluster(rows, classes, on_event=told), pretraining + clock.lap())
    labels = model.cluster(rows, classes, on_event=told)
    add("IDEC, start and targets by the graph", labels, pretraining + clock.lap())
    return made


def told(event: Event) -> None:
    """Print progress to stderr."""
    values = "  ".join(f"{name} {value:.4f}" for name, value in event.values.items())
    print(f"{event.phase} {event.done}/{event.total}  {values}", file=sys.stderr, flush=True)


def write(path: Path, rows: list[Row], command: str) -> None:
    """Write the rows, first the command that made them."""
    texts: dict[type, Callable[[Any], str]] = {float: "{:.2f}".format}
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# made by: {command}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in dataclasses.fields(Row)])
        for row in rows:
            table.writerow([texts.get(type(value), str)(value) for value in dataclasses.astuple(row)])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--updates", type=int, default=2100)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows, classes = mnist()
    measured: list[Row] = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        some = np.random.default_rng(seed).permutation(len(rows))[: asked.rows]
        measured += run(rows[some], classes[some], settings(seed, asked.epochs, asked.updates))
    out = asked.out or (RESULT if asked.rows >= len(rows) else None)
    if out:
        write(out, measured, shlex.join(["python", "-m", "benchmarks.quality.dec", *sys.argv[1:]]))


if __name__ == "__main__":
    main()

"""What is MEMTO's famous figure worth, and do its memory items stay apart?

    nice -n 10 env OMP_NUM_THREADS=1 python -m benchmarks.quality.memto      # some 6 CPU-minutes
    python -m benchmarks.quality.memto --parts health --out FILE            # the memory alone

`paper`: the protocol of arXiv 2312.02530 on MSL and SMAP: channels standardised by train and put one behind the other,
windows of 100 that do not overlap, threshold = the score of the top 1 % of train and validation points, F1 after point
adjustment (PA). The paper configuration, save that its width is 128 in place of 512 and its epochs are fewer (both are
in the table): that fits the time. Beside its score, in the same run: the score of the model before training; LSD that
is nothing but random numbers; the parts; no model at all. AP and VUS judge the same scores without adjustment.

`health`: the default configuration, the seed's epochs, on MSL and on machines of SMD, judged on normal windows held
back from the middle of train: evenness of use (1 = all items alike) and mean cosine between items. With the paper's
configuration beside it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import data_folder
from jamais.evaluation.ranking import average_precision
from jamais.evaluation.series import find_period, point_adjusted, squared_norm, vus
from jamais.learning import initialize_memory_with_kmeans, phase1_initial_training, phase2_full_training
from jamais.models import MEMTO, MEMTOLoss
from jamais.models.memto import MEMTOConfig
from jamais.models.memto.scoring import Look, looked, window_starts
from jamais.types import Event

RESULT = Path(__file__).resolve().parents[1] / "results" / "quality-memto.csv"
WINDOW, BATCH, TOP, WIDTH, DRAWS = 100, 64, 0.01, 128, 10
EPOCHS = {"msl": 10, "smap": 5}
MACHINES = ("1-2", "2-1")
Values = NDArray[np.float64]
Windows = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One score on one set, or one memory; what was not measured is empty."""

    part: str
    data: str
    what: str
    width: int
    epochs: str
    pa_f1: float | None = None
    ap: float | None = None
    vus_pr: float | None = None
    vus_roc: float | None = None
    usage_entropy: float | None = None
    attention_entropy: float | None = None
    cosine: float | None = None
    cpu_minutes: float | None = None


class Shuffled:
    """Batches of windows, every walk in an order of its own; the same for one seed."""

    def __init__(self, windows: Windows, batch: int, seed: int) -> None:
        self._windows = torch.from_numpy(windows)
        self._batch = batch
        self._chance = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for part in torch.split(torch.randperm(len(self._windows), generator=self._chance), self._batch):
            yield self._windows[part]


def paper(data: str, seed: int) -> list[Row]:
    """Train by the paper's protocol on `msl` or `smap`, and judge its score and what it is compared with."""
    begin = time.process_time()
    train, test, labels = standardised(data)
    config = dataclasses.replace(MEMTOConfig.paper(train.shape[1]), latent_dim=WIDTH, n_heads=8, seed=seed)
    epochs = EPOCHS[data]
    model = MEMTO.from_config(config)
    known, asked = cut(train, WINDOW), cut(test, WINDOW)
    untrained = [at_points(looked(model, windows).score, values) for windows, values in (known, asked)]
    n = int(0.8 * len(known[0]))
    loader, held = Shuffled(known[0][:n], BATCH, seed), Shuffled(known[0][n:], BATCH, seed)
    criterion = MEMTOLoss(config.lambda_entropy, config.lambda_usage)
    plan: dict[str, Any] = {"validation": held, "patience": 10, "on_event": told}
    phase1_initial_training(model, loader, epochs, config.lr, **plan)
    initialize_memory_with_kmeans(model, loader)
    phase2_full_training(model, loader, criterion, epochs, config.lr, **plan)
    looks = [looked(model, windows) for windows, _ in (known, asked)]
    minutes = (time.process_time() - begin) / 60
    rng = np.random.default_rng(seed)

    def points(of: Callable[[Look], Any]) -> list[Values]:
        return [at_points(of(look), values) for look, (_, values) in zip(looks, (known, asked), strict=True)]

    scores: dict[str, list[list[Values]]] = {
        "untrained model: softmax(LSD) x ISD": [untrained],
        "MEMTO: softmax(LSD) x ISD": [points(lambda look: look.score)],
        "softmax(random) x ISD": [points(lambda look: alone(rng, look.isd.shape) * look.isd) for _ in range(DRAWS)],
        "ISD": [points(lambda look: look.isd)],
        "LSD": [points(lambda look: look.lsd)],
        "uniform noise": [[rng.random(len(values)) for values in (train, test)] for _ in range(DRAWS)],
        "squared norm": [[squared_norm(values) for values in (train, test)]],
    }
    period = find_period(np.concatenate([train[:, 0], test[:, 0]]))
    done = f"{model.progress.phase1_epochs}+{model.progress.phase2_epochs}"
    made = [judged(data, name, done, pairs, labels, period) for name, pairs in scores.items()]
    return [dataclasses.replace(row, cpu_minutes=minutes) if row.what.startswith("MEMTO") else row for row in made]


def judged(data: str, what: str, epochs: str, pairs: list[list[Values]], labels: Any, period: int) -> Row:
    """Judge scores [T] of the test rows by the threshold that those of the known rows give; the mean of all pairs."""
    figures = []
    for known, asked in pairs:
        adjusted = point_adjusted(labels, asked > np.quantile(known, 1.0 - TOP), repeats=1)
        volumes = vus(labels, asked, period)
        figures.append((adjusted.f1, average_precision(labels, asked), volumes.pr, volumes.roc))
    pa_f1, ap, pr, roc = (float(figure) for figure in np.mean(figures, axis=0))
    trained = what not in ("uniform noise", "squared norm")
    epochs = ("0+0" if what.startswith("untrained") else epochs) if trained else ""
    print(f"{data:5} {what:38} PA-F1 {pa_f1:.3f}  AP {ap:.3f}  VUS-PR {pr:.3f} -ROC {roc:.3f}", flush=True)
    return Row("paper", data, what, WIDTH if trained else 0, epochs, pa_f1, ap, pr, roc)


def health(data: str, values: list[Values], config: MEMTOConfig, what: str) -> Row:
    """Train in the seed's three phases and measure the memory on normal windows that were held back."""
    begin = time.process_time()
    step = max(10, sum(map(len, values)) // 600)  # some 600 windows of any set
    windows = np.concatenate([cut(part, WINDOW, min(step, WINDOW))[0] for part in values if len(part) >= WINDOW])
    n = len(windows)
    held, gap = windows[int(0.45 * n) : int(0.55 * n)], -(-WINDOW // step)  # no row on both sides
    known = np.concatenate([windows[: int(0.45 * n) - gap], windows[int(0.55 * n) + gap :]])
    model = MEMTO.from_config(config).fit(Shuffled(known, 32, config.seed), on_event=told)
    found = model.health(held)
    figures = found.usage_entropy, found.attention_entropy, found.cosine
    epochs = f"{config.phase1_epochs}+{config.phase2_epochs}"
    print(f"{data:16} {what:8} usage {figures[0]:.2f}  attention {figures[1]:.2f}  cosine {figures[2]:.2f}", flush=True)
    minutes = (time.process_time() - begin) / 60
    return Row("health", data, what, config.latent_dim, epochs, None, None, None, None, *figures, minutes)


def standardised(data: str) -> tuple[Values, Values, NDArray[np.int64]]:
    """Return train and test rows of all channels of a set, one behind the other, and the labels of the test rows."""
    held = [np.load(path) for path in sorted((data_folder().parent / "series" / data).glob("*.npz"))]
    train, test = (np.concatenate([one[name] for one in held]).astype(np.float64) for name in ("train", "test"))
    labels = np.concatenate([one["test_label"] for one in held]).astype(np.int64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1.0
    return (train - mean) / spread, (test - mean) / spread, labels


def parts_of(data: str) -> list[Values]:
    """Return the train rows of each channel of `msl`, or of one machine of SMD, scaled with a floor and clipped."""
    folder = data_folder().parent / "series"
    paths = sorted((folder / data).glob("*.npz")) if data == "msl" else [folder / "smd" / f"{data}.npz"]
    parts = [np.load(path)["train"].astype(np.float64) for path in paths]
    rows = np.concatenate(parts)
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 0.05
    return [np.clip((part - mean) / spread, -8, 8) for part in parts]


def cut(values: Values, length: int, step: int = WINDOW) -> tuple[Windows, Values]:
    """Cut a series [T, C] into windows, the last one at its end; return the series, too."""
    starts = window_starts(len(values), length, step)
    return values[starts[:, None] + np.arange(length)].astype(np.float32), values


def at_points(scores: Any, values: Values) -> Values:
    """Put scores [n, L] of windows that do not overlap on the points [T]; the last window is cut to what is new."""
    length = scores.shape[1]
    tail = len(values) - (len(scores) - 1) * length
    return np.concatenate([scores[:-1].ravel(), scores[-1, length - tail :]]).astype(np.float64)


def alone(rng: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Draw weights that put nearly all on one random point of each window, as softmax(LSD / .1) does."""
    drawn = np.exp((rng.random(shape) - 1.0) / 0.01)
    return drawn / drawn.sum(axis=1, keepdims=True)


def told(event: Event) -> None:
    """Print progress to stderr."""
    values = "  ".join(f"{name} {value:.4f}" for name, value in event.values.items())
    print(f"{event.phase} {event.done}/{event.total}  {values}", file=sys.stderr, flush=True)


def write(path: Path, rows: list[Row], command: str) -> None:
    """Write the rows, first the command that made them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# made by: {command}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in dataclasses.fields(Row)])
        for row in rows:
            cells = dataclasses.astuple(row)
            table.writerow(
                [f"{cell:.3f}" if isinstance(cell, float) else "" if cell is None else cell for cell in cells]
            )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["health", "paper"], choices=["health", "paper"])
    parser.add_argument("--data", nargs="+", default=["msl", "smap"], choices=["msl", "smap"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    command = shlex.join(["python", "-m", "benchmarks.quality.memto", *sys.argv[1:]])
    if "health" in asked.parts:
        for data in ["msl", *(f"machine-{machine}" for machine in MACHINES)]:
            values = parts_of(data)
            ours = MEMTOConfig(values[0].shape[1], seed=asked.seed)
            theirs = MEMTOConfig.paper(ours.n_features)
            # The paper's equations at our sizes: the same cost, and only the memory differs.
            same = {name: getattr(theirs, name) for name in ("similarity", "centring", "writing", "lambda_usage")}
            for what, config in (("default", ours), ("as the paper's equations", dataclasses.replace(ours, **same))):
                rows.append(health(data, values, config, what))
    if "paper" in asked.parts:
        for data in asked.data:
            rows += paper(data, asked.seed)
            write(asked.out, rows, command)
    write(asked.out, rows, command)


if __name__ == "__main__":
    main()

"""What do TSB-AD's CNN, OmniAnomaly, USAD and AnomalyTransformer score on the series? (Has its own environment.)

    VENV=/tmp/peers && python -m venv $VENV
    $VENV/bin/pip install -c constraints.txt torch numpy scipy scikit-learn pandas tqdm torchinfo statsmodels
    $VENV/bin/pip install --no-deps TSB-AD==1.5
    OMP_NUM_THREADS=1 $VENV/bin/python benchmarks/quality/series_peers/deep.py --sets smd asd

One model per series, fitted on its train part, scores of its test part, with TSB-AD's own classes and its published
settings (`Optimal_Multi_algo_HP_dict`, seed 0). Written to `benchmarks/results/peers/<method>-<set>.npz`: one float16
array per series, the share of its rows that score as high or higher (order is all that the measures use, and float16
is fine near 0: a low number is abnormal); and `about`, a JSON text with versions, settings, cuts and CPU seconds.
Started again, it goes on where it was stopped.

What differs from TSB-AD, because one CPU thread has to do it:
- batches are cut from one tensor instead of collated row by row (same windows, same order of work, much faster);
- where all windows would take too long, an epoch sees a sample drawn anew, and validation evenly spread ones; `CUTS`
  says how many, and the most epochs (TSB-AD: 50, USAD and AnomalyTransformer 10). Early stopping is TSB-AD's;
- AnomalyTransformer, the slow one, has 8 batches of 32 (not thousands of 128) and scores every 50th window, for 50 rows
  each: a look at it, not a verdict;
- OmniAnomaly and USAD score a window at its start when there are many channels (a padding that TSB-AD has for one
  channel is skipped), AnomalyTransformer scores the last row of it. Here a window counts for its middle row, a last
  row for itself, as meant.
- fixed so that it runs at all: `np.Inf` (numpy 2), `.cuda()` without a GPU; AnomalyTransformer's last softmax in
  float64 (in float32 it is 0 for nearly all rows of SMD).
Each series is scaled to 0..1 by its train part (SMD is published so): the decoders of two end in a sigmoid.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve()
KEPT = HERE.parents[2] / "results" / "peers"
BESIDE = HERE.parents[3] / "shared" / "data"
SETTINGS: dict[str, dict[str, Any]] = {  # TSB_AD.HP_list.Optimal_Multi_algo_HP_dict
    "CNN": {"window_size": 50, "num_channel": [32, 32, 40], "lr": 0.0008, "batch_size": 128},
    "OmniAnomaly": {"win_size": 100, "lr": 0.002},
    "USAD": {"win_size": 100, "lr": 0.001},
    "AnomalyTransformer": {"win_size": 50, "lr": 0.001, "batch_size": 32},
}
CUTS: dict[str, dict[str, int]] = {  # at most so many epochs; windows in one, and in a validation; every which scored
    "CNN": {"epochs": 50, "windows": 8192, "validation": 2048, "score_stride": 1},
    "USAD": {"epochs": 10, "windows": 8192, "validation": 2048, "score_stride": 1},
    "OmniAnomaly": {"epochs": 6, "windows": 2560, "validation": 640, "score_stride": 1},
    "AnomalyTransformer": {"epochs": 1, "windows": 256, "validation": 32, "score_stride": 50},
}
EPOCHS = {"AnomalyTransformer": "num_epochs"}
FEATURES = {"AnomalyTransformer": "input_c"}


class Batches:
    """Stand in for torch's DataLoader: the same windows, cut from one tensor; `windows` of them in an epoch."""

    windows = validation = 1 << 62
    score_stride = 1
    scoring = False

    def __init__(self, dataset: Any, batch_size: int, shuffle: bool) -> None:
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __len__(self) -> int:
        return math.ceil(len(self._order()) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        samples, targets = self.dataset.samples, self.dataset.targets
        width = self.dataset.window_size
        for rows in self._order().split(self.batch_size):
            if samples.ndim == 3:  # forecasting: windows and what follows them
                yield samples[rows], targets[rows]
            else:  # reconstruction: the last windows are all the last one, as in ReconstructDataset
                starts = rows.clamp(max=len(samples) - width)
                window = samples[starts[:, None] + torch.arange(width)]
                yield window, window

    def _order(self) -> torch.Tensor:
        n = len(self.dataset)
        if Batches.scoring:
            return torch.arange(0, n, Batches.score_stride)
        if self.shuffle:
            return torch.randperm(n)[: Batches.windows]
        return torch.linspace(0, n - 1, min(n, Batches.validation), dtype=torch.float64).long()


def prepare(method: str) -> Any:
    """Return TSB-AD's class, made to run on numpy 2, without a GPU, with fast batches."""
    np.Inf = np.inf
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    module = importlib.import_module(f"TSB_AD.models.{method}")
    module.DataLoader = Batches
    if method == "AnomalyTransformer":
        torch.softmax = precise  # type: ignore[assignment]
    module.tqdm.tqdm = Quiet
    return getattr(module, method)


def precise(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the softmax; of a table of windows and rows, which is the score, in float64."""
    return torch.nn.functional.softmax(values.double() if values.ndim == 2 else values, dim=dim)


class Quiet:
    """A progress bar that says nothing."""

    def __init__(self, items: Any, **_: Any) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def set_description(self, *_: Any, **__: Any) -> None:
        """Say nothing."""

    set_postfix = set_description


def scores_of(method: str, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Fit on `train` [n, C], score `test` [m, C] -> scores [m] and the CPU seconds of both."""
    torch.manual_seed(0)
    np.random.seed(0)
    low = train.min(axis=0)
    span = np.where(train.max(axis=0) > low, train.max(axis=0) - low, 1)
    train, test = ((part - low) / span for part in (train, test))
    cut, settings = CUTS[method], SETTINGS[method]
    Batches.windows, Batches.validation, Batches.score_stride = cut["windows"], cut["validation"], cut["score_stride"]
    chosen = {EPOCHS.get(method, "epochs"): cut["epochs"], FEATURES.get(method, "feats"): train.shape[1]}
    at = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        model = prepare(method)(**settings, **chosen)
        Batches.scoring = False
        model.fit(train)
        fitted = time.process_time()
        Batches.scoring = True
        found = score(model, method, test, cut["score_stride"])
    seconds = {"fit": round(fitted - at, 1), "score": round(time.process_time() - fitted, 1)}
    print(said.getvalue().strip().splitlines()[-3:], file=sys.stderr)
    return found, seconds


def score(model: Any, method: str, test: np.ndarray, stride: int) -> np.ndarray:
    """Return one score per row of `test`, each window's at the row that it is about."""
    if method == "CNN":
        return np.asarray(model.decision_function(test), dtype=np.float64)
    width = SETTINGS[method]["win_size"]
    n, about = len(test), width - 1 if method == "AnomalyTransformer" else width // 2
    raw = np.asarray(model.decision_function(test), dtype=np.float64)
    if stride > 1:  # fewer scores than rows: TSB-AD has put half a window before them
        before = math.ceil((width - 1) / 2)
        raw = raw[before : before + math.ceil(n / stride)]
    by_start = np.repeat(raw, stride)[:n]
    starts = np.clip(np.arange(n) - about, 0, max(n - width, 0))
    return by_start[starts]


def main() -> None:
    """Score what the command line names, keep a file per method and set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["smd", "asd"])
    parser.add_argument("--methods", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--limit", type=int, help="so many series of each set: a look, no file unless --out names one")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ.get("JAMAIS_DATA", BESIDE)) / "series"
    out = asked.out or (None if asked.limit else KEPT)
    for name in asked.sets:
        for method in asked.methods:
            paths = sorted((folder / name).glob("*.npz"))[: asked.limit]
            made(method, paths, out / f"{method}-{name}.npz" if out else None)


def made(method: str, paths: list[Path], out: Path | None) -> None:
    """Score series by series and keep each at once; what `out` has from the same settings is not made again."""
    kept: dict[str, np.ndarray] = {}
    seconds: dict[str, dict[str, float]] = {}
    if out and out.exists():
        with np.load(out) as old:
            known = json.loads(str(old["about"]))
            if (known["settings"], known["cut"]) == (SETTINGS[method], CUTS[method]):
                seconds = known["cpu_seconds"]
                kept = {name: old[name] for name in old.files if name != "about"}
    for path in paths:
        if path.stem in kept:
            continue
        with np.load(path) as data:
            train, test = data["train"].astype(np.float64), data["test"].astype(np.float64)
        found, seconds[path.stem] = scores_of(method, train, test)
        kept[path.stem] = small(found)
        print(path.parent.name, method, path.stem, seconds[path.stem], flush=True)
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(out, about=np.array(about(method, seconds)), **kept)


def small(found: np.ndarray) -> np.ndarray:
    """Return the share of rows that score as high or higher, for each row."""
    at_least = len(found) - np.searchsorted(np.sort(found), found, side="left")
    return (at_least / len(found)).astype(np.float16)


def about(method: str, seconds: dict[str, dict[str, float]]) -> str:
    """Return what one must know to make these scores again, as JSON."""
    return json.dumps(
        {
            "method": method,
            "command": "python benchmarks/quality/series_peers/deep.py",
            "versions": {name: version(name) for name in ("TSB_AD", "torch", "numpy")},
            "python": platform.python_version(),
            "settings": SETTINGS[method],
            "cut": CUTS[method],
            "seed": 0,
            "cpu_seconds": seconds,
        }
    )


if __name__ == "__main__":
    main()

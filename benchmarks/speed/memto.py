"""What does the memory of MEMTO cost, beside the same encoder and decoder without one?

    OMP_NUM_THREADS=1 python -m benchmarks.speed.memto            # some 2 CPU-minutes

One training step (forward, loss, backward, Adam) and one scoring of a batch of windows, 100 points of 38 channels, at
the paper's width of 512 and at the seed's of 64. Both models take turns, step by step, in one process, and CPU seconds
are compared: the ratio is the median over the pairs. Then a whole series, scored in windows that begin every 10 points:
points a second, and how many windows were encoded.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.models import MEMTO, MEMTOLoss
from jamais.models.memto import MEMTOConfig
from jamais.models.memto.encoder import Encoder
from jamais.models.memto.scoring import window_starts

RESULT = Path(__file__).resolve().parents[1] / "results" / "speed-memto.csv"
CHANNELS, WINDOW, STEP = 38, 100, 10


class NoMemory(nn.Module):
    """The encoder of MEMTO and its decoder, which here has nothing but the query to decode."""

    def __init__(self, config: MEMTOConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.encoder.initialise(torch.Generator().manual_seed(config.seed))
        self.hidden = nn.Linear(config.latent_dim, config.latent_dim)
        self.output = nn.Linear(config.latent_dim, config.n_features)

    def forward(self, x: Tensor) -> Tensor:
        rebuilt: Tensor = self.output(functional.gelu(self.hidden(self.encoder(x))))
        return rebuilt


def configs() -> dict[str, tuple[MEMTOConfig, int]]:
    """Name what is measured: configuration and windows in a batch."""
    ours = MEMTOConfig(CHANNELS)
    wide = dataclasses.replace(ours, latent_dim=512, n_heads=8, d_ff=512)
    return {
        "paper, width 512": (MEMTOConfig.paper(CHANNELS), 16),
        "default, width 512": (wide, 16),
        "default, width 64": (ours, 64),
    }


def measured(name: str, config: MEMTOConfig, batch: int, rounds: int) -> dict[str, Any]:
    """Time both models in turns."""
    x = torch.randn(batch, WINDOW, CHANNELS, generator=torch.Generator().manual_seed(0))
    model, plain = MEMTO.from_config(config), NoMemory(config)
    train, bare_train = _pair(_training(model, plain, x), rounds)
    score, bare_score = _pair(_scoring(model, plain, x), 2 * rounds)
    return {
        "model": name,
        "batch": batch,
        "train_windows_per_cpu_s": round(batch / min(train), 1),
        "train_without_memory": round(batch / min(bare_train), 1),
        "train_ratio": round(_ratio(train, bare_train), 3),
        "score_windows_per_cpu_s": round(batch / min(score), 1),
        "score_without_memory": round(batch / min(bare_score), 1),
        "score_ratio": round(_ratio(score, bare_score), 3),
    }


def whole_series(config: MEMTOConfig, n: int) -> dict[str, Any]:
    """Time the scoring of a whole series with overlapping windows."""
    model = MEMTO.from_config(config)
    values = np.random.default_rng(0).normal(size=(n, CHANNELS))
    model.score_series(values[:1_000], STEP)
    begin = time.process_time()
    model.score_series(values, STEP)
    cost = time.process_time() - begin
    return {
        "series_points": n,
        "series_windows": len(window_starts(n, WINDOW, STEP)),
        "series_points_per_cpu_s": round(n / cost),
    }


def _training(model: MEMTO, plain: NoMemory, x: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    criterion = MEMTOLoss(model.config.lambda_entropy, model.config.lambda_usage)
    optimizers = [torch.optim.Adam(one.parameters(), lr=1e-4) for one in (model, plain)]
    model.train(True)

    def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def ours() -> None:
        reconstruction, _, attention = model.training_pass(x)
        step(optimizers[0], criterion(reconstruction, x, attention))

    return ours, lambda: step(optimizers[1], functional.mse_loss(plain(x), x))


def _scoring(model: MEMTO, plain: NoMemory, x: Tensor) -> tuple[Callable[[], None], Callable[[], None]]:
    rows = x.numpy()

    def theirs() -> None:
        # As ours does: a copy of the input, blocks of 16, the squared error of each point.
        with torch.no_grad():
            for block in torch.split(torch.from_numpy(np.array(rows)), 16):
                (plain(block) - block).square().sum(dim=2).numpy()

    return lambda: void(model.anomaly_score(rows)), theirs


def void(made: object) -> None:
    """Let go of what was made."""


def _pair(works: tuple[Callable[[], None], Callable[[], None]], rounds: int) -> tuple[list[float], list[float]]:
    for work in works:
        work()
        work()
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        # Who goes first changes: what the one leaves in the cache helps neither.
        for place in (0, 1) if turn % 2 else (1, 0):
            begin = time.process_time()
            works[place]()
            spent[place].append(time.process_time() - begin)
    return spent


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (config, batch) in configs().items():
        points = 2_000 if config.latent_dim == 512 else 10_000
        # Short steps are disturbed more by what else runs: more pairs.
        rounds = asked.rounds * (1 if config.latent_dim == 512 else 4)
        rows.append({**measured(name, config, batch, rounds), **whole_series(config, points)})
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    with asked.out.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# made by: {shlex.join(['python', '-m', 'benchmarks.speed.memto', *sys.argv[1:]])}\n")
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()

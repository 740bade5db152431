"""How often does a normal row that was never seen get a p-value of at most a? It should be a, and never more.

    python -m benchmarks.quality.calibration [--seeds N] [--bounded-seeds N] [--only knn,lof] [--memories unbounded]

Each seed draws a world (five clusters of unlike spread, some heavy-tailed), fits 999 rows, and asks for the
p-values of 2,000 others; then come 50 rounds of `partial_fit` with 20 rows each, and 2,000 others again. 999 and
1,999 calibration rows resolve all the rates asked for, so that P(p <= a) = a for continuous scores, up to the error
of as many seeds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jamais.memory import CoverMemory, ReservoirMemory, RingMemory
from jamais.registry import find
from jamais.types import Floats, Vectors

RESULT = Path(__file__).parents[1] / "results" / "quality-calibration.csv"
DETECTORS = ("knn", "lof", "iforest", "cluster", "reconstruction", "ensemble")
UNBOUNDED = "unbounded"
MEMORIES: dict[str, Callable[[], Any]] = {
    UNBOUNDED: lambda: None,
    "cover 300": lambda: CoverMemory(300),
    "ring 300": lambda: RingMemory(300),
    "reservoir 300": lambda: ReservoirMemory(300),
}
RATES = (0.05, 0.01, 0.001)
N_FITTED, N_ROUNDS, N_PER_ROUND, N_UNSEEN = 999, 50, 20, 2_000
WIDTH = 6
MARGIN = 0.2
"""How far the share may be off, in parts of the rate."""
_SURE = 3.0  # standard errors

Shares = dict[str, Floats]


@dataclass(frozen=True)
class Figure:
    detector: str
    memory: str
    moment: str
    rate: float
    seeds: int
    share: float
    error: float
    """Standard error of the share over seeds."""

    @property
    def verdict(self) -> str:
        """Say `ok`, or what is wrong beyond sampling error."""
        if self.share - _SURE * self.error > self.rate:
            return "TOO OFTEN"
        if self.share + _SURE * self.error < self.rate * (1 - MARGIN):
            return "too seldom"
        return "ok"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--bounded-seeds", type=int, default=100, help="seeds for the bounded memories")
    parser.add_argument("--only", default=",".join(DETECTORS), help="detectors, with commas between them")
    parser.add_argument("--memories", default=",".join(MEMORIES), help="memories, with commas between them")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args(arguments)
    found = []
    for memory in asked.memories.split(","):
        for detector in asked.only.split(","):
            for figure in figures(detector, memory, asked.seeds if memory == UNBOUNDED else asked.bounded_seeds):
                found.append(figure)
                print(
                    f"{figure.detector:<15}{figure.memory:<15}{figure.moment:<18}p <= {figure.rate:<7}"
                    f"{figure.share:.5f} = {figure.share / figure.rate:.2f} a +- {figure.error / figure.rate:.2f}"
                    f"  {figure.verdict}",
                    flush=True,
                )
    command = "python -m benchmarks.quality.calibration " + " ".join(sys.argv[1:] if arguments is None else arguments)
    write(asked.out, found, command.strip())
    return int(any(figure.verdict == "TOO OFTEN" for figure in found))


def figures(detector: str, memory: str, n_seeds: int) -> Iterator[Figure]:
    """Average the share of unseen normal rows with p <= rate over seeds, before and after learning more."""
    shares = [shares_of(detector, memory, seed) for seed in range(n_seeds)]
    for moment in shares[0]:
        table = np.array([one[moment] for one in shares])
        for j, rate in enumerate(RATES):
            error = float(table[:, j].std(ddof=1) / n_seeds**0.5) if n_seeds > 1 else float("nan")
            yield Figure(detector, memory, moment, rate, n_seeds, float(table[:, j].mean()), error)


def shares_of(detector: str, memory: str, seed: int) -> Shares:
    """Give the share of unseen rows with p <= each rate at both moments, in the world of a seed."""
    draw = world(seed)
    one = find(detector)(memory=MEMORIES[memory]())
    one.fit(draw(N_FITTED))
    found = {"after fit": _shares(one.p_value(draw(N_UNSEEN)))}
    for _ in range(N_ROUNDS):
        one.partial_fit(draw(N_PER_ROUND))
    found[f"after {N_ROUNDS} rounds"] = _shares(one.p_value(draw(N_UNSEEN)))
    return found


def world(seed: int) -> Callable[[int], Vectors]:
    """Make a source of normal rows [n, width]: five clusters of unlike spread, the rows of two with heavy tails."""
    rng = np.random.default_rng(seed)
    centres = 4.0 * rng.normal(size=(5, WIDTH))
    spreads = np.exp(0.6 * rng.normal(size=5))

    def draw(n: int) -> Vectors:
        cluster = rng.choice(5, size=n, p=[0.4, 0.25, 0.2, 0.1, 0.05])
        noise = rng.normal(size=(n, WIDTH))
        heavy = np.sqrt(5.0 / rng.chisquare(5.0, size=n))
        noise *= np.where(cluster >= 3, heavy, 1.0)[:, None]
        return np.asarray(centres[cluster] + spreads[cluster][:, None] * noise, dtype=np.float32)

    return draw


def write(path: Path, found: list[Figure], command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# made by: {command}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["detector", "memory", "moment", "rate", "seeds", "share", "share_over_rate", "error_over_rate",
                        "verdict"])  # fmt: skip
        for one in found:
            over = (f"{one.share / one.rate:.3f}", f"{one.error / one.rate:.3f}")
            table.writerow(
                [one.detector, one.memory, one.moment, one.rate, one.seeds, f"{one.share:.6f}", *over, one.verdict]
            )


def _shares(p_values: Floats) -> Floats:
    return np.array([(p_values <= rate).mean() for rate in RATES])


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.exit(main())

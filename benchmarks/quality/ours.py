"""What does jamais itself reach, through its public door and from raw lines only?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

import jamais
from benchmarks.quality.datasets import Split
from benchmarks.quality.protocol import RATES, Run

VARIANTS = {"jamais": True, "jamais without tone": False}  # name -> severity


def run_jamais(name: str, split: Split, *, seed: int) -> Run:
    """Write the raw lines of `split` to files, fit and score them as a user would, join verdicts with groups.

    Alarms are `p_value <= rate`, the promise of the verdicts; below 1 / (n + 1) the p-value comes from the
    watcher's own fitted tail.
    """
    with tempfile.TemporaryDirectory() as folder:
        known, today = Path(folder, "known.log"), Path(folder, "today.log")
        _write(known, split.fit_lines())
        _write(today, split.test_lines())
        begin = time.perf_counter()
        settings = {"severity": VARIANTS[name]}
        watcher = jamais.fit(str(known), kind="logs", seed=seed, settings=settings, **split.grouping)
        verdicts = _in_order(watcher.score(str(today)), split)
        seconds = time.perf_counter() - begin
    p_values = verdicts["p_value"].to_numpy()
    return Run(
        method=name,
        ours=True,
        scores=verdicts["score"].to_numpy().astype(np.float64),
        alarms={rate: p_values <= rate for rate in RATES},
        n_calibration=0,
        seconds=seconds,
    )


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _in_order(verdicts: pl.DataFrame, split: Split) -> pl.DataFrame:
    """Bring the verdicts into the order of the test rows: by group, or as they come for windows."""
    if split.groups is not None:
        wanted = pl.DataFrame({"group": split.groups})
        verdicts = wanted.join(verdicts, on="group", how="left", maintain_order="left")
        missing = verdicts["score"].null_count()
        if missing:
            raise ValueError(f"{missing} of {len(wanted)} test groups got no verdict")
    if len(verdicts) != len(split.test):
        raise ValueError(f"{len(split.test)} test rows got {len(verdicts)} verdicts")
    return verdicts

"""Is anything forgotten? BGL in tenths of time: fit on three, learn the others one by one, score the old ones again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

import jamais
from benchmarks.quality import datasets
from benchmarks.quality.online.logs.operators import TRUTHFUL, Operator
from benchmarks.quality.online.logs.streams import Flow, window_flow
from benchmarks.quality.online.logs.watched import walk_watcher
from jamais.errors import RefusedUpdateError
from jamais.evaluation import average_precision

Figures = dict[str, str | int]

N_TENTHS, N_FIT = 10, 3
EVERY, EVERY_QUICK = 4, 40  # each so manieth window takes part: a quarter of BGL is enough for four digits
MOST_LOST = 0.005


def old_tenths(folder: Path, store: Path, *, quick: bool = False) -> Iterator[Figures]:
    """Give one row per tenth, and one about the way back."""
    tenths = cut(next(iter(datasets.bgl_splits(folder))), folder, EVERY_QUICK if quick else EVERY)
    history = History(tenths, store / "tenths")
    history.live()
    yield from history.rows()
    yield history.way_back()


def cut(split: datasets.Split, folder: Path, every: int) -> list[Flow]:
    """Cut all windows of BGL into tenths, and keep each `every`th window of them."""
    parts = [datasets._read_windows(folder / f"{name}.tsv.gz") for name in ("train", "val", "test")]
    windows = [window for part in parts for window in part]
    bounds = np.linspace(0, len(windows), N_TENTHS + 1).astype(int)
    return [_tenth(split, windows[begin:end:every]) for begin, end in pairwise(bounds.tolist())]


def _tenth(split: datasets.Split, windows: list[tuple[int, datasets.Events]]) -> Flow:
    labels: NDArray[np.int64] = np.array([label for label, _ in windows], dtype=np.int64)
    return window_flow("tenth", replace(split, test=[events for _, events in windows], labels=labels))


class History:
    """A watcher that lives through the tenths; `scores[t][k]` is the frame of tenth k after tenth t was learned."""

    def __init__(self, tenths: list[Flow], store: Path) -> None:
        self.tenths, self.store = tenths, store
        self.frames: dict[int, dict[int, pl.DataFrame]] = {}
        self.versions: dict[int, int] = {}
        self.notes: dict[int, str] = {}
        fit = [line for tenth in tenths[:N_FIT] for line in normal_lines(tenth)]
        self.watcher = jamais.fit(fit, kind="logs", out=store, **tenths[0].grouping)

    def live(self) -> None:
        """Answer the questions of each tenth truthfully, vouch for its normal windows, save, score all so far.

        The normal windows of the first tenths were fitted on; their questions are answered, too.
        """
        for at in range(len(self.tenths)):
            self._answer(at)
            if at >= N_FIT:
                self._learn(at)
            if at >= N_FIT - 1:
                self._score(at)

    def _answer(self, at: int) -> None:
        tenth = self.tenths[at]
        operator = Operator(TRUTHFUL, tenth.labels, seed=0)
        walk_watcher(self.watcher, tenth, operator)
        self.notes[at] = f"{operator.n_asked} questions"

    def _learn(self, at: int) -> None:
        try:
            self.watcher.learn(normal_lines(self.tenths[at]))
        except RefusedUpdateError as refused:
            checks = getattr(refused.report, "checks", ())
            failed = [check.name for check in checks if not check.passed]
            self.notes[at] += f"; learning refused: {', '.join(failed)}"

    def _score(self, at: int) -> None:
        self.versions[at] = self.watcher.save()
        self.frames[at] = {k: self.watcher.score(tenth.lines(0, len(tenth))) for k, tenth in self._so_far(at)}

    def _so_far(self, at: int) -> Iterator[tuple[int, Flow]]:
        yield from enumerate(self.tenths[: at + 1])

    def rows(self) -> Iterator[Figures]:
        """Compare the last scores of each tenth with those when it was new and with the ones before."""
        last = len(self.tenths) - 1
        for k in range(len(self.tenths)):
            first, before, after = (self._precision(at, k) for at in (max(k, N_FIT - 1), max(k, last - 1), last))
            kept = after >= before - MOST_LOST and after >= first - MOST_LOST
            yield {
                "data": "BGL in tenths",
                "operator": TRUTHFUL.name,
                "method": "jamais",
                "seeds": 1,
                "tenth": k + 1,
                "ap_first": f"{first:.4f}",
                "ap_before": f"{before:.4f}",
                "ap_after_all": f"{after:.4f}",
                "target": f"AP lost <= {MOST_LOST}",
                "kept": "ok" if kept else "MISSED",
                "note": self.notes[k],
            }

    def _precision(self, at: int, k: int) -> float:
        return float(average_precision(self.tenths[k].labels, self.frames[at][k]["score"].to_numpy()))

    def way_back(self) -> Figures:
        """Roll back to every version, newest first, and compare all frames bit for bit."""
        differ = [
            f"version {version}, tenth {k + 1}"
            for at, version in reversed(self.versions.items())
            for k in self._changed(at, version)
        ]
        n = sum(len(frames) for frames in self.frames.values())
        return {
            "data": "BGL in tenths",
            "operator": TRUTHFUL.name,
            "method": "jamais",
            "seeds": 1,
            "tenth": "rollback",
            "ap_first": "",
            "ap_before": "",
            "ap_after_all": "",
            "target": "the same bits",
            "kept": "MISSED" if differ else "ok",
            "note": "; ".join(differ) or f"{n} frames of {len(self.versions)} versions are the same",
        }

    def _changed(self, at: int, version: int) -> list[int]:
        self.watcher.rollback(version)
        again = {k: self.watcher.score(tenth.lines(0, len(tenth))) for k, tenth in self._so_far(at)}
        return [k for k, frame in again.items() if not frame.equals(self.frames[at][k])]


def normal_lines(tenth: Flow) -> list[str]:
    """Give the lines of the normal windows of a tenth: what a person vouches for."""
    return [line for item in np.flatnonzero(tenth.labels == 0).tolist() for line in tenth.lines(item, item + 1)]

"""What did an update do to old labels, to new classes, and at what cost?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np

from benchmarks.quality.online.clusters.idec import Labels, Rows
from benchmarks.quality.online.clusters.peers import Labeller, Method
from benchmarks.quality.online.clusters.streams import Stream
from jamais.evaluation.clustering import clustering_accuracy, label_shift, old_new_accuracy
from jamais.types import Bools

_MOST_WATCHED, _MOST_BASE_ROWS = 1_000, 2_000


class Row(TypedDict):
    """One method after one update; shares and accuracies in percent, NaN where there is nothing to measure."""

    data: str
    protocol: str
    seed: int
    update: int
    arrived: str
    method: str
    k_before: int
    k: int
    k_true: int
    born: int
    """Clusters that this update added."""
    shift: float
    """Held-out rows of classes that had arrived before, whose id this update changed; from or to "none" counts."""
    shift_first: float
    """Of the rows of base classes alone: a class that was missed when it arrived may well be found later."""
    shift_named: float
    """Of all these rows, those that had an id (not none) and changed it."""
    shift_since_arrival: float
    """The same rows against their ids at the end of the update in which their class arrived."""
    shift_remembered: float
    n_remembered: int
    shift_base: float
    """Base rows, whether they are remembered or not."""
    worst_within: float
    """Highest shift after any epoch of the update."""
    old_before: float
    """Accuracy before the update on held-out rows of the classes that had arrived, matched with these alone."""
    old_before_joint: float
    """The same, matched with rows of all classes, as the accuracies after the update are."""
    old: float
    new: float
    all: float
    none: float
    """Test rows without a label."""
    cpu: float
    cpu_ms_per_1000: float
    label_ms_per_1000: float
    share_of_refit: float


def measured(stream: Stream, method: Method, refit_cpu: dict[int, float]) -> Iterator[Row]:
    """Let a method learn update by update; `refit_cpu` says what a full refit costs there, where that is known."""
    rows, classes = stream.test.rows, stream.test.classes
    first = np.isin(classes, stream.first)
    base_rows = stream.base.rows[:_MOST_BASE_ROWS]
    at_arrival: Labels | None = None
    for number, (update, arrived) in enumerate(zip(stream.updates, stream.arrivals, strict=True)):
        known, here = np.isin(classes, stream.known(number)), np.isin(classes, stream.known(number + 1))
        before, before_base, kept = method.labels(rows), method.labels(base_rows), method.remembered()
        before_kept = np.zeros(0, dtype=np.int64) if kept is None else method.labels(kept)
        at_arrival = before if at_arrival is None else at_arrival
        k_before = method.k
        watched = _Watched(rows[known][:_MOST_WATCHED], before[known][:_MOST_WATCHED])
        begin = time.process_time()
        method.update(update.rows, len(arrived), watched)
        cpu = time.process_time() - begin - watched.cpu
        begin = time.process_time()
        after = method.labels(rows)
        label_cpu = time.process_time() - begin
        yield Row(
            **_headings(stream, number, method.name),
            k_before=k_before,
            k=method.k,
            k_true=len(stream.known(number + 1)),
            born=method.k - k_before,
            shift=100 * label_shift(before[known], after[known]),
            shift_first=100 * label_shift(before[first], after[first]),
            shift_named=100 * float(((before != after) & (before >= 0))[known].mean()),
            shift_since_arrival=100 * label_shift(at_arrival[known], after[known]),
            shift_remembered=_nan if kept is None else 100 * label_shift(before_kept, method.labels(kept)),
            n_remembered=0 if kept is None else len(kept),
            shift_base=100 * label_shift(before_base, method.labels(base_rows)),
            worst_within=100 * watched.worst if watched.called else _nan,
            **_accuracies(classes[here], known[here], before[here], after[here]),
            cpu=cpu,
            cpu_ms_per_1000=1e6 * cpu / len(update.rows),
            label_ms_per_1000=1e6 * label_cpu / len(rows),
            share_of_refit=100 * cpu / refit_cpu[number] if number in refit_cpu else _nan,
        )
        at_arrival = np.where(known, at_arrival, after)


_nan = float("nan")


def _headings(stream: Stream, number: int, method: str) -> Any:
    arrived = stream.arrivals[number]
    return {
        "data": stream.data,
        "protocol": stream.protocol,
        "seed": stream.seed,
        "update": number + 1,
        "arrived": " ".join(str(c) for c in arrived) if len(arrived) < 10 else f"{len(arrived)} classes",
        "method": method,
    }


def _accuracies(classes: Labels, known: Bools, before: Labels, after: Labels) -> Any:
    """Return accuracies on test rows [n] of classes that are there, which were `known` [n] before or came just now."""
    now, joint = (old_new_accuracy(classes, _apart(labels), ~known) for labels in (after, before))
    return {
        "old_before": 100 * clustering_accuracy(classes[known], _apart(before[known])),
        "old_before_joint": 100 * joint.old,
        "old": 100 * now.old,
        "new": 100 * now.new,
        "all": 100 * now.all,
        "none": 100 * float((after < 0).mean()),
    }


class _Watched:
    """Keeps the highest shift that was seen within an update, and the CPU time of looking."""

    def __init__(self, rows: Rows, before: Labels) -> None:
        self._rows, self._before = rows, before
        self.worst, self.cpu, self.called = 0.0, 0.0, False

    def __call__(self, labels: Labeller) -> None:
        begin = time.process_time()
        self.worst = max(self.worst, label_shift(self._before, labels(self._rows)))
        self.called = True
        self.cpu += time.process_time() - begin


def _apart(labels: Labels) -> Labels:
    """Give each row without a label one of its own: "none" is no cluster that could be matched with a class."""
    none = labels < 0
    return np.where(none, -1 - np.cumsum(none), labels)

"""Who walks, with which operators, and what had to be shown?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jamais
from benchmarks.quality.online.logs import memories
from benchmarks.quality.online.logs.operators import (
    LATE,
    LATE_AND_WRONG,
    SOON_AND_WRONG,
    TRUTHFUL,
    WRONG,
    Habits,
    Operator,
)
from benchmarks.quality.online.logs.streams import Flow
from benchmarks.quality.online.logs.walk import Memory, Walked, walk
from benchmarks.quality.online.logs.watched import walk_watcher

TONE = {"jamais": True, "jamais without tone": False}  # method -> severity
OPERATORS = {
    "BGL after 80 %": (TRUTHFUL, LATE_AND_WRONG, LATE, SOON_AND_WRONG, WRONG),
    "HDFS after 30 %": (TRUTHFUL, LATE_AND_WRONG, SOON_AND_WRONG),
}
NOBODY = Habits("nobody", budget=0)


@dataclass(frozen=True)
class Target:
    """What a row must reach; None: no promise."""

    f1: float | None = None
    worst: float | None = None
    questions: float | None = None


TARGETS = {
    ("BGL after 80 %", TRUTHFUL.name, "jamais"): Target(f1=0.99, questions=80),
    ("BGL after 80 %", LATE_AND_WRONG.name, "jamais"): Target(f1=0.95, worst=0.90, questions=150),
    ("BGL after 80 %", LATE_AND_WRONG.name, "jamais without tone"): Target(worst=0.70, questions=150),
    ("BGL after 80 %", SOON_AND_WRONG.name, "jamais"): Target(f1=0.95, questions=150),
    ("HDFS after 30 %", TRUTHFUL.name, "jamais"): Target(f1=0.98, questions=31),
    ("HDFS after 30 %", LATE_AND_WRONG.name, "jamais"): Target(f1=0.92),
    ("HDFS after 30 %", SOON_AND_WRONG.name, "jamais"): Target(f1=0.92),
}

_PATIENCE = (("frozen", None), ("accept everything", 1), ("accept after 10", 10), ("accept after 100", 100))

Walker = Callable[[Operator], Walked]


@dataclass(frozen=True)
class Entry:
    """One row to be: a method and how it walks with an operator."""

    method: str
    ours: bool
    habits: Habits
    walker: Walker
    alone: bool = False
    """Whether the luck of the operator changes nothing."""
    prepare: Callable[[], object] | None = None
    """What is done once, and is no part of the walk: a fit."""


def entries(flow: Flow, cache: Path) -> Iterator[Entry]:
    """List the rows of one flow: what asks nobody, then everybody with each operator."""
    for name, sightings in _PATIENCE:
        features = memories.events_of if flow.groups is None else memories.count_vector
        yield _entry(flow, name, NOBODY, partial(memories.Accepting, flow, features, sightings))
    for habits in OPERATORS[flow.name]:
        for name, make in _peers(flow, habits).items():
            yield _entry(flow, name, habits, make)
        yield _oracle(flow, habits)
        for name in TONE:
            walker = partial(_walk_fitted, name, flow, cache)
            yield Entry(name, True, habits, walker, prepare=partial(fitted, name, flow, cache))


def _entry(flow: Flow, name: str, habits: Habits, make: Callable[[], Memory]) -> Entry:
    return Entry(name, False, habits, lambda operator: walk(make(), operator, len(flow)))


def _oracle(flow: Flow, habits: Habits) -> Entry:
    """Every alarm's true label, as late as answers are: what no memory without a prior can be expected to beat."""
    features, whose = (memories.events_of, "events") if flow.groups is None else (memories.event_set, "event sets")

    def known(operator: Operator) -> Walked:
        truthful = Operator(Habits("oracle", late=operator.habits.late), flow.labels, 0)
        return walk(memories.SetMemory(flow, features, every=True), truthful, len(flow))

    return Entry(f"oracle: the true label of every alarm ({whose})", False, habits, known, alone=True)


def _peers(flow: Flow, habits: Habits) -> dict[str, Callable[[], Memory]]:
    sets, vectors = memories.events_of, memories.count_vector
    shared: dict[str, Callable[[], Memory]] = {
        "set memory, every alarm": partial(memories.SetMemory, flow, sets, every=True),
        "set memory, one question per unknown set": partial(memories.SetMemory, flow, sets),
        "event-set dictionary": partial(memories.SetMemory, flow, memories.event_set),
        "count-vector dictionary, every alarm": partial(memories.SetMemory, flow, vectors, every=True),
        "count-vector dictionary": partial(memories.SetMemory, flow, vectors),
        "log-odds of events, no prior": partial(memories.LogOdds, flow),
        "kNN of template texts, reach .2": partial(memories.NearestText, flow, 0.2),
    }
    if flow.groups is None:
        return {**shared, "set memory, culprit event": partial(memories.CulpritMemory, flow)}
    return {**shared, "nearest count vector, difference = cause": partial(memories.NearestCounts, flow, habits.trust)}


def _walk_fitted(name: str, flow: Flow, cache: Path, operator: Operator) -> Walked:
    return walk_watcher(jamais.load(fitted(name, flow, cache)), flow, operator)


def fitted(name: str, flow: Flow, cache: Path) -> Path:
    """Give the folder of the watcher `name` fitted on the known part of `flow`; fit it if it is not in `cache`."""
    folder = cache / "-".join([*flow.name.split()[:1], *name.split()])
    if not folder.exists():
        lines = cache / f"{folder.name}.log"
        with lines.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in flow.fit_lines())
        jamais.fit(str(lines), kind="logs", settings={"severity": TONE[name]}, out=folder, **flow.grouping)
        lines.unlink()
    return folder

"""How does a recipe take in more: rows that somebody vouches for, and rows that nobody does?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.errors import Cancelled
from jamais.learning import guard
from jamais.learning.answers.leaders import Leaders
from jamais.memory.nearest import NearestRows
from jamais.sources.vectors import Block, VectorReader
from jamais.types import Bools, CancelToken, Check, Event, Floats, LearnReport, Listener, Vectors

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe

MEASURED = 1_000
"""Rows of a block, evenly spread, that tell what share of it looks abnormal: looking at all would double the cost."""

CLEARLY = 2.0
"""Times the alarm rate that a row's p-value is above where it was clearly normal: at the rate itself some rows always
change sides, as many as come, and that is no harm done."""


def learn_trusted(
    old: EmbeddingRecipe, new: EmbeddingRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let `new` learn all of `data`; refuse it if that breaks what is remembered."""
    reader = old.batches(data)
    taken = Taken()
    for block in _watched(reader, listener, cancel):
        taken.measure(old, block)
        grown(new, new.space.of_rows(block.rows), "learn", taken)
    if not taken.rows:
        return LearnReport(True, 0, {"rows": 0})
    new.detector.follow()
    new.facts = new.facts.joined(taken.rows)
    _let_go_of_what_is_normal_now(new)
    checks = (*taken.checks(old), *kept_checks(old, new, taken.shift))
    counts = {
        "remembered rows": len(new.detector.memory),
        "clusters": new.clusters.n_clusters,
        "rows that look new and wait for a cluster": new.clusters.pending,
    }
    return LearnReport(guard.passed(checks), taken.rows, counts, checks, tuple(taken.events))


def learn_unknown(
    old: EmbeddingRecipe, new: EmbeddingRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let rows that look normal refresh counts; the others wait in quarantine, and give birth to no cluster."""
    scorer, memory = old.scorer(), new.detector.memory
    n_normal = n_held = 0
    for block in _watched(old.batches(data), listener, cancel):
        of, frame = scorer.judge(block)
        memory.refresh(of.places[~of.abnormal])
        n_normal += int((~of.abnormal).sum())
        causes, why = frame["cause"].to_list(), frame["why"].to_list()
        held = [row for row in np.flatnonzero(of.abnormal).tolist() if not _is_known(old, causes[row])]
        memory.detain(of.places[held], source="unknown")
        n_held += len(held)
        for row in held:
            new.waiting.add(causes[row], of.places[row], 1, why[row])
    new.detector.follow()
    new.facts = new.facts.joined(n_normal)
    counts = {
        "rows that looked normal and were counted": n_normal,
        "rows held back": n_held,
        "rows in quarantine": len(memory.quarantine),
        "causes that wait for an answer": len(new.waiting),
    }
    return LearnReport(True, scorer.n_rows, counts)


def grown(new: EmbeddingRecipe, places: Vectors, source: str, taken: Taken) -> None:
    """Let rows that somebody vouches for enter memory and clusters."""
    new.detector.memory.add(places, source=source)
    growth = new.clusters.learn(places)
    taken.events += [str(event) for event in growth.events]
    taken.shift += growth.shift


def kept_checks(
    old: EmbeddingRecipe, new: EmbeddingRecipe, shift: float, apart: Vectors | None = None
) -> tuple[Check, ...]:
    """Measure what an update did to what is remembered: verdicts (but of rows `apart`), labels, answers, sizes."""
    limits = old.settings.guard
    rows = old.detector.memory.calibration.rows
    if apart is not None and len(apart) and len(rows):
        rows = rows[NearestRows(apart).nearest(rows, 1)[0][:, 0] > 0.0]
    exemplars, labels = old.clusters.rows, old.clusters.labels
    known, truth = old.answers.labelled()
    lost = None
    if len(truth):
        lost = guard.precision_lost(
            truth, old.detector.decision_function(known), new.detector.decision_function(known), limits
        )
    checks = (
        guard.normals_changed(
            _alarming(old, old.detector.decision_function(rows), CLEARLY),
            _alarming(new, new.detector.decision_function(rows)),
            limits,
            name="rows clearly normal that would now alarm (share)",
        ),
        guard.labels_changed(labels, new.clusters.assign(exemplars).labels, limits),
        Check("held-out rows with another label (share)", shift, limits.labels_changed, "labels_changed"),
        *([lost] if lost is not None else []),
        guard.within("remembered rows", len(new.detector.memory), new.settings.memory.capacity),
    )
    return checks


@dataclass
class Taken:
    """What was measured of the rows of one update, block by block."""

    rows: int = 0
    events: list[str] = field(default_factory=list)
    shift: float = 0.0
    confirmed: int = 0
    abnormal: list[Bools] = field(default_factory=list)
    causes: Leaders | None = None
    """Of what looked abnormal, as far as the guard counts."""
    to_normal: list[Floats] = field(default_factory=list)
    to_abnormal: list[Floats] = field(default_factory=list)

    def measure(self, old: EmbeddingRecipe, block: Block) -> None:
        """Look at rows as they were seen before the update."""
        places, memory = old.space.of_rows(block.rows), old.detector.memory
        self.rows += len(block)
        some = places[:: max(1, len(places) // MEASURED)]
        abnormal = _alarming(old, old.detector.decision_function(some))
        self.abnormal.append(abnormal)
        if self.causes is None:
            self.causes = Leaders(old.width, old.reach, old.settings.guard.fewest_causes)
        self.causes.joined(some[abnormal], [""] * int(abnormal.sum()))
        if len(memory.abnormal):
            self.confirmed += int((memory.abnormal.ids_of(places) >= 0).sum())
            self.to_normal.append(memory.index().nearest(some, 1)[0][:, 0])
            self.to_abnormal.append(NearestRows(memory.abnormal.rows).nearest(some, 1)[0][:, 0])

    def checks(self, old: EmbeddingRecipe) -> tuple[Check, ...]:
        """Hold against the limits what the rows looked like."""
        limits = old.settings.guard
        normal, abnormal = (np.concatenate([*one, np.empty(0)]) for one in (self.to_normal, self.to_abnormal))
        return (
            guard.looks_abnormal(np.concatenate(self.abnormal), limits, causes=len(self.causes or ())),
            guard.like_abnormal(normal, abnormal, limits),
            guard.confirmed_abnormal(self.confirmed, limits, "rows confirmed abnormal in this data"),
        )


def _watched(reader: VectorReader, listener: Listener, cancel: CancelToken | None) -> Any:
    for block in reader:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled while reading; nothing was changed")
        yield block
        listener(Event("learning", reader.bytes_done, reader.bytes_total, {"records": float(reader.n_rows)}))


def _alarming(recipe: EmbeddingRecipe, scores: Floats, times: float = 1.0) -> Bools:
    """Say of each score [n] whether it alarms, at so many times the alarm rate."""
    return np.asarray(recipe.detector.calibration().p_value(scores)[0] <= times * recipe.alarm_rate)


def _is_known(recipe: EmbeddingRecipe, cause: str) -> bool:
    """Say whether people have said already that a cause is abnormal: it waits for nothing."""
    answer = recipe.answers.by_cause.get(cause)
    return answer is not None and answer.balance > 0


def _let_go_of_what_is_normal_now(new: EmbeddingRecipe) -> None:
    """Take out of quarantine what is like the rows that somebody has vouched for since."""
    memory = new.detector.memory
    if len(memory.quarantine):
        rows = memory.quarantine.rows
        memory.quarantine.forget(memory.quarantine.ids[~_alarming(new, new.detector.decision_function(rows))])
    if len(new.waiting):
        founders, causes = new.waiting.founders, list(new.waiting.groups)
        normal = ~_alarming(new, new.detector.decision_function(founders))
        vouched_for = memory.normal.ids_of(founders) >= 0
        new.waiting.drop([causes[at] for at in np.flatnonzero(normal | vouched_for).tolist()])

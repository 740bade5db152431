"""How does a recipe take in more: rows that somebody vouches for, and rows that nobody does?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.learning import guard
from jamais.learning.answers.leaders import Leaders
from jamais.memory.nearest import NearestRows
from jamais.recipes.series.beginning import Tally, watched
from jamais.recipes.series.judging import Going, Judged, items, judged
from jamais.recipes.series.scorer import SeriesScorer
from jamais.recipes.series.verdicts import Alarm
from jamais.recipes.series.walk import Seen, Walk
from jamais.types import Bools, CancelToken, Check, LearnReport, Listener, Vectors

if TYPE_CHECKING:
    from jamais.recipes.series.recipe import SeriesRecipe

CLEARLY = 2.0
"""Times the alarm rate that a row's p-value is above where it was clearly normal: at the rate itself some rows always
change sides, as many as come, and that is no harm done."""
COMPARED = 64
"""Alarms of a block whose windows are compared with one another and with incidents, evenly spread."""


def learn_trusted(
    old: SeriesRecipe, new: SeriesRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let `new` learn all of `data`; refuse it if that breaks what is remembered."""
    taken, tally, going = Taken(), Tally(), Going()
    prototypes = 0
    last: Seen | None = None
    for seen in _stretches(old, data, tally, listener, cancel):
        taken.measure(old, judged(old, seen, going, hindsight=False))
        prototypes += int(new.banks.learn(seen.values, seen.first))
        last = seen
    if last is None:
        return LearnReport(True, 0, {"rows": 0})
    new.kept.add(last.values)
    new.facts = new.facts.joined(tally.facts())
    _let_go_of_what_is_normal_now(new, taken)
    checks = (*taken.checks(old), *kept_checks(old, new))
    counts = {
        "windows remembered": len(new.banks.remembered.ends),
        "of these new": prototypes,
        "causes that wait for an answer": len(new.waiting),
    }
    return LearnReport(guard.passed(checks), tally.rows, counts, checks)


def learn_unknown(
    old: SeriesRecipe, new: SeriesRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let rows that look normal be counted; anomalies wait in quarantine, and enter no bank."""
    scorer, tally = SeriesScorer(old.causally()), Tally()
    n_normal = n_held = 0
    for seen in _stretches(old, data, tally, listener, cancel):
        of, alarms, _ = scorer.judge(seen)
        n_normal += int((~of.abnormal & ~of.missing).sum())
        n_held += _detain(old, new, alarms)
    new.facts = replace(new.facts, looked_normal=new.facts.looked_normal + n_normal)
    counts = {
        "rows that looked normal and were counted": n_normal,
        "rows held back": n_held,
        "causes that wait for an answer": len(new.waiting),
    }
    return LearnReport(True, tally.rows, counts)


def kept_checks(old: SeriesRecipe, new: SeriesRecipe) -> tuple[Check, ...]:
    """Measure what an update did to the verdicts of normal life that is kept."""
    before, after = (recipe.banks.calibration().p_value(old.kept.scores(recipe.banks))[0] for recipe in (old, new))
    changed = guard.normals_changed(
        before <= CLEARLY * old.alarm_rate,
        after <= new.alarm_rate,
        old.settings.guard,
        name="rows clearly normal that would now alarm (share)",
    )
    # A window that left the sample is like any other now, of which so many alarm.
    return (replace(changed, value=max(0.0, changed.value - new.alarm_rate)),)


@dataclass
class Taken:
    """What was measured of the rows of one update, stretch by stretch, as they were seen before it."""

    confirmed: int = 0
    abnormal: list[Bools] = field(default_factory=list)
    causes: Leaders | None = None
    """Of what looked abnormal, as far as the guard counts."""
    places: list[Vectors] = field(default_factory=list)
    like: int = 0
    """Rows nearer to an incident than to anything normal."""

    def measure(self, old: SeriesRecipe, of: Judged) -> None:
        """Look at rows before they are learned."""
        self.abnormal.append(of.abnormal[~of.missing])
        if self.causes is None:
            self.causes = Leaders(old.width, old.reach, old.settings.guard.fewest_causes)
        at = of.asked[:: max(1, len(of.asked) // COMPARED)]
        places = old.places(of.seen.values, at + of.seen.first)
        alarming = of.abnormal[at]
        self.causes.joined(places[alarming], [""] * int(alarming.sum()))
        self.places.append(places)
        incidents = [one for one in old.answers.by_cause.values() if one.balance > 0]
        if incidents and len(at):
            to_incident = NearestRows(np.concatenate([one.rows for one in incidents])).nearest(places, 1)[0][:, 0]
            share = float((to_incident < of.score[at]).mean())
            self.like += round(share * len(of.asked))
            known = {item for one in incidents for item in one.items}
            names = items(of.seen, old.banks.past)
            self.confirmed += sum(names[row] in known for row in of.asked.tolist())

    def checks(self, old: SeriesRecipe) -> tuple[Check, ...]:
        """Hold against the limits what the rows looked like."""
        limits = old.settings.guard
        abnormal = np.concatenate([*self.abnormal, np.zeros(0, dtype=bool)])
        near = np.zeros(len(abnormal))
        near[: self.like] = 1.0
        return (
            guard.looks_abnormal(abnormal, limits, causes=len(self.causes or ())),
            guard.like_abnormal(near, np.full(len(near), 0.5), limits),
            guard.confirmed_abnormal(self.confirmed, limits, "windows confirmed abnormal in this data"),
        )


def _stretches(
    old: SeriesRecipe, data: Any, tally: Tally, listener: Listener, cancel: CancelToken | None
) -> Iterator[Seen]:
    """Give the rows of data, each stretch with what its windows need of those before."""
    walk = Walk(old.banks.channels, old.banks.past)
    for block in watched(old.batches(data), tally, "learning", listener, cancel):
        seen = walk.push(block)
        if seen is not None:
            yield seen


def _detain(old: SeriesRecipe, new: SeriesRecipe, alarms: list[Alarm]) -> int:
    """Let anomalies wait for an answer, but those that people have called abnormal already; count their rows."""
    held = 0
    for alarm in alarms:
        answer = old.answers.by_cause.get(alarm.cause)
        if answer is not None and answer.balance > 0:
            continue
        held += 1
        waits = alarm.cause in new.waiting.groups
        if waits or alarm.window is not None:
            # The founder of what waits already is kept, and not looked at.
            founder = np.zeros(new.width, dtype=np.float32) if alarm.window is None else alarm.window
            new.waiting.add(alarm.cause, founder, 1, alarm.why)
    return held


def _let_go_of_what_is_normal_now(new: SeriesRecipe, taken: Taken) -> None:
    """Take out of quarantine what is like the windows that somebody has vouched for."""
    vouched = np.concatenate([*taken.places, np.empty((0, new.width), dtype=np.float32)])
    if len(new.waiting) and len(vouched):
        near = NearestRows(vouched).nearest(new.waiting.founders, 1)[0][:, 0] <= new.reach
        causes = list(new.waiting.groups)
        new.waiting.drop([causes[at] for at in np.flatnonzero(near).tolist()])

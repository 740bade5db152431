"""What would an update change of what logs have taught, and may it?"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jamais.learning import guard
from jamais.memory.cover import CoverMemory
from jamais.recipes.logs.events.lexicon import said
from jamais.recipes.logs.events.novelty import Novelty
from jamais.types import Bools, Check, Floats, Ints, LearnReport

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe

CLEARLY = 2.0
"""Times the alarm rate from which on something is clearly normal: what is next to the line may cross it any day."""
MOST_COMPARED = 2_000
"""New templates that are compared with confirmed abnormal ones, the most frequent: some ten seconds of encoding."""
_WHY = re.compile(
    r"(?:never seen|confirmed abnormal before(?: \(.*?\))?|rare: in [\d,]+ of [\d,]+ before): (.*?)(?:; |$)", re.S
)


def checks_of_data(
    old: LogRecipe, new: LogRecipe, items: Collection[str], events: Ints, counts: Ints
) -> tuple[Check, ...]:
    """Measure what vouched-for data would change; `events` [n] are its templates, `counts` [n] their records."""
    limits = old.settings.guard
    bad = sum(old.confirmed.is_abnormal(item) for item in items)
    return (
        *checks_of_memory(old, new),
        guard.confirmed_abnormal(bad, limits),
        *_like_abnormal(old, new, events, counts),
        _looks_abnormal(old, events, counts),
        guard.within("vectors in memory", len(new.meaning.memory), new.settings.memory.capacity),
        guard.within("templates", new.n_templates(), new.settings.parsing.max_templates),
    )


def guarded_answers(old: LogRecipe, new: LogRecipe, report: LearnReport) -> LearnReport:
    """Add to the report of answers what they would change; refused are those that make much of normal life alarm."""
    checks = (*report.checks, *checks_of_memory(old, new)[:1])
    return replace(report, accepted=report.accepted and guard.passed(checks), checks=checks)


def checks_of_memory(old: LogRecipe, new: LogRecipe) -> tuple[Check, ...]:
    """Measure what happens to remembered normals, and to the order of what has a known label."""
    n = len(old.unit.rarity.counts)
    canonical = new.parser.canonical()[:n]
    nats_before, nats_after = _nats(old)[:n], _nats(new)[canonical]
    limits, counts = old.settings.guard, old.unit.rarity.counts
    changed = guard.normals_changed(_alarms(old, nats_before, CLEARLY), _alarms(new, nats_after), limits, counts)
    bad = [item for item in old.confirmed.answers if old.confirmed.is_abnormal(item)]
    normal = np.array([item not in bad for item in old.parser.ids[:n]], dtype=bool) & (counts > 0)
    lost = guard.precision_lost(
        np.r_[np.zeros(int(normal.sum())), np.ones(len(bad))],
        np.r_[nats_before[normal], _answered(old, bad)],
        np.r_[nats_after[normal], _answered(new, bad)],
        limits,
    )
    return (changed,) if lost is None else (changed, lost)


def _looks_abnormal(old: LogRecipe, events: Ints, counts: Ints) -> Check:
    """Measure the share of records that were never seen, or alarm alone, in the old state.

    Records, not rows: after a change of life every session or window holds something new, and much that is known.
    """
    known = events < len(old.parser)
    odd = np.ones(len(events), dtype=bool)
    odd[known] = _alarms(old, _nats(old)[events[known]])
    name = "records that looked abnormal before (share)"
    return guard.looks_abnormal(odd, old.settings.guard, counts, name, causes=int(odd.sum()))


def _nats(recipe: LogRecipe) -> Floats:
    """Give the surprise [n] of every known template, answers of people included."""
    return recipe.scorer().verdicts.surprise.nats()


def _alarms(recipe: LogRecipe, nats: Floats, times: float = 1.0) -> Bools:
    """Say what alarms [n] at so many times the alarm rate."""
    return recipe.calibration.p_value(nats)[0] <= times * recipe.alarm_rate


def _answered(recipe: LogRecipe, items: list[str]) -> Floats:
    """Give the surprise [n] of items that a person has spoken of."""
    never = recipe.scorer().verdicts.surprise.never
    return np.array([recipe.confirmed.nats(item, never) for item in items])


def _like_abnormal(old: LogRecipe, new: LogRecipe, events: Ints, counts: Ints) -> tuple[Check, ...]:
    """Measure the share of records with a new template that says nearly what a confirmed abnormal one said."""
    texts = [_bare(answer.text) for answer in old.confirmed.answers.values() if answer.abnormal]
    known, n_old = old.confirmed.answers, len(old.parser)
    chosen = np.array([event >= n_old and new.parser.ids[event] not in known for event in events.tolist()], dtype=bool)
    events, counts = events[chosen], counts[chosen]
    most = np.argsort(-counts, kind="stable")[:MOST_COMPARED]
    events, counts = events[most], counts[most]
    if not texts or not len(events):
        return ()
    encoder = old.meaning.encoder
    bad = CoverMemory(max(2, len(texts)))
    bad.add(encoder.encode(texts))
    vectors = encoder.encode([said(new.parser.contexts[event], new.parser.texts[event]).text for event in events])
    to_normal = old.meaning.novelty.nearest(vectors, 1)[0][:, 0]
    to_abnormal = Novelty(bad).nearest(vectors, 1)[0][:, 0]
    return (guard.like_abnormal(to_normal, to_abnormal, old.settings.guard, counts, _reach(old)),)


def _bare(told: str) -> str:
    """Give the text of a template without the words that say why it alarmed, which an answer keeps with it."""
    found = _WHY.search(told)
    return found[1] if found else told


def _reach(recipe: LogRecipe) -> float:
    """Give the distance within which a text says nearly the same: half of all known templates have another as near.

    Without it the nearest confirmed abnormal text is nearer than any normal one to a quarter of all new normal
    templates (BGL after 30 %), although it is about something else.
    """
    distances = recipe.meaning.distances
    return float(np.median(distances)) if len(distances) else np.inf

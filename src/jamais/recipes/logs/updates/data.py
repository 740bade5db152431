"""How does a recipe take in more data, vouched for or not?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.learning.guard import passed
from jamais.recipes.logs.reading.learner import Learner
from jamais.recipes.logs.updates.before import Before
from jamais.recipes.logs.updates.checks import checks_of_data, checks_of_memory
from jamais.recipes.logs.updates.sifter import Sifter
from jamais.types import CancelToken, LearnReport, Listener

if TYPE_CHECKING:
    from jamais.recipes.logs.recipe import LogRecipe


def learn_trusted(
    old: LogRecipe, new: LogRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let `new` learn all of `data`; refuse it if that breaks what is remembered."""
    known = old.n_templates()
    watched = {*old.confirmed.answers, *old.quarantine.items}
    before = Before(old)
    with Learner(new.parser, new.slots, new.settings, watched, old.profile()) as learner:
        learner.read(data, listener, cancel, before.look)
        before.end()
        records = learner.facts.records
        if not records:
            return LearnReport(True, 0, {"new templates": 0})
        events, counts = np.unique(np.asarray(learner.columns().events, dtype=np.int64), return_counts=True)
        ids = learner.met | {new.parser.ids[event] for event in events.tolist()}
        new.take(learner, 1.0)
    for item in ids:
        new.quarantine.release(item)
    checks = checks_of_data(old, new, ids, events, counts)
    totals = {
        "new templates": new.n_templates() - known,
        "templates": new.n_templates(),
        "rows": before.n_rows,
        "rows that looked abnormal before": before.n_abnormal,
    }
    return LearnReport(passed(checks), records, totals, checks, before.events())


def learn_unknown(
    old: LogRecipe, new: LogRecipe, data: Any, listener: Listener, cancel: CancelToken | None
) -> LearnReport:
    """Let rows that look normal refresh counts and dates; the others wait in quarantine."""
    with Sifter(old) as sifted:
        sifted.read(data, listener, cancel)
        columns, normal = sifted.columns, sifted.normal
        new.refresh(sifted.kept(), sifted.facts)
        for item, text, count, time in sifted.abnormal_items():
            if item not in old.confirmed.answers:
                new.quarantine.add(item, text, count, time)
    counts = {
        "records that looked normal and were learned": int(normal.sum()),
        "records held back": int((~normal).sum()),
        "items in quarantine": len(new.quarantine),
    }
    checks = checks_of_memory(old, new)
    return LearnReport(passed(checks), len(columns), counts, checks, sifted.before.events())

"""From records to verdicts: one pass that changes nothing it was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import polars as pl

from jamais.parsing.memo import LineMemo
from jamais.parsing.slots import SlotTable
from jamais.recipes.logs.events.lexicon import Lexicon
from jamais.recipes.logs.events.slot_watch import SlotWatch
from jamais.recipes.logs.reading.groups import Grouper
from jamais.recipes.logs.units.batch import Batch, Judged
from jamais.recipes.logs.verdicts import Verdicts
from jamais.sources.records import Records
from jamais.types import StateTree


class UnitScorer(Protocol):
    """Judges lines, sessions or windows."""

    grouped: bool
    """Whether a row is a session or window rather than a line."""

    def push(self, batch: Batch) -> Judged | None: ...

    def flush(self) -> Iterator[Judged]: ...

    def end(self, names: list[str]) -> Judged | None: ...

    def tick(self, passed: int) -> Judged | None: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...


class LogScorer:
    """Pushes batches of records through lexicon, unit and verdicts; owns all that grows on the way."""

    def __init__(
        self,
        lexicon: Lexicon,
        memo: LineMemo,
        slots: SlotTable,
        grouper: Grouper | None,
        unit: UnitScorer,
        verdicts: Verdicts,
    ) -> None:
        self.lexicon, self.memo, self.slots = lexicon, memo, slots
        self.grouper, self.unit, self.verdicts = grouper, unit, verdicts
        self.n_records = 0
        self.watch = SlotWatch(slots, lexicon.n_known)

    def push(self, records: Records) -> pl.DataFrame | None:
        """Score a batch; give the verdicts that are decided by now, None if there are none."""
        if not len(records):
            return None
        events = self.memo.codes(records.blob, records.each, self.lexicon.resolver(records))
        slot_nats, slot_why = self.watch.look(records, events)
        # An odd value is no more surprising than a line never seen.
        slot_nats = np.minimum(slot_nats, self.verdicts.surprise.never)
        groups = self.grouper.names(records) if self.grouper is not None else None
        judged = self.unit.push(Batch(records, events, self.n_records, groups, slot_nats, slot_why))
        self.n_records += len(records)
        return None if judged is None else self.verdicts.frame(judged)

    def end(self, names: list[str]) -> pl.DataFrame | None:
        """Close the named sessions."""
        judged = self.unit.end(names)
        return None if judged is None else self.verdicts.frame(judged)

    def tick(self, passed: int) -> pl.DataFrame | None:
        """Let the clock of the stream stand `passed` microseconds after its last record."""
        judged = self.unit.tick(passed)
        return None if judged is None else self.verdicts.frame(judged)

    def flush(self) -> Iterator[pl.DataFrame]:
        """Decide all that is still open."""
        for judged in self.unit.flush():
            yield self.verdicts.frame(judged)

    def state_dict(self) -> StateTree:
        """Give, as JSON values, all that a scorer of the same version needs to go on exactly."""
        return {"n_records": self.n_records, "lexicon": self.lexicon.state_dict(), "unit": self.unit.state_dict()}

    def load_state_dict(self, tree: StateTree) -> None:
        self.n_records = int(tree["n_records"])
        self.lexicon.load_state_dict(tree["lexicon"])
        self.unit.load_state_dict(tree["unit"])

    def empty(self) -> pl.DataFrame:
        """Give a frame without rows."""
        return self.verdicts.empty(grouped=self.unit.grouped)

"""How is each line judged by itself?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jamais.detectors.evidence.rarity import Rarity, prequential_nats
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.units.batch import Batch, Judged
from jamais.recipes.logs.units.unit import Origins
from jamais.types import Floats, Ints, StateTree


class Lines:
    """What is known of single lines: how often each template came."""

    def __init__(self) -> None:
        self.rarity = Rarity()

    def calibrate(self, columns: Columns, share: float, extra: Floats, origins: Origins) -> Floats:
        """Learn all lines; give the scores that the last `share` of them had when they came."""
        start = round(len(columns) * (1.0 - share))
        events = np.asarray(columns.events)
        nats, came_first = prequential_nats(self.rarity, events, start)
        counts = np.bincount(events)
        self.rarity.add(np.arange(len(counts)), units=len(events), weight=counts)
        return nats + np.where(came_first, extra[events[start:]], 0.0)

    def fold(self, canonical: Ints) -> None:
        self.rarity.fold(canonical)

    def scorer(self, surprise: Surprise, origins: Origins, idle: int | None) -> LineScorer:
        return LineScorer(surprise)

    def state_dict(self) -> StateTree:
        return {"rarity": self.rarity.state_dict()}

    def load_state_dict(self, tree: StateTree) -> None:
        self.rarity.load_state_dict(tree["rarity"])


class LineScorer:
    """Judges lines one by one; holds nothing back."""

    grouped = False

    def __init__(self, surprise: Surprise) -> None:
        self.surprise = surprise
        self.n_rows = 0

    def push(self, batch: Batch) -> Judged:
        n = len(batch.events)
        nats = batch.loudness(self.surprise.nats())
        slots = ((i, batch.slot_reason(i, nats)) for i in batch.slot_why)
        judged = Judged(
            row=np.arange(self.n_rows, self.n_rows + n),
            score=nats,
            event=batch.events,
            time=batch.records.time,
            line=batch.records.line,
            reasons={i: reason for i, reason in slots if reason is not None},
        )
        self.n_rows += n
        return judged

    def flush(self) -> Iterator[Judged]:
        return iter(())

    def end(self, names: list[str]) -> Judged | None:
        return None

    def tick(self, passed: int) -> Judged | None:
        return None

    def state_dict(self) -> StateTree:
        return {"n_rows": self.n_rows}

    def load_state_dict(self, tree: StateTree) -> None:
        self.n_rows = int(tree["n_rows"])

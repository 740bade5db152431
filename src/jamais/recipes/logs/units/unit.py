"""What must lines, sessions and windows be able to do?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jamais.detectors.evidence.rarity import Rarity
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.scorer import UnitScorer
from jamais.types import Floats, Ints, StateTree


@dataclass(frozen=True)
class Origins:
    """Which source each known event comes from: `source_of: [n_events]` numbers `sources`."""

    sources: list[str]
    source_of: Ints

    @classmethod
    def of(cls, contexts: list[str]) -> Origins:
        numbers: dict[str, int] = {}
        source_of = [numbers.setdefault(context.partition("\x1f")[2], len(numbers)) for context in contexts]
        return cls(list(numbers), np.array(source_of, dtype=np.int64))


class Unit(Protocol):
    """What is known of the rows that are scored."""

    rarity: Rarity

    def calibrate(self, columns: Columns, share: float, extra: Floats, origins: Origins) -> Floats:
        """Learn all rows; give the scores `[m]` that the last `share` of them had when they came.

        `extra: [n_events]` are the nats that an event had on top of its rarity while it was unseen.
        """
        ...

    def scorer(self, surprise: Surprise, origins: Origins, idle: int | None) -> UnitScorer: ...

    def fold(self, canonical: Ints) -> None: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...

"""What must lines, sessions and windows be able to do?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jamais.detectors.rarity import Rarity
from jamais.recipes.logs.columns import Columns
from jamais.recipes.logs.scorer import UnitScorer
from jamais.recipes.logs.surprise import Surprise
from jamais.types import Floats, Ints, StateTree


@dataclass(frozen=True)
class Guide:
    """What is known of events beside their counts, all `[n_events]`."""

    extra: Floats
    """Nats that an event had on top of its rarity while it was unseen."""
    source_of: Ints
    """Number of the source that an event comes from."""
    sources: list[str]


class Unit(Protocol):
    """What is known of the rows that are scored."""

    rarity: Rarity

    def calibrate(self, columns: Columns, share: float, guide: Guide) -> Floats:
        """Learn all rows; give the scores `[m]` that the last `share` of them had when they came."""
        ...

    def scorer(self, surprise: Surprise, guide: Guide, idle: int | None) -> UnitScorer: ...

    def fold(self, canonical: Ints) -> None: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...

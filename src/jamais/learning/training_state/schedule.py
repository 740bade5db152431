"""Which learning rate belongs to a step? A pure function of the step: nothing to save but its definition."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from jamais.errors import SettingsError, StateError
from jamais.types import StateTree

Kind = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True)
class Schedule:
    """Rise linearly over the warm-up to `rate`, then stay there or fall; raise `SettingsError` on nonsense."""

    kind: Kind = "constant"
    rate: float = 1e-3
    """Highest rate, reached at the end of the warm-up."""
    warmup_steps: int = 0
    """Steps over which the rate rises from 0; excludes `warmup_share`."""
    warmup_share: float = 0.0
    """The same as a share of `total_steps`, at least one step when it is not 0."""
    total_steps: int = 0
    """Where the fall ends; wanted by `linear` and `cosine`."""
    floor: float = 0.0
    """Share of `rate` below which it never falls after the warm-up."""

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear", "cosine"):
            raise SettingsError(f"schedule.kind must be constant, linear or cosine, got {self.kind!r:.40}")
        if not 0.0 <= self.rate < math.inf or not 0.0 <= self.floor <= 1.0 or not 0.0 <= self.warmup_share <= 1.0:
            raise SettingsError(
                "schedule wants rate >= 0, 0 <= floor <= 1 and 0 <= warmup_share <= 1, "
                f"got {self.rate}, {self.floor}, {self.warmup_share}"
            )
        if self.warmup_steps < 0 or self.total_steps < 0 or (self.warmup_steps and self.warmup_share):
            raise SettingsError("schedule wants steps >= 0, and only one of warmup_steps and warmup_share")
        if not self.total_steps and (self.kind != "constant" or self.warmup_share):
            raise SettingsError(f"a {self.kind} schedule wants total_steps, got {self.total_steps}")

    def rate_at(self, step: int) -> float:
        """Return the rate of the update number `step`, counted from 0."""
        return self.rate * self._share_at(step)

    def _share_at(self, step: int) -> float:
        warm = self.warmup_steps
        if self.warmup_share:
            warm = max(1, round(self.total_steps * self.warmup_share))
        if step < warm:
            return (step + 1) / warm
        if self.kind == "constant":
            return 1.0
        gone = (step - warm) / max(1, self.total_steps - warm)
        if self.kind == "linear":
            return max(self.floor, 1.0 - gone)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * min(gone, 1.0)))

    def to_state(self) -> StateTree:
        """Return the definition; there is no other state."""
        plain = dataclasses.asdict(self)
        return plain | {name: float(plain[name]) for name in ("rate", "warmup_share", "floor")}

    @classmethod
    def from_state(cls, tree: StateTree) -> Schedule:
        """Make the schedule of a saved definition; raise `StateError` when it is none."""
        wanted = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        if type(tree) is not dict or {name: type(value) for name, value in tree.items()} != wanted:
            raise StateError(f"scheduler: not the definition of a schedule: {str(tree)[:80]}: load another version")
        try:
            return cls(**tree)
        except SettingsError as error:
            raise StateError(f"scheduler: {error}: load another version") from None

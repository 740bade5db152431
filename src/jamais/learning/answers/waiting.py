"""Which causes wait for an answer? Groups of rows that nobody vouches for; being seen often releases none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from jamais.errors import CorruptStateError
from jamais.types import StateTree, Vectors


@dataclass(frozen=True)
class Group:
    """Alarms of one cause, in quarantine."""

    founder: Vectors
    """The first row [width]."""
    alarms: int
    why: str


class Waiting:
    """Groups by cause, in the order in which they came; bounded: when full, the one with the fewest alarms goes."""

    def __init__(self, width: int, capacity: int) -> None:
        self.width, self.capacity = width, capacity
        self.groups: dict[str, Group] = {}

    def __len__(self) -> int:
        return len(self.groups)

    def add(self, cause: str, founder: Vectors, alarms: int, why: str) -> None:
        """Count more alarms of a cause."""
        before = self.groups.get(cause)
        new = Group(np.array(founder, dtype=np.float32), 0, why) if before is None else before
        self.groups[cause] = replace(new, alarms=new.alarms + alarms)
        if len(self.groups) > self.capacity:
            self.groups.pop(min(self.groups, key=lambda one: (self.groups[one].alarms, one == cause)))

    def drop(self, causes: Iterable[str]) -> None:
        for cause in list(causes):
            self.groups.pop(cause, None)

    @property
    def founders(self) -> Vectors:
        """The first row of each group [m, width]."""
        rows = [group.founder for group in self.groups.values()]
        return np.stack(rows) if rows else np.empty((0, self.width), dtype=np.float32)

    def copy(self) -> Waiting:
        new = Waiting(self.width, self.capacity)
        new.groups = dict(self.groups)
        return new

    def state_dict(self) -> StateTree:
        return {
            "founders": self.founders,
            "groups": [[cause, group.alarms, group.why] for cause, group in self.groups.items()],
        }

    def load_state_dict(self, tree: StateTree) -> None:
        founders = np.asarray(tree["founders"], dtype=np.float32)
        if founders.shape != (len(tree["groups"]), self.width):
            raise CorruptStateError("groups in quarantine and their rows do not fit together: load another version")
        self.groups = {
            str(cause): Group(np.array(founders[at]), int(alarms), str(why))
            for at, (cause, alarms, why) in enumerate(tree["groups"])
        }

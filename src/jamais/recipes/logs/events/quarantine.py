"""Where does data wait that looked abnormal and that nobody has vouched for?"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from jamais.types import NO_TIME, StateTree


@dataclass(frozen=True)
class Waiting:
    """One item in quarantine."""

    text: str
    count: int
    first_time: int
    last_time: int


class Quarantine:
    """Items by id, with counts. Being seen often never releases anything: only a person or trusted data does."""

    def __init__(self, capacity: int = 10_000) -> None:
        self.capacity = capacity
        self.items: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: str, text: str, count: int, time: int) -> None:
        """Count an item; when full, the one seen longest ago makes room."""
        known = self.items.pop(item, None)
        first = time if known is None or known.first_time == NO_TIME else known.first_time
        self.items[item] = Waiting(text, count + (known.count if known else 0), first, time)
        if len(self.items) > self.capacity:
            self.items.pop(next(iter(self.items)))

    def release(self, item: str) -> None:
        self.items.pop(item, None)

    def copy(self) -> Quarantine:
        new = Quarantine(self.capacity)
        new.items = dict(self.items)
        return new

    def state_dict(self) -> StateTree:
        items = {item: list(astuple(waiting)) for item, waiting in self.items.items()}
        return {"capacity": self.capacity, "items": items}

    def load_state_dict(self, tree: StateTree) -> None:
        self.capacity = int(tree["capacity"])
        self.items = {item: Waiting(str(w[0]), int(w[1]), int(w[2]), int(w[3])) for item, w in tree["items"].items()}

"""Which events has a session held so far? Bags of events as states of an automaton, one step per record."""

from __future__ import annotations

import numpy as np

from jamais.types import Ints, StateTree

EMPTY = 0
COUNT_CAP = 3  # three of a kind or more are alike: keeps retries from making endless states
EVENT_BITS = 24

Bag = tuple[tuple[int, int], ...]


class Bags:
    """Numbers the bags (event -> count, at most three each) that sessions pass through.

    A session's state is one integer and one dictionary look-up per record moves it on, so a million sessions fit
    in a few bytes each. Beyond `capacity` bags a new one is known by its last event alone.
    """

    def __init__(self, capacity: int = 5_000) -> None:
        self.capacity = capacity
        self.bags: list[Bag] = [()]
        self._numbers: dict[Bag, int] = {(): EMPTY}
        self.steps: dict[int, int] = {}
        """`state << EVENT_BITS | event` -> next state: read it directly in loops, call `step` when it has no answer."""

    def __len__(self) -> int:
        return len(self.bags)

    def step(self, state: int, event: int) -> int:
        """Move on from `state` by one `event`, numbering the next bag if it is new."""
        key = state << EVENT_BITS | event
        known = self.steps.get(key)
        if known is not None:
            return known
        counts = dict(self.bags[state])
        counts[event] = min(COUNT_CAP, counts.get(event, 0) + 1)
        bag: Bag = tuple(sorted(counts.items()))
        if bag not in self._numbers and len(self.bags) >= self.capacity:
            bag = ((event, COUNT_CAP + 1),)
        self.steps[key] = self.number(bag)
        return self.steps[key]

    def number(self, bag: Bag) -> int:
        """Give the state of a bag, numbering it if it is new."""
        number = self._numbers.setdefault(bag, len(self.bags))
        if number == len(self.bags):
            self.bags.append(bag)
        return number

    def events(self, state: int) -> list[int]:
        """List the distinct events in the bag of `state`."""
        return [event for event, _ in self.bags[state]]

    def fork(self, extra: int = 50_000) -> Bags:
        """Copy, with room for `extra` more bags: scoring numbers new bags here and leaves the learned ones alone."""
        copy = Bags(len(self.bags) + extra)
        copy.bags = list(self.bags)
        copy._numbers = dict(self._numbers)
        copy.steps = dict(self.steps)
        return copy

    def fold(self, canonical: Ints) -> Ints:
        """Rename events (`canonical: [n]`) and give the new number of every state."""
        old, self.bags, self._numbers, self.steps = self.bags, [], {}, {}
        moved = np.empty(len(old), dtype=np.int64)
        for state, bag in enumerate(old):
            counts: dict[int, int] = {}
            for event, count in bag:
                name = int(canonical[event])
                counts[name] = max(count, min(COUNT_CAP, counts.get(name, 0) + count))
            renamed: Bag = tuple(sorted(counts.items()))
            moved[state] = self._numbers.setdefault(renamed, len(self.bags))
            if moved[state] == len(self.bags):
                self.bags.append(renamed)
        return moved

    def state_dict(self) -> StateTree:
        return {"capacity": self.capacity, "bags": [[list(pair) for pair in bag] for bag in self.bags]}

    def load_state_dict(self, tree: StateTree) -> None:
        self.capacity = int(tree["capacity"])
        self.bags = [tuple((int(e), int(c)) for e, c in bag) for bag in tree["bags"]]
        self._numbers = {bag: number for number, bag in enumerate(self.bags)}
        self.steps = {}

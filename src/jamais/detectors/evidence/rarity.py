"""How rare is this event? In nats: 0 = in every unit, log(2n + 2) = never seen in n units."""

from __future__ import annotations

import numpy as np

from jamais.types import Bools, Codes, Floats, Ints, StateTree


class Rarity:
    """Counts of the units (lines, sessions or windows) that held each event.

    The surprise of an event is `-log((count + 1/2) / (units + 1))`: frequency, not membership, so that a few
    abnormal rows among the fit data do not make their events normal for ever.
    """

    def __init__(self) -> None:
        self.counts: Floats = np.zeros(0)
        self.units = 0.0

    def add(self, events: Codes | Ints, *, units: float, weight: Floats | Ints | float = 1.0) -> None:
        """Count `events: [m]` (each at most once per unit, or with a `weight: [m]`) that `units` more units held."""
        self.grow(int(events.max()) + 1 if len(events) else 0)
        np.add.at(self.counts, events, weight)
        self.units += units

    def grow(self, n_events: int) -> None:
        """Make room for at least `n_events` events."""
        if n_events > len(self.counts):
            self.counts = np.concatenate([self.counts, np.zeros(n_events - len(self.counts))])

    def nats(self, n_events: int | None = None) -> Floats:
        """Give the surprise of every event `[n_events]`; events beyond the counted ones were never seen."""
        wanted = len(self.counts) if n_events is None else n_events
        counts = np.zeros(wanted)
        known = min(wanted, len(self.counts))
        counts[:known] = self.counts[:known]
        return -np.log((counts + 0.5) / (self.units + 1.0))

    def fold(self, canonical: Ints) -> None:
        """Move counts of events that turned out to be the same: `canonical: [n]` names the survivor of each."""
        self.grow(len(canonical))
        counts = self.counts[: len(canonical)]
        self.counts = np.bincount(canonical, counts, minlength=len(canonical)).astype(np.float64)

    def state_dict(self) -> StateTree:
        return {"counts": self.counts, "units": self.units}

    def load_state_dict(self, tree: StateTree) -> None:
        self.counts = np.asarray(tree["counts"], dtype=np.float64)
        self.units = float(tree["units"])


def prequential_nats(known: Rarity, events: Codes, start: int) -> tuple[Floats, Bools]:
    """Give each of `events[start:]` the surprise it had when it came, all rows before it being known.

    `events: [n]`, one per unit, in time order, on top of what is `known` already. Gives the surprise and whether
    the event had never come before, both [n - start].
    """
    order = np.argsort(events, kind="stable")
    in_order = events[order]
    first = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]]) if len(events) else np.empty(0, np.int64)
    run = np.repeat(first, np.diff(np.r_[first, len(events)]))
    before = np.zeros(int(events.max(initial=-1)) + 1)
    shared = min(len(before), len(known.counts))
    before[:shared] = known.counts[:shared]
    seen = np.empty(len(events))
    seen[order] = np.arange(len(events)) - run
    seen = (seen + before[events])[start:]
    units = known.units + np.arange(start, len(events))
    return -np.log((seen + 0.5) / (units + 1.0)), seen == 0

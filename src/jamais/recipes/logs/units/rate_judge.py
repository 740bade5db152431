"""Which count of one window is furthest from normal, and how is that said?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamais.detectors.evidence.rates import Rates
from jamais.types import Codes, Ints


@dataclass(frozen=True)
class Odd:
    """The most surprising count of a window; `key` is an event, or a source if `of_source`."""

    nats: float
    key: int
    count: int
    of_source: bool


NOTHING_ODD = Odd(0.0, -1, 0, False)


class RateJudge:
    """Compares the counts of one window with the usual ones, event by event and source by source."""

    def __init__(self, rates: Rates, source_rates: Rates, source_of: Ints) -> None:
        self.rates = rates
        self.source_rates = source_rates
        self.source_of = source_of
        """[n known events] the number of the source that each comes from."""
        self._steady = rates.steady()
        self._steady_sources = source_rates.steady()

    def oddest(self, events: Codes | Ints, counts: Ints) -> tuple[Odd, Odd]:
        """Judge a whole window: distinct `events: [m]` came `counts: [m]` times, all others never.

        Gives the oddest count of an event and the oddest of a source.
        """
        known = events < min(len(self.rates.sums), len(self.source_of))
        events, counts = events[known], counts[known]
        sums = np.bincount(self.source_of[events], counts, minlength=len(self.source_rates.sums)).astype(np.int64)
        sources = np.flatnonzero(sums)
        sources = sources[sources < len(self.source_rates.sums)]
        by_event = _loudest(self.rates, self._steady, events, counts, False)
        by_source = _loudest(self.source_rates, self._steady_sources, sources, sums[sources], True)
        return by_event, by_source


def _loudest(rates: Rates, steady: Ints, keys: Codes | Ints, counts: Ints, of_source: bool) -> Odd:
    absent = np.setdiff1d(steady, keys, assume_unique=True)
    all_keys = np.concatenate([keys, absent]).astype(np.int64)
    if not len(all_keys):
        return NOTHING_ODD
    all_counts = np.concatenate([counts, np.zeros(len(absent), dtype=np.int64)])
    nats = rates.nats(all_keys, all_counts)
    best = int(np.argmax(nats))
    return Odd(float(nats[best]), int(all_keys[best]), int(all_counts[best]), of_source)

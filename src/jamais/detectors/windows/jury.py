"""How do several banks judge the windows of a series together? Here is the line that says how abnormal a row is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jamais.detectors.windows.bank import FAR, Bank
from jamais.detectors.windows.described.descriptors import Descriptor
from jamais.detectors.windows.described.grid import NOTCHES
from jamais.detectors.windows.described.trailing import Trailing
from jamais.detectors.windows.remembered import Remembered
from jamais.types import Floats, Ints, Vectors

USUAL = 0.95
"""Quantile of the distances between normal windows that counts as one in every bank."""
MOST = 5.0
"""What the vote of a bank comes near to, however far a window is."""
ENOUGH = 0.75
"""Share of the rows of a window in which something must be known, or a bank says nothing of it."""
MEASURED = 4_096
"""Rows, evenly spread, that tell what is usual, and how often each remembered window is the nearest."""
_AT_ONCE = 1024  # rows described together; changes no result
_WINDOWS = 16  # of those that are remembered
_LEAST_UNIT = 0.05  # spreads: what is nearer than that is near in any bank
_EXACT = 2.0**-30  # votes are whole multiples, so that running sums of them are exact


@dataclass(frozen=True)
class Jury:
    """Banks over the same remembered windows, and what distance is usual in each."""

    banks: tuple[Bank, ...]
    ends: Ints
    """[m] rows of history at which the remembered windows end."""
    stands: Ints
    """[m] windows that each stands for."""
    neighbours: int
    units: Floats
    """[banks]"""

    @classmethod
    def of(
        cls,
        described: Sequence[Floats],
        descriptors: Sequence[Descriptor],
        remembered: Remembered,
        neighbours: int,
        units: Floats,
    ) -> Jury:
        """Make one of remembered windows as they are described, a table [m, width] for each descriptor."""
        banks = tuple(Bank(one, rows) for one, rows in zip(descriptors, described, strict=True))
        return cls(banks, remembered.ends, remembered.stands, neighbours, units)

    @property
    def past(self) -> int:
        """Rows before a row that are looked at."""
        return max(bank.descriptor.w for bank in self.banks) - 1

    @property
    def weights(self) -> Floats:
        """The weight of each bank [banks]: those of one group share one vote."""
        groups = [bank.descriptor.group for bank in self.banks]
        return np.array([1.0 / groups.count(group) for group in groups])

    def score(self, parts: Floats) -> Floats:
        """Sum the votes of the banks, made of their `parts` [n, banks].

        A vote is bounded, so that one bank alone cannot outcry the others.
        """
        score = np.zeros(len(parts))
        for at, weight in enumerate(self.weights.tolist()):
            score += weight * (MOST * parts[:, at] / (MOST + parts[:, at]))
        return score

    def parts(self, steps: Floats, context: int, first: int, *, apart: bool = False) -> Floats:
        """Give the distances of rows `first`… of `steps` to each bank in units, [n, banks]; looks from `context` on.

        With `apart`, rows are rows of history, and remembered windows of the same time do not count.
        """
        parts = np.empty((len(steps) - first, len(self.banks)))
        for rows, trailing in _blocks(steps, first, context, self.past):
            looked = len(trailing.steps) - len(rows)
            known = _rows_known(trailing.steps)
            whole = looked >= self.past and len(known) == known[-1] + 1
            for at, bank in enumerate(self.banks):
                compared = bank.compare(bank.descriptor.of(trailing)[-len(rows) :])
                if apart:
                    compared.rest[np.abs(rows[:, None] - self.ends) < bank.descriptor.w] = FAR
                found = compared.distances(self.neighbours, self.stands) / self.units[at]
                if not whole:
                    # The first rows of a series, or behind a gap, would be unlike any window for being so few.
                    found[_trailing_counts(known, bank.descriptor.w)[looked:] < ENOUGH * bank.descriptor.w] = 0.0
                parts[rows - first, at] = found
        return parts

    def covering(self, parts: Floats) -> Floats:
        """Give each row the mean over the windows that hold it, bank by bank; as many as there are."""
        whole, n = np.rint(parts / _EXACT), len(parts)
        running = np.concatenate([np.zeros((1, parts.shape[1])), np.cumsum(whole, axis=0)])
        covered = np.empty_like(parts)
        for at, bank in enumerate(self.banks):
            stop = np.minimum(np.arange(n) + bank.descriptor.w, n)
            covered[:, at] = (running[stop, at] - running[:n, at]) * _EXACT / (stop - np.arange(n))
        return covered

    def measured(self, steps: Floats) -> Jury:
        """Give the jury whose units are what is usual between windows of normal `steps` that are not of one time."""
        some = np.unique(np.linspace(0, len(steps) - 1, MEASURED).astype(np.int64))
        units = np.empty(len(self.banks))
        distances: list[list[Floats]] = [[] for _ in self.banks]
        for rows, trailing, first in _chosen(steps, some, self.past):
            for at, bank in enumerate(self.banks):
                compared = bank.compare(_described(bank.descriptor, trailing)[rows - first])
                compared.rest[np.abs(rows[:, None] - self.ends) < bank.descriptor.w] = FAR
                distances[at].append(compared.distances(self.neighbours, self.stands))
        for at, bank in enumerate(self.banks):
            # A channel that has never been silent has no usual silence: its own measure stands.
            least = 1.0 if bank.descriptor.group == "silence" else _LEAST_UNIT
            units[at] = max(float(np.quantile(np.concatenate(distances[at]), USUAL)), least)
        return replace(self, units=units)

    def counts(self, steps: Floats, first: int = 0) -> Ints:
        """Count [banks, m] of how many rows, of some evenly spread, each remembered window is the nearest."""
        counts = np.zeros((len(self.banks), len(self.ends)), dtype=np.int64)
        some = np.unique(np.linspace(first, len(steps) - 1, MEASURED).astype(np.int64))
        for rows, trailing, first in _chosen(steps, some, self.past):
            for at, bank in enumerate(self.banks):
                nearest = bank.compare(_described(bank.descriptor, trailing)[rows - first]).slots()
                counts[at] += np.bincount(nearest, minlength=len(self.ends))
        return counts

    def places(self, described: Sequence[Floats]) -> Vectors:
        """Put the descriptions of windows side by side: [m, width]. Squared distances of such places are the weighted
        sums of those in the banks; unknown is 0."""
        factors = np.sqrt(self.weights) / (NOTCHES * self.units)
        parts = [
            (np.nan_to_num(one, nan=0.0) * factor).astype(np.float32)
            for one, factor in zip(described, factors.tolist(), strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def own_places(self) -> Vectors:
        """Give the places [m, width] of what is remembered."""
        return self.places([bank.rows for bank in self.banks])


def described(descriptors: Sequence[Descriptor], steps: Floats, rows: Ints) -> list[Floats]:
    """Describe the windows that end at `rows` [m] of `steps`, a table [m, width] for each descriptor."""
    order, past = np.argsort(rows, kind="stable"), max(one.w for one in descriptors) - 1
    found: list[list[Floats]] = [[] for _ in descriptors]
    for some, trailing, first in _chosen(steps, rows[order], past):
        for at, one in enumerate(descriptors):
            found[at].append(_described(one, trailing)[some - first])
    if not len(rows):
        return [one.of(Trailing(steps[:1]))[:0] for one in descriptors]
    back = np.argsort(order, kind="stable")
    return [np.concatenate(parts)[back] for parts in found]


def described_windows(descriptors: Sequence[Descriptor], windows: Floats, past: int) -> list[Floats]:
    """Describe windows that stand one after the other, [m * past, C]: a table [m, width] for each descriptor."""
    if not len(windows):
        return [one.of(Trailing(np.zeros((1, windows.shape[1]))))[:0] for one in descriptors]
    found: list[list[Floats]] = [[] for _ in descriptors]
    for start in range(0, len(windows), _WINDOWS * past):
        some = windows[start : start + _WINDOWS * past]
        trailing = Trailing(some, wanted=np.arange(past - 1, len(some), past))
        for at, one in enumerate(descriptors):
            found[at].append(one.of(trailing)[past - 1 :: past])
    return [np.concatenate(parts) for parts in found]


def smoothed(score: Floats, rows: int) -> Floats:
    """Give the means of `score` [n] over `rows` rows round each, as many as there are."""
    n, half = len(score), rows // 2
    running = np.concatenate([[0.0], np.cumsum(np.rint(score / _EXACT))])
    start, stop = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    return np.asarray((running[stop] - running[start]) * _EXACT / (stop - start))


def _blocks(steps: Floats, first: int, context: int, past: int) -> Iterator[tuple[Ints, Trailing]]:
    """Cut rows `first`… of `steps` into blocks, with what lies before each."""
    for start in range(first, len(steps), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(steps))
        yield np.arange(start, stop), Trailing(steps[max(context, start - past) : stop], stop - start)


def _chosen(steps: Floats, some: Ints, past: int) -> Iterator[tuple[Ints, Trailing, int]]:
    """Cut what lies round `some` rising rows of `steps` into blocks: rows, what looks back from the first of them on,
    and that first row."""
    for start in range(0, len(steps), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(steps))
        rows = some[np.searchsorted(some, start) : np.searchsorted(some, stop)]
        if len(rows):
            first, last = int(rows[0]), int(rows[-1]) + 1
            before = max(0, first - past)
            yield rows, Trailing(steps[before:last], last - first, rows - before), first


def _described(descriptor: Descriptor, trailing: Trailing) -> Floats:
    """Describe the rows asked about only."""
    return descriptor.of(trailing)[trailing.first - len(trailing.steps) :]


def _rows_known(steps: Floats) -> Ints:
    """Count the rows [n + 1] with any value before each row of `steps` [n, C], and in all."""
    return np.concatenate([[0], np.cumsum(~np.isnan(steps).all(axis=1))])


def _trailing_counts(known: Ints, w: int) -> Ints:
    """Count such rows among the last `w` [n]."""
    before = np.maximum(np.arange(1, len(known)) - w, 0)
    return np.asarray(known[1:] - known[before])

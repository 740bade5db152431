"""How is each window judged? By its rarest event, or by a count that is far from normal."""

from __future__ import annotations

import numpy as np

from jamais.detectors.evidence.rarity import Rarity
from jamais.detectors.evidence.rates import Rates
from jamais.recipes.logs.events.surprise import Surprise
from jamais.recipes.logs.reading.clock import DAY, StreamClock
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.settings import window_size
from jamais.recipes.logs.units.mixture import WEIGHTS, Persistence, loudest, mixed
from jamais.recipes.logs.units.rate_judge import RateJudge
from jamais.recipes.logs.units.unit import Origins
from jamais.recipes.logs.units.window_scorer import MOST_EMPTY, WindowScorer, believable_gap
from jamais.types import NO_TIME, Codes, Floats, Ints, StateTree

REFERENCE = 0.9
"""Quantile of the windows of the calibration part."""


class Windows:
    """What is known of windows: in how many each event came, and how often events and sources come in one.

    Windows of time are aligned to multiples of their width, so that it does not matter where a file begins;
    the first and last ones of the data are seen in part only, and counts are not learned from them.
    """

    def __init__(self, window: str) -> None:
        self.width, self.timed = window_size(window)
        self.rarity = Rarity()
        self.rates = Rates()
        self.source_rates = Rates()
        self.reference = 0.0
        """Surprise above which a window of time leaves something for the next."""
        self.n_referred = 0

    def calibrate(self, columns: Columns, share: float, extra: Floats, origins: Origins) -> Floats:
        """Learn all of `columns` and give the scores that its last `share` of windows had when they came."""
        source_of = origins.source_of
        number, events, n_windows = self._allowed(columns)
        start = round(n_windows * (1.0 - share))
        window, event, count = _pairs(number, events)
        rarity = self._count(window, event, n_windows, start, extra)
        earlier = window < start
        self._learn_rates(window[earlier], event[earlier], count[earlier], range(1, start), source_of)
        rates = self._rate_scores(window, event, count, range(start, n_windows), source_of)
        later = range(max(start, 1), n_windows - 1)
        self._learn_rates(window[~earlier], event[~earlier], count[~earlier], later, source_of)
        if not self.timed:
            return rarity[:, 0]
        alone = np.array([mixed(np.append(*pair)) for pair in zip(rarity, rates, strict=True)])
        self._refer(alone)
        lasting = Persistence(self.reference)
        return np.array([lasting.score(one) for one in alone.tolist()])

    def _refer(self, alone: Floats) -> None:
        """Learn what a window at the upper end of normal scores: only what goes beyond is carried over."""
        if len(alone):
            new = float(np.quantile(alone, REFERENCE))
            weight = len(alone) / (self.n_referred + len(alone))
            self.reference += weight * (new - self.reference)
            self.n_referred += len(alone)

    def _allowed(self, columns: Columns) -> tuple[Ints, Codes, int]:
        """Give window and event of each record that may be learned, and how many windows there are of them."""
        number, holes = self._numbers(columns)
        allowed = np.ones(int(number[-1]) + 1 if len(number) else 0, dtype=bool)
        for record in holes.tolist():
            allowed[number[record - 1] + 1 : number[record]] = False
        allowed[list(columns.held_windows)] = False
        inside = allowed[number] if columns.held is None else ~columns.held & allowed[number]
        events = np.asarray(columns.events)
        # What is left moves together: a window that is not there was not an empty one.
        return (np.cumsum(allowed) - 1)[number[inside]], events[inside], int(allowed.sum())

    def _numbers(self, columns: Columns) -> tuple[Ints, Ints]:
        """Give the window of each record `[n]`, never going back, and the records that come after a hole.

        Windows of time count the empty ones. More than a day of them is a hole in the data, or a wrong stamp: no
        silence of a service, and nothing to learn from.
        """
        if not self.timed:
            return np.arange(len(columns)) // self.width, np.empty(0, dtype=np.int64)
        times = StreamClock(believable_gap(self.width)).follow(np.asarray(columns.times))
        timed = np.flatnonzero(times != NO_TIME)
        number = times // self.width
        number[: timed[0] if len(timed) else len(number)] = number[timed[0]] if len(timed) else 0
        steps = np.diff(number, prepend=number[:1])
        # A clock that was set back opens a new window; a gap of days is a gap, not days of empty windows.
        number = np.cumsum(np.where(steps < 0, 1, np.minimum(steps, MOST_EMPTY)))
        return number, np.flatnonzero(steps > DAY // self.width)

    def _count(self, window: Ints, event: Ints, n_windows: int, start: int, extra: Floats) -> Floats:
        """Count all windows; give the loudest events of those from `start` on, `[n, 4]` nats as they were then."""
        self.rarity.grow(len(extra))
        counts, units = self.rarity.counts, self.rarity.units
        scores = np.zeros((n_windows - start, len(WEIGHTS)))
        bounds = np.searchsorted(window, np.arange(n_windows + 1))
        for number in range(n_windows):
            events = event[bounds[number] : bounds[number + 1]]
            if number >= start and len(events):
                nats = -np.log((counts[events] + 0.5) / (units + 1.0))
                scores[number - start] = loudest(nats + np.where(counts[events] == 0, extra[events], 0.0))
            counts[events] += 1.0
            units += 1.0
        self.rarity.units = units
        return scores

    def _learn_rates(self, window: Ints, event: Ints, count: Ints, whole: range, source_of: Ints) -> None:
        if not self.timed or len(whole) == 0:
            return
        inside = (window >= whole.start) & (window < whole.stop)
        self.rates.add(len(whole), event[inside], count[inside])
        source = source_of[event[inside]]
        key = window[inside] * (int(source_of.max(initial=0)) + 1) + source
        keys, place = np.unique(key, return_inverse=True)
        sums = np.bincount(place.ravel(), count[inside], minlength=len(keys)).astype(np.int64)
        self.source_rates.add(len(whole), keys % (int(source_of.max(initial=0)) + 1), sums)

    def _rate_scores(self, window: Ints, event: Ints, count: Ints, wanted: range, source_of: Ints) -> Floats:
        scores = np.zeros((len(wanted), 2))
        if not self.timed or self.rates.windows == 0:
            return scores
        judge = self.judge(source_of)
        bounds = np.searchsorted(window, np.arange(wanted.start, wanted.stop + 1))
        for i in range(int(wanted.start == 0), len(wanted) - 1):  # the first window and the last are seen in part
            part = slice(bounds[i], bounds[i + 1])
            scores[i] = [odd.nats for odd in judge.oddest(event[part], count[part])]
        return scores

    def judge(self, source_of: Ints) -> RateJudge:
        """Give what compares the counts of one window with the usual ones."""
        return RateJudge(self.rates, self.source_rates, source_of)

    def scorer(self, surprise: Surprise, origins: Origins, idle: int | None) -> WindowScorer:
        judge = self.judge(origins.source_of) if self.timed else None
        return WindowScorer(self.width, judge, origins.sources, surprise, Persistence(self.reference))

    def fold(self, canonical: Ints) -> None:
        self.rarity.fold(canonical)
        self.rates.fold(canonical)

    def state_dict(self) -> StateTree:
        return {
            "rarity": self.rarity.state_dict(),
            "rates": self.rates.state_dict(),
            "source_rates": self.source_rates.state_dict(),
            "reference": self.reference,
            "n_referred": self.n_referred,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        self.rarity.load_state_dict(tree["rarity"])
        self.rates.load_state_dict(tree["rates"])
        self.source_rates.load_state_dict(tree["source_rates"])
        self.reference, self.n_referred = float(tree["reference"]), int(tree["n_referred"])


def _pairs(window: Ints, events: Codes) -> tuple[Ints, Ints, Ints]:
    """Give window, event and count, one row per distinct pair, ordered by window."""
    width = int(events.max(initial=0)) + 1
    pairs, counts = np.unique(window.astype(np.int64) * width + events, return_counts=True)
    return pairs // width, pairs % width, counts.astype(np.int64)

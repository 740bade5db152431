"""How often would normal data score this high?"""

from __future__ import annotations

import math

import numpy as np

from jamais.detectors.calibration.tails import FITS, Tail
from jamais.errors import NotReadyError, SettingsError
from jamais.types import Bools, Floats, StateTree

TAIL_SHARE = 0.1
SMALLEST_SCALE = 1.0
"""For scores in nats, whose natural scale is 1: a tail of ties must not promise more than that."""
CAPACITY = 20_000
_SMALLEST_SHARE = 0.5  # of the scale that an exponential law from the median to the highest score would have
_SMALLEST_PART = 1e-3  # of the highest score, where all are tied
_SMALLEST_P = float(np.finfo(np.float64).tiny)


class Calibration:
    """Conformal p-values against scores of normal rows, with a fitted tail beyond the highest of them.

    `p(s) = (1 + #{kept >= s}) / (n + 1)` is super-uniform on rows exchangeable with the kept ones (Vovk et al.,
    2005). Above the highest kept score it goes on as a tail fitted to the excess of the top tenth, divided by
    `n + 1`; such values are marked as extrapolated. The tail is `exponential`, right for scores in nats, or
    `pareto`, right for scores of any scale, heavy-tailed ones included.
    """

    def __init__(self, smallest_scale: float = SMALLEST_SCALE, tail: str = "exponential") -> None:
        if tail not in FITS:
            raise SettingsError(f"a calibration knows tails {', '.join(FITS)}, got {tail!r}")
        self.smallest_scale = smallest_scale
        self.values: Floats = np.empty(0)
        self.weights: Floats = np.empty(0)
        self.n_rows = 0
        self._fit_tail = FITS[tail]
        self._smallest_p = _SMALLEST_P if tail == "pareto" else 0.0
        self._tail = Tail()
        self._at_least: Floats = np.empty(0)

    def fit(self, scores: Floats) -> None:
        """Forget all and keep `scores: [n]` of normal rows."""
        values, counts = np.unique(np.asarray(scores, dtype=np.float64), return_counts=True)
        self._keep(values, counts.astype(np.float64))

    def merge(self, other: Calibration) -> None:
        """Count the rows of `other` as seen here, too."""
        both = np.concatenate([self.values, other.values])
        weights = np.concatenate([self.weights, other.weights])
        values, places = np.unique(both, return_inverse=True)
        self._keep(values, np.bincount(places, weights, minlength=len(values)).astype(np.float64))

    def p_value(self, scores: Floats) -> tuple[Floats, Bools]:
        """Give `scores: [n]` their p-values `[n]` and say which ones are extrapolated `[n]`."""
        scores = np.asarray(scores, dtype=np.float64)
        p = (1.0 + self._n_at_least(scores)) / (self.n_rows + 1.0)
        beyond = scores > self.values[-1]
        if beyond.any():
            far = np.exp(-self._tail_nats(scores[beyond])) / (self.n_rows + 1.0)
            p[beyond] = np.maximum(far, self._smallest_p)
        return p, beyond

    def nats(self, scores: Floats) -> Floats:
        """Give `scores: [n]` their -log p `[n]`, where p itself would be too small for a number, too."""
        scores = np.asarray(scores, dtype=np.float64)
        found = np.log((self.n_rows + 1.0) / (1.0 + self._n_at_least(scores)))
        beyond = scores > self.values[-1]
        found[beyond] += self._tail_nats(scores[beyond])
        return found

    def nats_of_kept(self, scores: Floats) -> Floats:
        """Give -log p `[n]` of `scores: [n]` that are among the kept ones, each against all the others.

        What is not among them is new, as in `nats`.
        """
        scores = np.asarray(scores, dtype=np.float64)
        found = self.nats(scores)
        place = np.minimum(np.searchsorted(self.values, scores, side="left"), len(self.values) - 1)
        kept = (self.values[place] == scores) & (self.n_rows > 1)
        found[kept] = np.log(self.n_rows / self._at_least[place[kept]])
        highest = kept & (scores == self.values[-1])
        if highest.any() and self.weights[-1] == 1.0:
            others = Calibration(self.smallest_scale)
            others._fit_tail = self._fit_tail
            others._keep(self.values[:-1], self.weights[:-1])
            found[highest] = others.nats(self.values[-1:])[0]
        return found

    def threshold(self, rate: float) -> float:
        """Give the smallest score whose p-value is at most `rate`."""
        if self.n_rows == 0:
            raise NotReadyError("no calibration rows: fit on data that has some")
        finest = 1.0 / (self.n_rows + 1.0)
        if rate < finest:
            return float(self.values[-1]) + self._tail.excess(float(np.log(finest / rate)))
        rates = (1.0 + self._at_least) / (self.n_rows + 1.0)
        # The first kept value rare enough; a score just above the kept value before it has the same p-value.
        place = int(np.argmax(rates <= rate))
        return float(np.nextafter(self.values[place - 1], np.inf)) if place else float(self.values[0])

    @classmethod
    def of(cls, scores: Floats) -> Calibration:
        """Keep `scores: [n]` of any scale: a heavy tail is allowed for, and a tail of ties promises no certainty."""
        made = cls(max(_smallest_scale(scores[np.isfinite(scores)]), 1e-300), tail="pareto")
        made.fit(scores)
        return made

    @property
    def finest_rate(self) -> float:
        """The lowest alarm rate that the kept rows support without extrapolation."""
        return 1.0 / (self.n_rows + 1.0)

    @property
    def scale(self) -> float:
        """How far above the highest kept score, to first order, a score is e times as unlikely."""
        return self._tail.scale

    def state_dict(self) -> StateTree:
        return {"values": self.values, "weights": self.weights}

    def load_state_dict(self, tree: StateTree) -> None:
        self._keep(np.asarray(tree["values"]), np.asarray(tree["weights"]))

    def _keep(self, values: Floats, weights: Floats) -> None:
        if len(values) > CAPACITY:
            values, weights = _thin(values, weights)
        self.values, self.weights = values, weights
        self.n_rows = int(weights.sum())
        self._at_least = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
        self._tail = self._fitted_tail()

    def _n_at_least(self, scores: Floats) -> Floats:
        """Count the kept scores `[n]` that are as high as `scores: [n]` or higher."""
        if self.n_rows == 0:
            raise NotReadyError("no calibration rows: fit on data that has some")
        return np.asarray(self._at_least[np.searchsorted(self.values, scores, side="left")])

    def _tail_nats(self, scores: Floats) -> Floats:
        with np.errstate(over="ignore"):
            excess = scores - self.values[-1]
        return self._tail.nats(excess)

    def _fitted_tail(self) -> Tail:
        if self.n_rows == 0:
            return Tail()
        start = int(np.argmax(self._at_least <= TAIL_SHARE * self.n_rows))
        values, weights = self.values[start:], self.weights[start:]
        if not len(values):
            return Tail(self.smallest_scale)
        below = self.values[start - 1] if start else values[0]
        with np.errstate(over="ignore", invalid="ignore"):
            excess = values - below
        return self._fit_tail(excess, weights, self.smallest_scale)


def _smallest_scale(scores: Floats) -> float:
    """Bound the scale of a tail from below by the body: the top tenth may be ties, told apart by rounding alone."""
    if not len(scores):
        return 0.0
    highest, middle = float(scores.max()), float(np.median(scores))
    spread = (highest - middle) / math.log(max(len(scores), 3))
    return max(_SMALLEST_SHARE * spread, _SMALLEST_PART * abs(highest))


def _thin(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Keep the top half of the capacity exactly; below it, move rows up to the next of evenly spread values.

    Rows only ever move up, so p-values only ever grow: thinning stays on the safe side.
    """
    half = CAPACITY // 2
    body, body_weights = values[:-half], weights[:-half]
    places = np.unique(np.linspace(0, len(body) - 1, half).round().astype(np.int64))
    owner = np.searchsorted(places, np.arange(len(body)), side="left")
    summed = np.bincount(owner, body_weights, minlength=len(places))
    return np.concatenate([body[places], values[-half:]]), np.concatenate([summed, weights[-half:]])

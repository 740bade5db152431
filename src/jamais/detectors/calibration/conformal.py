"""How often would normal data score this high?"""

from __future__ import annotations

import numpy as np

from jamais.errors import NotReadyError
from jamais.types import Bools, Floats, StateTree

TAIL_SHARE = 0.1
SMALLEST_SCALE = 1.0
"""For scores in nats, whose natural scale is 1: a tail of ties must not promise more than that."""
CAPACITY = 20_000


class Calibration:
    """Conformal p-values against scores of normal rows, with an exponential tail beyond the highest of them.

    `p(s) = (1 + #{kept >= s}) / (n + 1)` is super-uniform on rows exchangeable with the kept ones (Vovk et al.,
    2005). Above the highest kept score it goes on as `exp(-(s - highest) / scale) / (n + 1)`, with the scale
    fitted to the excess of the top tenth; such values are marked as extrapolated.
    """

    def __init__(self, smallest_scale: float = SMALLEST_SCALE) -> None:
        self.smallest_scale = smallest_scale
        self.values: Floats = np.empty(0)
        self.weights: Floats = np.empty(0)
        self.n_rows = 0
        self.scale = 1.0
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
        if self.n_rows == 0:
            raise NotReadyError("no calibration rows: fit on data that has some")
        scores = np.asarray(scores, dtype=np.float64)
        place = np.searchsorted(self.values, scores, side="left")
        p = (1.0 + self._at_least[place]) / (self.n_rows + 1.0)
        beyond = scores > self.values[-1]
        if beyond.any():
            excess = scores[beyond] - self.values[-1]
            p[beyond] = np.exp(-excess / self.scale) / (self.n_rows + 1.0)
        return p, beyond

    def threshold(self, rate: float) -> float:
        """Give the smallest score whose p-value is at most `rate`."""
        if self.n_rows == 0:
            raise NotReadyError("no calibration rows: fit on data that has some")
        finest = 1.0 / (self.n_rows + 1.0)
        if rate < finest:
            return float(self.values[-1] + self.scale * np.log(finest / rate))
        rates = (1.0 + self._at_least) / (self.n_rows + 1.0)
        # The first kept value rare enough; a score just above the kept value before it has the same p-value.
        place = int(np.argmax(rates <= rate))
        return float(np.nextafter(self.values[place - 1], np.inf)) if place else float(self.values[0])

    @property
    def finest_rate(self) -> float:
        """The lowest alarm rate that the kept rows support without extrapolation."""
        return 1.0 / (self.n_rows + 1.0)

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
        self.scale = self._tail_scale()

    def _tail_scale(self) -> float:
        if self.n_rows == 0:
            return 1.0
        start = int(np.argmax(self._at_least <= TAIL_SHARE * self.n_rows))
        values, weights = self.values[start:], self.weights[start:]
        if not len(values):
            return self.smallest_scale
        below = self.values[start - 1] if start else values[0]
        return max(self.smallest_scale, float(np.average(values - below, weights=weights)))


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

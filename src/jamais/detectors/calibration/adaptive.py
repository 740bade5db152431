"""How does an alarm rate hold while normal life drifts away from the calibration rows?"""

from __future__ import annotations

import math

import numpy as np

from jamais.detectors.calibration.discoveries import checked_p_values
from jamais.errors import CorruptStateError, SettingsError
from jamais.types import Bools, Floats, StateTree

MOST_NATS = 50.0
"""One in 5·10^21: p-values below are all the same here, which bounds the threshold."""


class AdaptiveRate:
    """Alarm on a share `target` of the rows of a stream, whatever happens to their p-values.

    After each row the threshold, in nats, moves up by `step` (1 - target) if there was an alarm, else down by
    `step` target: the update of adaptive conformal inference (Gibbs & Candès, NeurIPS 2021) on -log p, as quantile
    tracking (Angelopoulos, Candès & Tibshirani, NeurIPS 2023). On p itself, a drift to tiny p-values would leave
    no threshold between "never" and "always", and the alarms would come at arbitrary rows.

    **Holds on any sequence**, drift and attack included: after T rows the share of alarms is within
    (50 + step) / (step T) of `target`. It is a rate of alarms, not of false alarms: those are as many only if
    abnormal rows are rare beside `target`; a flood of abnormal rows is alarmed on at the target rate, no more.
    **Does not hold**: that any one p-value or verdict is right, or P(false alarm) = target at a given moment. On
    rows like those calibrated on, a fixed `p <= target` keeps that, and this need not be used.
    """

    def __init__(self, target: float, step: float = 0.5) -> None:
        if not 0.0 < target < 1.0:
            raise SettingsError(f"AdaptiveRate wants a target between 0 and 1, for example 0.001, got {target}")
        if not 0.0 < step < math.inf:
            raise SettingsError(f"AdaptiveRate wants a step above 0, in nats, got {step}")
        self.target = float(target)
        self.step = float(step)
        self.n_rows = 0
        self.n_alarms = 0
        self._threshold = min(-math.log(target), MOST_NATS)

    @property
    def rate(self) -> float:
        """The p-value up to which the next row would be alarmed on; at least 1: on every row."""
        return math.exp(-self._threshold)

    def decide(self, p_values: Floats) -> Bools:
        """Say of rows with `p_values` [n], in order, which are alarms [n]; each moves the threshold for the next."""
        with np.errstate(divide="ignore"):
            nats = np.minimum(-np.log(checked_p_values(p_values)), MOST_NATS)
        alarms = np.zeros(len(nats), dtype=bool)
        threshold = self._threshold
        for i, heard in enumerate(nats.tolist()):
            alarm = heard >= threshold
            alarms[i] = alarm
            threshold += self.step * (alarm - self.target)
        self._threshold = threshold
        self.n_rows += len(alarms)
        self.n_alarms += int(alarms.sum())
        return alarms

    def state_dict(self) -> StateTree:
        return {
            "target": self.target,
            "step": self.step,
            "threshold": self._threshold,
            "n_rows": self.n_rows,
            "n_alarms": self.n_alarms,
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the rate of a state; raise `CorruptStateError` and change nothing."""
        try:
            loaded = AdaptiveRate(float(tree["target"]), float(tree["step"]))
            loaded._threshold = float(tree["threshold"])
            loaded.n_rows, loaded.n_alarms = int(tree["n_rows"]), int(tree["n_alarms"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStateError(f"not the state of an AdaptiveRate ({error}): load another version") from None
        if not abs(loaded._threshold) <= MOST_NATS + loaded.step:
            raise CorruptStateError(f"adaptive.threshold: {loaded._threshold} nats cannot be: load another version")
        self.__dict__.update(loaded.__dict__)
